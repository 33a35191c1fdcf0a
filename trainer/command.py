"""Making a training job and following it: what the window's Start button and `launch.py train` have in common.

python launch.py train CONFIG.toml [--job DIR] [--section.field VALUE ...] [--dry-run] [--preflight]
python launch.py train --job DIR [--run.epochs MORE ...]       goes on with a job, longer if you like
python launch.py train --like JOB [--section.field VALUE ...]  trains another one, with these changes
python launch.py train --job DIR --ask stop|pause|save|sample  asks something of a running one
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import sys
from pathlib import Path

import jobs.follow
from jobs import folder, requests
from jobs.devices import NONE, Needs
from jobs.events import EventWriter
from jobs.find import find
from jobs.folder import Job
from jobs.process import JobError
from settings import flags, toml
from settings.errors import SettingsError, check
from settings.paths import ROOT, absolute, located, placed
from trainer import continuing
from trainer.config import TrainSettings
from trainer.plan import plan


def create(config: TrainSettings, at: Path | None = None) -> Job:
    """A job that trains this, checked and planned, ready to be queued or started. Raises SettingsError."""
    config = with_absolute_paths(config)
    plan(config)
    return folder.create("train", config.name, toml.dumps(config), argv(config), at, needs(config))


def needs(config: TrainSettings) -> Needs:
    """What the job computes on."""
    run = config.accelerate
    return NONE if run.cpu else Needs(run.processes, run.gpu_ids)


def argv(config: TrainSettings) -> list[str]:
    """The command that trains a job: `accelerate launch`, with every choice said, so that no default of the machine's
    counts."""
    run = config.accelerate
    words = [
        "python",
        "-m",
        "accelerate.commands.launch",
        f"--mixed_precision={run.mixed_precision}",
        "--dynamo_backend=no",
        f"--num_processes={run.processes}",
        "--num_machines=1",
        f"--config_file={ROOT / 'trainer' / 'accelerate.yaml'}",
    ]
    # The name means "several processes": on the CPU too, where `--cpu` would start a single one whatever was said.
    words += ["--multi_gpu"] if run.processes > 1 else []
    words += [f"--gpu_ids={run.gpu_ids or 'all'}"] if not run.cpu else []
    words += ["--cpu"] if run.cpu and run.processes == 1 else []
    threads = run.cpu_threads or wanted_threads() or max(1, cores() // run.processes)
    words += [f"--num_cpu_threads_per_process={threads}"]
    return [*words, "--module", "trainer", "train", "{job}"]


def wanted_threads() -> int:
    """What OMP_NUM_THREADS says; 0 where it says nothing. `accelerate launch` would overwrite it, and on cores that
    others use too, threads that wait for each other cost far more than they bring."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdecimal() else 0


def cores() -> int:
    """The processor cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def with_absolute_paths(config: TrainSettings) -> TrainSettings:
    """Paths as they were meant where they were typed: from the current folder, else from the program's."""
    values = placed(config.model_dump(), TrainSettings, lambda typed: str(located(typed) or typed))
    for name in ("folder", "logging_folder"):
        if typed := getattr(config.save, name):  # it may be yet to come
            values["save"][name] = str(absolute(typed))
    return check(TrainSettings, values)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="launch.py train", description="Train a LoRA from a settings file or a preset.", allow_abbrev=False
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG.toml", nargs="?",
        help="settings, complete or partial; a preset will do; without it, those of the job",
    )
    parser.add_argument(
        "--job", type=Path, metavar="DIR", help="folder of the job: made, or gone on with if it is there"
    )
    parser.add_argument("--like", metavar="JOB", help="start from the settings of this job, under another name")
    parser.add_argument("--ask", choices=requests.WISHES, help="ask this of the running job, and train nothing")
    parser.add_argument("--dry-run", action="store_true", help="print the plan as JSON and train nothing")
    parser.add_argument(
        "--preflight", action="store_true", help="first try two steps and a save; train only if that works"
    )
    try:
        options, config = read(parser, arguments)
        if options.ask:
            return ask(options.job, options.ask)
        if options.dry_run:
            print(json.dumps(plan(with_absolute_paths(config)).as_dict()))
            return 0
        if options.preflight and not checked(config):
            return 1
        job = prepared(config, options.job)
        return follow(job)
    except (SettingsError, JobError) as error:
        print(error, file=sys.stderr)
        return 2


def read(parser: argparse.ArgumentParser, arguments: list[str]) -> tuple[argparse.Namespace, TrainSettings]:
    """The options, and the settings: the file's or the job's, with the flags' laid over them."""
    flags.add_flags(parser, TrainSettings)
    options, given = flags.parse(parser, TrainSettings, arguments)
    if options.config is None and options.job is None and options.like is None:
        parser.error("give a CONFIG.toml, the folder of a job with --job, or a job to do likewise with --like")
    if options.config and options.like:
        parser.error("give a CONFIG.toml or --like JOB, not both")
    like = find(options.like) if options.like else None
    source = options.config or (like or existing(options.job)).config_path
    values = toml.loads(TrainSettings, toml.text_of(source))
    name = {"name": another_name(like.name)} if like else {}
    return options, check(TrainSettings, flags.nested(flags.flat(values) | name | flags.flat(given)))


def another_name(name: str) -> str:
    """A name like this one that no job of the workspace has: my_dog-2, my_dog-3."""
    taken = {job.name for job in folder.jobs()}
    stem = re.sub(r"-\d{1,3}$", "", name)
    names = (f"{stem[: 64 - len(end)]}{end}" for end in (f"-{count}" for count in itertools.count(2)))
    return next(name for name in names if name not in taken)


def checked(config: TrainSettings) -> bool:
    """Whether two steps and a save work; it is told either way. Raises SettingsError."""
    from trainer import preflight  # it uses this module

    said: list[str] = []

    def told(name: str, done: int, total: int) -> None:
        if said[-1:] != [name]:
            said.append(name)
            print(f"check: {name}", flush=True)

    try:
        passed = preflight.tried(config, told)
    except preflight.TrialError as error:
        failure = preflight.explain(error)
        print(f"{failure.trace}\n{failure.cause}\n{failure.fix}", file=sys.stderr, flush=True)
        return False
    for message in passed["warnings"]:
        print(f"warning: {message}")
    print(preflight.sentence(passed), flush=True)
    return True


def existing(place: Path | None) -> Job:
    """The job in a folder. Raises JobError where there is none."""
    job = jobs.follow.at(place) if place else None
    if job is None:
        raise JobError(f"there is no job in {place}" if place else "say which job: --job DIR")
    return job


def ask(place: Path | None, wish: str) -> int:
    """Leave a wish with a running job."""
    job = existing(place)
    if job.state() != "running":
        raise JobError(f"{job.id} is {job.state()}, not running")
    requests.ask(job.folder, wish)
    print(f"asked {job.id} to {wish} after this step")
    return 0


def prepared(config: TrainSettings, at: Path | None) -> Job:
    """The job at `at`, with these settings from now on where they leave it the same run; or without `at` the newest of
    the workspace with these very settings that is not finished: the same command again goes on with its job. A new one
    where there is none. Raises SettingsError."""
    wanted = with_absolute_paths(config)
    if at is None:
        return jobs.follow.begun("train", lambda job: is_for(job, wanted)) or create(config)
    job = jobs.follow.at(at)
    if job is None:
        return create(config, at)
    change(job, wanted)
    return job


def is_for(job: Job, config: TrainSettings) -> bool:
    """Whether a job has these settings; one of an earlier version has what is new at its default. One that can't be
    read any more has not."""
    try:
        return not continuing.differences(toml.read(TrainSettings, job.config_path), config)
    except SettingsError:
        return False


def change(job: Job, wanted: TrainSettings) -> None:
    """Let a job go on with other settings: more steps, other samples, other saves. Raises SettingsError with the list
    of those that would make another run of it, JobError while it runs."""
    was = toml.read(TrainSettings, job.config_path)
    found = continuing.differences(was, wanted)
    if not found:
        return
    begun = any((job.folder / "state").glob("step-*"))
    steps = plan(wanted, begun=begun).total_steps
    before = plan(wanted.model_copy(update={"run": was.run}), begun=begun).total_steps
    other = continuing.another_run(was, wanted) or continuing.shorter(before, steps)
    continuing.refuse(other, continuing.train_on(was, job.folder))
    state = job.state()
    if state == "running":
        raise JobError(f"{job.id} is running: pause it first (--ask pause)")
    if state == "finished" and steps == before:
        return  # its steps are done
    folder.change(job, toml.dumps(wanted), argv(wanted), needs(wanted))
    told = {path: list(values) for path, values in found.items()}
    EventWriter(job.events_path).write("changed", settings=told, total_steps=steps)


def extend(job: Job, to: int) -> None:
    """Let a job that does not run go on to `to` epochs in all, or steps where it was given those. Raises as `change`
    does."""
    config = toml.read(TrainSettings, job.config_path)
    length = {"max_steps": to} if config.run.max_steps else {"epochs": to}
    values = config.model_dump()
    values["run"] |= length
    if (now := getattr(config.run, next(iter(length)))) >= to:
        raise SettingsError({f"run.{next(iter(length))}": f"must be more than {now}, which it has already; got {to}"})
    change(job, check(TrainSettings, values))


def follow(job: Job) -> int:
    """Run the job to its end and tell what happens; the exit code, as jobs.follow has it."""
    return jobs.follow.follow(job, "stopping after this step; what is learnt is saved")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
