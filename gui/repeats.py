"""Runs that take over what the captioners said in an earlier one, so that no model is asked the same thing twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from captioners import command
from captioners.config import CaptionConfig
from jobs import queue
from jobs.folder import Job
from settings import toml
from settings.coerce import over
from settings.errors import SettingsError, check
from settings.flags import nested
from settings.section import Section

LOOKED_AT = 20  # earlier runs


def answers(job: Job, captioner: str = "") -> Path:
    """Where a run keeps what its captioners said; a stamp of the picture's file is with each."""
    return job.folder / "answers" / f"{captioner}.jsonl" if captioner else job.folder / "answers"


def again(job: Job, changes: dict[str, object]) -> Job:
    """A new, queued run with another's settings but for `changes` (by path): it only asks what was not answered yet.
    Raises SettingsError."""
    config = toml.read(CaptionConfig, job.config_path)
    new = command.create(check(CaptionConfig, over(config.model_dump(), nested(changes))))
    if answers(job).is_dir():
        shutil.copytree(answers(job), answers(new), dirs_exist_ok=True)
    queue.submit(new)
    return new


def take_over(new: Job, earlier: Iterable[Job], but: str) -> None:
    """Give a run that has not begun what the same captioners with the same options said before; not that of `but`,
    nor of one that is told by its prompt what the others said."""
    config = toml.read(CaptionConfig, new.config_path)
    wanted = {name for name in config.captioners if name != but and not depends(getattr(config, name))}
    for job in list(earlier)[:LOOKED_AT]:
        for name in [name for name in wanted if answers(job, name).is_file()]:
            if same(config, job, name):
                answers(new).mkdir(exist_ok=True)
                shutil.copyfile(answers(job, name), answers(new, name))
                wanted.remove(name)


def depends(options: Section) -> bool:
    """Whether what is asked depends on what others said."""
    return any(field in str(options.model_dump()) for field in ("{tags}", "{caption}"))


def same(config: Section, job: Job, captioner: str) -> bool:
    try:
        other = toml.read(CaptionConfig, job.config_path)
    except (SettingsError, OSError):  # of another version
        return False
    return getattr(other, captioner) == getattr(config, captioner) and other.run.seed == config.run.seed
