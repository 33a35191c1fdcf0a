"""Making a captioning job and following it: what the window's Run button and `launch.py caption` have in common.

python launch.py caption FOLDER [FOLDER ...] [--captioner NAME[,NAME]] [--mode missing|append|prepend|overwrite]
[--dry-run] [--config FILE.toml] [--job DIR] [--section.field VALUE ...], or caption FOLDER --history | --undo | --redo
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jobs.follow
from captioners import captioners, source
from captioners.base import Captioner, CaptionerError
from captioners.config import CaptionConfig, Captioning
from captioners.weights import ROOT, fetch
from dataset.journal import Journal, JournalError
from dataset.problem import counted
from jobs import folder
from jobs.devices import NONE, ONE
from jobs.folder import Job
from jobs.process import JobError
from settings import flags, toml
from settings.errors import SettingsError, check, parse
from settings.paths import absolute, located, placed

ARGV = ["python", "-m", "captioners", "run", "{job}"]


def create(config: Captioning, at: Path | None = None) -> Job:
    """A job that describes these pictures, checked, ready to be queued or started. Raises SettingsError."""
    config = with_absolute_paths(config)
    if wrong := dict(problems(config)):
        raise SettingsError(wrong)
    needs = NONE if config.run.device == "cpu" else ONE
    return folder.create("captions", config.name, toml.dumps(config), ARGV, at, needs)


def problems(config: Captioning) -> Iterator[tuple[str, str]]:
    """What would keep the job from beginning: (setting, what to do). Nothing is loaded for it."""
    yield from folder_problems(config)
    if "existing" in config.captioners and config.write.mode == "missing":
        yield "write.mode", "a picture without a caption has no existing one: choose append, prepend or overwrite"
    for name in config.captioners:
        kind = captioners()[name]
        if reason := "; ".join(missing_packages(kind)):
            yield "captioners", reason
            continue
        try:
            section = getattr(config, name)
            for weights in filter(None, [kind.weights(section), *kind.further(section)]):
                if not (weights.here or config.run.download):
                    fetch(weights, False, lambda *_: None)
        except CaptionerError as error:
            yield f"{name}.model" if "model" in type(section).model_fields else name, str(error)


def folder_problems(config: Captioning) -> Iterator[tuple[str, str]]:
    given = [path for path in config.source.folders if path.strip()]
    if not given:
        yield "source.folders", "choose a folder with pictures"
        return
    for path in given:
        if os.path.isfile(path):
            yield "source.folders", f"{path} is a file: give its folder, and its name as source.only"
        elif not os.path.isdir(path):
            yield "source.folders", f"there is no folder {path}"
        elif not config.write.dry_run and not os.access(path, os.W_OK):
            yield "source.folders", f"nothing can be written into {path}: change its permissions, or copy the pictures"
        else:
            continue
        return
    if not source.look(given, config.source.recursive, config.source.only).pictures:
        what = "none of the pictures there is meant by source.only" if config.source.only else "it holds no pictures"
        yield "source.folders", f"{', '.join(given)}: {what}"


def missing_packages(kind: type[Captioner]) -> Iterator[str]:
    """For each package that the captioner imports and that is not installed: which, and the line that installs it."""
    for package in kind.packages:
        if importlib.util.find_spec(package) is None:
            yield f"{kind.label} needs the package {package}: {sys.executable} -m pip install {package}"


def with_absolute_paths(config: Captioning) -> Captioning:
    """Paths as they were meant where they were typed: from the current folder, else from the program's."""
    values = config.model_dump()
    typed = values["source"]["folders"]
    values["source"]["folders"] = [folder_meant(path) for path in typed if path.strip()]
    placed(values, type(config), meant)
    return parse(type(config), values)


def meant(path: str) -> str:
    found = located(path)
    # "toy/models/blip" means the same everywhere, and is one of the choices as it stands.
    return path if found in (None, ROOT / path) else str(found)


def folder_meant(path: str) -> str:
    return str(located(path) or absolute(path))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="launch.py caption", description="Describe the pictures of a folder.", allow_abbrev=False
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="folders with pictures")
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings, complete or partial; such as an "
                        "earlier run's config.toml. Folders and options given here count before it")
    parser.add_argument("--captioner", action="append", metavar="NAME[,NAME]", default=[],
                        help=f"who describes them: {', '.join(captioners())}")
    parser.add_argument("--mode", metavar="MODE", help="missing, append, prepend or overwrite (write.mode)")
    parser.add_argument("--dry-run", action="store_true", help="only show what would change (write.dry_run)")
    parser.add_argument("--job", type=Path, metavar="DIR", help="folder of the job: made, or gone on with")
    past = parser.add_mutually_exclusive_group()
    for name, what in (("history", "list what was done to these captions"), ("undo", "take the last of it back"),
                       ("redo", "do again what was taken back last")):
        past.add_argument(f"--{name}", dest="past", action="store_const", const=name, help=what)
    try:
        flags.add_flags(parser, CaptionConfig)
        options, given = flags.parse(parser, CaptionConfig, arguments)
        if options.past:
            return look_back(options.past, options.folders or settings_of(options, given).source.folders)
        job = prepared(settings_of(options, given), options.job)
        code = jobs.follow.follow(job, "stopping after these pictures; what was written stays, and can be undone")
    except (SettingsError, JobError, JournalError) as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(result(job)), flush=True)
    return code


def settings_of(options: argparse.Namespace, given: dict[str, Any]) -> Captioning:
    """What the short options and the flags say together. Raises SettingsError."""
    file = toml.loads(CaptionConfig, toml.text_of(options.config)) if options.config else {}
    values = flags.flat(given)
    if options.folders:
        values["source.folders"] = [*options.folders, *values.get("source.folders", [])]
    values = flags.flat(file) | values
    if options.captioner:
        values["captioners"] = [name for several in options.captioner for name in several.split(",") if name]
    if options.mode:
        values["write.mode"] = options.mode
    if options.dry_run:
        values["write.dry_run"] = True
    return check(CaptionConfig, flags.nested(values))


def prepared(config: Captioning, place: Path | None) -> Job:
    """The job at `place`, or without one the newest of the workspace with these very settings that is not finished.
    A new one where there is none. Raises SettingsError, and JobError where `place` has another job."""
    wanted = with_absolute_paths(config)
    if place is None:
        return jobs.follow.begun("captions", lambda job: is_for(job, wanted)) or create(config)
    job = jobs.follow.at(place)
    if job is None:
        return create(config, place)
    if not is_for(job, wanted):
        raise JobError(f"the run in {place} was started with other settings: use another folder")
    return job


def is_for(job: Job, config: Captioning) -> bool:
    """Whether a job has these settings. One of another version that can't be read any more has not."""
    try:
        return toml.read(type(config), job.config_path) == config
    except SettingsError:
        return False


def result(job: Job) -> dict[str, Any]:
    """What the last printed line tells of a run."""
    last = job.last_event or {}
    told = {name: value for name, value in last.items() if name not in ("time", "kind", "traceback")}
    return {"ok": last.get("kind") == "finished", "state": last.get("kind"), "job": str(job.folder)} | told


def look_back(what: str, folders: list[str]) -> int:
    """List, take back or do again what was done to the captions of folders. Exit code 1 where something was kept."""
    kept = 0
    for place in (Path(folder_meant(path)) for path in folders):
        if not place.is_dir():
            raise SettingsError({"source.folders": f"there is no folder {place}"})
        journal = Journal(place)
        if what == "history":
            for entry in journal.history():
                when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.time))
                print(f"{when}  {entry.label}: {counted(entry.files, 'file')}, {entry.state}  [{entry.id}]")
            continue
        outcome = journal.undo() if what == "undo" else journal.redo()
        print(f"{place}: {counted(outcome.changed, 'file')} as {'before' if what == 'undo' else 'after'} it")
        for problem in outcome.kept:
            print(f"  {problem.path}: {problem.reason}; {problem.fix}")
        kept += len(outcome.kept)
    return 1 if kept else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
