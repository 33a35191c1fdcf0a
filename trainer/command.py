"""Making a training job and following it: what the window's Start button and `launch.py train` have in common.

python launch.py train CONFIG.toml [--job DIR] [--section.field VALUE ...] [--dry-run]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
from pathlib import Path

from jobs import folder, process, requests
from jobs.events import EventWriter
from jobs.folder import Job
from jobs.process import JobError
from jobs.verdict import verdict
from settings import flags, toml
from settings.errors import SettingsError, check
from trainer.config import TrainSettings
from trainer.models import ROOT, located
from trainer.plan import plan


def create(config: TrainSettings, at: Path | None = None) -> Job:
    """A job that trains this, checked and planned, ready to be queued or started. Raises SettingsError."""
    config = with_absolute_paths(config)
    plan(config)
    return folder.create("train", config.name, toml.dumps(config), argv(config), at)


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
    threads = run.cpu_threads or max(1, cores() // run.processes)
    words += [f"--num_cpu_threads_per_process={threads}"]
    return [*words, "--module", "trainer", "train", "{job}"]


def cores() -> int:
    """The processor cores that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def with_absolute_paths(config: TrainSettings) -> TrainSettings:
    """Paths as they were meant where they were typed: from the current folder, else from the program's."""
    values = config.model_dump()
    model, dataset, save = values["model"], values["dataset"], values["save"]
    for name in ("base", "vae"):
        model[name] = str(located(model[name]) or model[name])
    for entry in dataset["folders"]:
        entry["path"] = str(located(entry["path"]) or entry["path"])
    for name in ("folder", "logging_folder"):
        save[name] = str(Path(save[name]).expanduser().absolute()) if save[name] else ""
    return check(TrainSettings, values)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="launch.py train", description="Train a LoRA from a settings file or a preset.", allow_abbrev=False
    )
    parser.add_argument(
        "config", type=Path, metavar="CONFIG.toml", help="settings, complete or partial; a preset will do"
    )
    parser.add_argument(
        "--job", type=Path, metavar="DIR", help="folder of the job: made, or gone on with if it is there"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan as JSON and train nothing")
    try:
        options, config = read(parser, arguments)
        if options.dry_run:
            print(json.dumps(plan(with_absolute_paths(config)).as_dict()))
            return 0
        job = prepared(config, options.job)
        return follow(job)
    except (SettingsError, JobError) as error:
        print(error, file=sys.stderr)
        return 2


def read(parser: argparse.ArgumentParser, arguments: list[str]) -> tuple[argparse.Namespace, TrainSettings]:
    """The options, and the settings: the file's, with the flags' laid over them."""
    flags.add_flags(parser, TrainSettings)
    options, given = flags.parse(parser, TrainSettings, arguments)
    values = toml.loads(TrainSettings, toml.text_of(options.config))
    return options, check(TrainSettings, flags.nested(flags.flat(values) | flags.flat(given)))


def prepared(config: TrainSettings, at: Path | None) -> Job:
    """The job at `at`, or without one the newest of the workspace with these very settings that is not finished: the
    same command again goes on with its job. A new one where there is none. Raises SettingsError."""
    wanted = with_absolute_paths(config)
    if at is None:
        begun = (job for job in folder.jobs() if job.kind == "train" and not differences(job, wanted))
        return next((job for job in begun if job.state() != "finished"), None) or create(config)
    if not (at / "job.json").exists():
        return create(config, at)
    job = Job(at.absolute())
    if changed := differences(job, wanted):
        problems = {
            path: f"the run in {at} was started with {old}, not {new}: use another folder, or change it back"
            for path, (old, new) in changed.items()
        }
        raise SettingsError(problems)
    return job


def differences(job: Job, config: TrainSettings) -> dict[str, tuple[str, str]]:
    """{path: (the job's, the new)} where they differ. A job of an earlier version has what is new at its default."""
    old, new = (
        flags.flat(tomllib.loads(toml.dumps(one))) for one in (toml.read(TrainSettings, job.config_path), config)
    )
    return {path: (repr(old[path]), repr(new[path])) for path in new if old[path] != new[path]}


def follow(job: Job) -> int:
    """Start the job, unless it runs or is done, and tell what happens until it ends. Ctrl+C asks it to stop and save.

    Returns the exit code: 0 when it finished or was stopped, 1 when it failed.
    """
    if job.state() == "finished":
        print(f"{job.folder} is finished already", flush=True)
        return 0
    log = job.log_path.stat().st_size if job.log_path.exists() else 0
    if job.state() != "running":
        begin(job)
    print(f"job: {job.folder}", flush=True)
    while True:
        try:
            running = job.state() == "running"
            log = echo(job, log)
            if not running:
                break
            time.sleep(0.3)
        except KeyboardInterrupt:
            print("\nstopping after this step; what is learnt is saved", flush=True)
            requests.ask(job.folder, "stop")
    if job.state() == "interrupted":
        EventWriter(job.events_path).write("failed", **verdict(1, job.log_path))
    last = job.last_event
    if last["kind"] == "failed":
        print(f"\n{last['cause']}\n{last['fix']}", file=sys.stderr, flush=True)
    return 0 if last["kind"] in ("finished", "stopped") else 1


def begin(job: Job) -> None:
    """Start a job, or start it again: what it said or was asked last time counts no more."""
    requests.take(job.folder)
    if job.last_event:
        EventWriter(job.events_path).write("resumed")
    process.start(job)


def echo(job: Job, offset: int) -> int:
    """Print what the log has got since, whole lines only; returns where to go on."""
    if not job.log_path.exists():
        return offset
    with job.log_path.open("rb") as file:
        file.seek(offset)
        whole, newline, _ = file.read().rpartition(b"\n")
    if newline:
        print(whole.decode("utf-8", "replace"), flush=True)
    return offset + len(whole) + len(newline)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
