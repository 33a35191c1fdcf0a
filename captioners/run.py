"""A captioning job from beginning to end: each captioner in turn goes over all pictures, and the last pass writes.

One model is in memory at a time. What was said is kept in the job's folder, so that the job can go on after anything;
pictures that nobody could describe are not kept there, so that going on tries them again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioners import captioners, source
from captioners.answers import Lines, Stamp, stamp
from captioners.asking import Asker, Silence, free_memory, prepared
from captioners.base import Captioner, CaptionerError, Picture, Place
from captioners.config import CaptionConfig, Captioning
from captioners.device import place
from captioners.scribe import OFTEN, Pass, Scribe
from captioners.source import Found
from captioners.weights import fetch
from dataset import pictures
from dataset.caption_files import CaptionStore
from dataset.journal import Journal
from jobs import requests
from settings import toml


class Stopped(Exception):
    """The person asked for an end."""


@dataclass
class Work:
    """What the steps of a job have in common."""

    folder: Path
    config: Captioning
    place: Place
    pictures: list[Path]  # to be described
    befores: dict[Path, str]  # of all pictures: the caption from before the job began
    scribe: Scribe


def run(folder: Path) -> None:
    """Work on a job until it is finished or a person stops it. Raises what nobody here can put right."""
    began = time.monotonic()
    config = toml.read(CaptionConfig, folder / "config.toml")
    where = place(config.run)
    found = look(config)
    with ExitStack() as closed:
        stores = {root: closed.enter_context(store(config, root)) for root in dict.fromkeys(found.pictures.values())}
        keepers = {picture: stores[root] for picture, root in found.pictures.items()}
        befores = captions_before(folder, keepers)
        wanted = [picture for picture in keepers if config.write.mode != "missing" or not befores[picture]]
        scribe = closed.enter_context(closing(Scribe(folder, config, befores, keepers)))
        work = Work(folder, config, where, wanted, befores, scribe)
        announce(work, found)
        ending = worked_through(work)
    actions = {str(root): one.action_id for root, one in stores.items() if one.action_id}
    remarks = [problem for one in stores.values() for problem in one.problems]
    scribe.last(ending, remarks, seconds=round(time.monotonic() - began, 1), actions=actions)


def look(config: Captioning) -> Found:
    """The pictures, less those that would share a caption file with another one."""
    found = source.look(config.source.folders, config.source.recursive, config.source.only)
    if config.write.format not in ("txt", "caption"):
        return found
    owners: dict[Path, Path] = {}
    for path in list(found.pictures):
        owner = owners.setdefault(path.with_suffix(""), path)
        if owner is not path:
            del found.pictures[path]
            found.leave_out(path, f"it would share its caption file with {owner.name}", "rename one of the two")
    return found


def store(config: Captioning, root: Path) -> CaptionStore:
    """What keeps the captions of a folder, so that they can be undone together."""
    names = ", ".join(captioners()[name].label for name in config.captioners)
    journal = None if config.write.dry_run else Journal(root)
    return CaptionStore(root, config.write.format, journal, f"{names} ({config.write.mode})")


def captions_before(folder: Path, keepers: dict[Path, CaptionStore]) -> dict[Path, str]:
    """Each picture's caption as it was when the job began, which a job that goes on can no longer see."""
    with closing(Lines(folder / "pictures.jsonl")) as known:
        for picture, keeper in keepers.items():
            if picture not in known:
                known.add(picture, before=keeper.before(picture))
        return {picture: known[picture]["before"] for picture in keepers}


def announce(work: Work, found: Found) -> None:
    write, scribe = work.config.write, work.scribe
    scribe.tell("started", pid=os.getpid(), total=len(work.pictures), skipped=len(work.befores) - len(work.pictures),
                captioners=work.config.captioners, device=work.place.device, mode=write.mode, dry_run=write.dry_run)
    for problem in found.problems:
        scribe.tell("problem", picture=str(problem.path), reason=problem.reason, fix=problem.fix)


def worked_through(work: Work) -> str:
    """All passes. What the job's last word is."""
    try:
        for name in work.config.captioners:
            one_pass(work, name)
    except (Stopped, CaptionerError):
        if "stop" not in requests.take(work.folder):  # a library may have made another error of ours
            raise
        return "stopped"
    finally:
        work.scribe.wait()
    return "finished"


def one_pass(work: Work, name: str) -> None:
    """One captioner over all pictures that it has not described yet."""
    names = work.config.captioners
    answers, waiting = work.scribe.answers(name), []
    for picture in work.pictures:
        if picture in work.scribe.failed or work.scribe.done(picture):
            continue
        if not answers.holds(picture):
            waiting.append(picture)
        elif name == names[-1]:
            work.scribe.write(picture)
    total = len(work.pictures)
    progress = Pass(name, names.index(name) + 1, len(names), total, total - len(waiting))
    if waiting:
        with loaded(work, name) as captioner:
            work.scribe.begin(progress)
            ask_about(work, captioner, waiting)
    else:
        work.scribe.begin(progress)
    work.scribe.wait()


@contextmanager
def loaded(work: Work, name: str) -> Iterator[Captioner]:
    """The captioner with its model in memory, for as long as the block runs."""
    kind, section = captioners()[name], getattr(work.config, name)
    told = 0.0

    def progress(what: str, done: int, total: int) -> None:
        nonlocal told
        stop_if_asked(work)
        if time.monotonic() - told >= OFTEN or done == total:
            told = time.monotonic()
            work.scribe.tell("phase", name=what, done=done, total=total)

    weights = kind.weights(section)
    there = weights and fetch(weights, work.config.run.download, progress)
    for other in kind.further(section):
        fetch(other, work.config.run.download, progress)
    progress("load", 0, 1)
    captioner = kind(section, work.place)
    try:
        captioner.load(there, progress)
        progress("load", 1, 1)
        tell_notes(work, captioner)
        yield captioner
        tell_notes(work, captioner)
    finally:
        captioner.close()
        del captioner
        free_memory()


def tell_notes(work: Work, captioner: Captioner) -> None:
    while captioner.notes:
        work.scribe.tell("warning", message=captioner.notes.pop(0))


def ask_about(work: Work, captioner: Captioner, waiting: list[Path]) -> None:
    def prepare(path: Path) -> tuple[Stamp, Any]:
        seen = stamp(path)
        picture = Picture(path, pictures.read(path), work.befores[path], **said_before(work, captioner.name, path))
        return seen, captioner.prepare(picture)

    def warn(message: str) -> None:
        work.scribe.tell("warning", message=message)

    asker = Asker(captioner, work.config.run.batch_size or captioner.batch_size, warn)
    for batch in prepared(waiting, prepare, work.config.run.workers, lambda: asker.size):
        stop_if_asked(work)
        for path, item in batch:
            if isinstance(item, Silence):
                work.scribe.silent(path, item)
        usable = [(path, *item) for path, item in batch if not isinstance(item, Silence)]
        answers = asker.answers([item for *_, item in usable])
        for (path, seen, _), answer in zip(usable, answers, strict=True):
            if isinstance(answer, Silence):
                work.scribe.silent(path, answer)
            else:
                work.scribe.said(captioner.name, path, seen, answer)


def said_before(work: Work, name: str, picture: Path) -> dict[str, str]:
    """What the captioners before this one said of a picture, as fields of a `Picture`."""
    texts: dict[str, list[str]] = {"tags": [], "caption": []}
    names = work.config.captioners
    for earlier in names[: names.index(name)]:
        if said := work.scribe.answers(earlier).said(picture):
            texts[captioners()[earlier].says].append(said.text)
    return {kind: ", ".join(filter(None, said)) for kind, said in texts.items()}


def stop_if_asked(work: Work) -> None:
    if "stop" in requests.waiting(work.folder):
        raise Stopped
