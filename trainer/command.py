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
from jobs.events import read_events
from jobs.folder import Job
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
    ]
    # The name means "several processes": on the CPU too, where `--cpu` would start a single one whatever was said.
    words += ["--multi_gpu"] if run.processes > 1 else []
    words += [f"--gpu_ids={run.gpu_ids}"] if run.gpu_ids and not run.cpu else []
    words += ["--cpu"] if run.cpu and run.processes == 1 else []
    threads = run.cpu_threads or max(1, (os.cpu_count() or 1) // run.processes)
    words += [f"--num_cpu_threads_per_process={threads}"]
    return [*words, "--module", "trainer", "train", "{job}"]


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
    except SettingsError as error:
        print("\n".join(f"{path}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    return follow(job)


def read(parser: argparse.ArgumentParser, arguments: list[str]) -> tuple[argparse.Namespace, TrainSettings]:
    """The options, and the settings: the file's, with the flags' laid over them."""
    flags.add_flags(parser, TrainSettings)
    options, given = flags.parse(parser, TrainSettings, arguments)
    values = toml.loads(TrainSettings, toml.text_of(options.config))
    return options, check(TrainSettings, flags.nested(flags.flat(values) | flags.flat(given)))


def prepared(config: TrainSettings, at: Path | None) -> Job:
    """The job at `at` (new, or the same one again), or a new one in the workspace."""
    if at is None or not (at / "job.json").exists():
        return create(config, at)
    job = Job(at.absolute())
    if changed := differences(job, with_absolute_paths(config)):
        raise SettingsError(
            {
                path: f"the run in {at} was started with {old}, not {new}: use another folder, or change it back"
                for path, (old, new) in changed.items()
            }
        )
    return job


def differences(job: Job, config: TrainSettings) -> dict[str, tuple[str, str]]:
    """{path: (the job's, the new)} where they differ."""
    old = flags.flat(tomllib.loads(job.config_path.read_text(encoding="utf-8")))
    new = flags.flat(tomllib.loads(toml.dumps(config)))
    return {
        path: (repr(old.get(path)), repr(new.get(path)))
        for path in old.keys() | new.keys()
        if old.get(path) != new.get(path)
    }


def follow(job: Job) -> int:
    """Start the job, unless it runs or is done, and tell what happens until it ends. Ctrl+C asks it to stop and save.

    Returns the exit code: 0 when it finished or was stopped, 1 when it failed.
    """
    if job.state() == "finished":
        print(f"{job.folder} is finished already", flush=True)
        return 0
    offset = job.events_path.stat().st_size if job.events_path.exists() else 0
    log = job.log_path.stat().st_size if job.log_path.exists() else 0
    if job.state() != "running":
        process.start(job)
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
    events, _ = read_events(job.events_path, offset)
    failed = next((event for event in reversed(events) if event["kind"] == "failed"), None)
    if failed:
        print(f"\n{failed['cause']}\n{failed['fix']}", file=sys.stderr, flush=True)
    return 0 if job.state() in ("finished", "stopped") else 1


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
