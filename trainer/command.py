"""Making a training job and following it: what the window's Start button and `launch.py train` have in common.

python launch.py train CONFIG.toml [--job DIR] [--section.field VALUE ...] [--dry-run]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from pathlib import Path

import jobs.follow
from jobs import folder
from jobs.folder import Job
from jobs.process import JobError
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
    values["lora"]["weights"] = str(located(values["lora"]["weights"]) or values["lora"]["weights"])
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
        return jobs.follow.begun("train", lambda job: not differences(job, wanted)) or create(config)
    job = jobs.follow.at(at)
    if job is None:
        return create(config, at)
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
    """Run the job to its end and tell what happens; the exit code, as jobs.follow has it."""
    return jobs.follow.follow(job, "stopping after this step; what is learnt is saved")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
