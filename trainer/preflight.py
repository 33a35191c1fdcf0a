"""`python -m trainer.preflight JOB`: before a long run a small one with its own settings: two steps and a save.

What would only be found hours later in a queue (too little memory, a model that does not load, a library that crashes)
is found in a minute. The trial is a real job in a folder of its own, away from a person's runs; it waits for a device
and takes it as the others do, and nothing of it stays but what was encoded: the run that follows finds that done.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dataset import work as works
from dataset.work import Teller
from jobs import folder, process, queue, runner
from jobs.devices import devices, fit
from jobs.events import read_events
from jobs.failures import Failure, Fix, worked
from jobs.files import home
from jobs.folder import Job
from jobs.lock import held, locked
from settings import toml
from settings.errors import check
from trainer import command, failures
from trainer.config import TrainSettings
from trainer.plan import plan

KIND = "preflight"
ARGV = ("python", "-m", "trainer.preflight", "{job}")
STEPS = 2
PAUSE = 1.0  # seconds between two looks
NO_NUMBER = (
    "Choose another mixed precision (bf16, or no), a lower learning rate, or another VAE: that of SDXL breaks in fp16."
)
Settings = TrainSettings

Told = Callable[[str, int, int], None]  # what is done, how far, of how much


class TrialError(Exception):
    """The trial has failed, and why."""

    def __init__(self, failure: Failure):
        super().__init__(failure.cause)
        self.failure = failure


def begin(config: TrainSettings) -> Job:
    """Try this in a process of its own, which queues the run if all goes well. Raises SettingsError."""
    config = command.with_absolute_paths(config)
    plan(config)
    job = works.create(KIND, config, ARGV)
    process.start(job)
    return job


def work(config: TrainSettings, teller: Teller) -> dict[str, Any]:
    """What that process does."""
    passed = tried(config, teller.progress)
    passed["sentence"] = sentence(passed)
    for message in passed.pop("warnings"):
        teller.warn(message)
    job = command.create(config)
    queue.submit(job)
    return passed | {"run": job.id}


def tried(config: TrainSettings, told: Told) -> dict[str, Any]:
    """Do it, here and now: {"steps", "took", "memory_gb", "lora_bytes", "warnings"}. Raises TrialError, SettingsError,
    and whatever `told` raises to end it."""
    root, small, began = home(), shortened(command.with_absolute_paths(config)), time.monotonic()
    swept(root)
    place = root / runner.TRIALS / f"{time.strftime('%Y%m%d-%H%M%S')}-{time.monotonic_ns()}"
    with owned(place):
        trial = folder.create("train", config.name, toml.dumps(small), command.argv(small), place, command.needs(small))
        try:
            started(root, trial, told)
            watched(trial, told)
            return judged(trial) | {"took": round(time.monotonic() - began, 1)}
        finally:
            process.kill(trial)
            removed(trial)


def shortened(config: TrainSettings) -> TrainSettings:
    """The same run, but only its first steps and the save at the end, and nothing outside its folder."""
    values = config.model_dump()
    values["run"]["max_steps"] = STEPS
    values["preview"]["prompts"] = []
    values["prior"]["images"] = min(config.prior.images, STEPS)
    values["save"] |= {"every_epochs": 0, "every_steps": 0, "autosave_minutes": 0, "folder": "", "logging_folder": ""}
    return check(TrainSettings, values)


def started(root: Path, trial: Job, told: Told) -> None:
    """Start it as soon as there is a device for it."""
    while True:
        with queue.order(root):
            given = fit(trial.needs, runner.free(root), devices())
            if given is not None:
                process.start(trial, given)
                return
        others = ", ".join(job.name for job in runner.running(root))
        told(f"waits for a free device (at work: {others})", 0, 1)
        time.sleep(PAUSE)


def watched(trial: Job, told: Told) -> None:
    """Tell how far it is, until it ends."""
    offset, now = 0, ("starts", 0, 1)
    while trial.state() == "running" or process.is_watched(trial.folder):
        events, offset = read_events(trial.events_path, offset)
        for event in events:
            if event["kind"] == "phase":
                now = str(event["name"]), int(event["done"]), int(event["total"])
            elif event["kind"] == "step":
                now = "steps", int(event["step"]), STEPS
        told(*now)
        time.sleep(PAUSE)


def judged(trial: Job) -> dict[str, Any]:
    """What it has shown. Raises TrialError if that speaks against the run."""
    events, _ = read_events(trial.events_path)
    last = trial.last_event or {}
    if last.get("kind") == "failed":
        cause, fix, trace = (str(last.get(name, "")) for name in ("cause", "fix", "traceback"))
        raise TrialError(Failure(cause, fix, trace, [Fix(**one) for one in last.get("fixes", ())]))
    steps = [event for event in events if event["kind"] == "step"]
    if last.get("kind") != "finished" or len(steps) < STEPS:
        raise TrialError(Failure(f"It was ended before its {STEPS} steps were done.", "Start the check again.", ""))
    if any(not isinstance(step["loss"], int | float) for step in steps):  # NaN is told as text
        raise TrialError(Failure("The loss is no number from the first steps on.", NO_NUMBER, ""))
    return {
        "steps": STEPS,
        "memory_gb": steps[-1].get("memory_gb"),
        "lora_bytes": Path(last["lora"]).stat().st_size,
        "warnings": [str(event["message"]) for event in events if event["kind"] == "warning"],
    }


def sentence(passed: dict[str, Any]) -> str:
    """What was found out, in words."""
    memory = f", {passed['memory_gb']:.1f} GB at most" if passed["memory_gb"] else ""
    size = f"{passed['lora_bytes'] / 1e6:.1f} MB"
    return f"The check has passed: {STEPS} steps and a save in {passed['took']:.0f} s{memory}; the LoRA has {size}."


def swept(root: Path) -> None:
    """Remove what is left of trials whose own process was killed; others may wait for a device."""
    for path in (root / runner.TRIALS).glob("*"):
        if path.is_dir() and not held(lock_of(path)) and Job(path).state() != "running":
            removed(Job(path))
            lock_of(path).unlink(missing_ok=True)


@contextmanager
def owned(place: Path) -> Iterator[None]:
    """Let the others see that whoever has begun this trial lives."""
    place.parent.mkdir(exist_ok=True)
    try:
        with locked(lock_of(place)):
            yield
    finally:
        lock_of(place).unlink(missing_ok=True)


def lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def removed(trial: Job) -> None:
    deadline = time.monotonic() + 10
    while process.is_watched(trial.folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    shutil.rmtree(trial.folder, ignore_errors=True)


def explain(error: BaseException) -> Failure:
    if isinstance(error, TrialError):
        return replace(error.failure, cause=f"The check has failed, so nothing was queued. {error.failure.cause}")
    return failures.explain(error)


def main(argv: list[str]) -> int:
    if len(argv) != 1:
        print("usage: python -m trainer.preflight JOB", file=sys.stderr)
        return 2
    return worked(Path(argv[0]).absolute(), lambda path: works.done(path, sys.modules[__name__]), explain)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
