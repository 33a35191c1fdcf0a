"""What a run says of itself while it trains: events for the window, lines for the log, scalars for TensorBoard."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, NoReturn

import torch

from jobs import requests
from jobs.folder import Job
from trainer.config import TrainSettings
from trainer.plan import Plan
from trainer.telling import Telling

if TYPE_CHECKING:
    from accelerate import PartialState

RECENT = 100  # steps in the average loss
PACE = 20  # steps in the speed; the first ones of a run are slower
LINE_SECONDS = 5  # between progress lines in the log
COUNT_SECONDS = 0.5  # between events of a phase that counts
LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate")  # whose versions a run's record has


class Stopped(Exception):
    """Someone asked to `wish` ("stop" or "pause") before there was a step to finish."""

    def __init__(self, wish: str):
        super().__init__(wish)
        self.wish = wish


class Report:
    """Only the first process speaks; in the others every call does nothing."""

    def __init__(self, job: Job, config: TrainSettings, plan: Plan, place: PartialState):
        self._job, self._config, self._plan, self._place = job, config, plan, place
        self._say = Telling(job.events_path, speaks=place.is_main_process)
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._times: deque[float] = deque(maxlen=PACE + 1)
        self._began = self._line = self._counted = time.monotonic()
        self._say.line(f"{config.name}: {plan.sentence}")
        for where, what in plan.warnings.items():
            self.warning(f"{where}: {what}")

    @property
    def device(self) -> torch.device:
        return self._place.device

    def phase(self, name: str, done: int, total: int) -> None:
        """A part of the preparation: how far it is."""
        now = time.monotonic()
        if done in (0, total) or now - self._counted > COUNT_SECONDS:
            self._counted = now
            self._say.event("phase", name=name, done=done, total=total)
            if done == total:
                self._say.line(f"{name}: done ({now - self._began:.1f} s after the start)")

    def counting(self, name: str) -> Callable[[int, int], None]:
        """A progress function for a phase. It raises Stopped when that is wished (one process; several go on to the
        first step, since the others would wait for ever)."""

        def count(done: int, total: int) -> None:
            self.phase(name, done, total)
            if self._place.num_processes == 1 and self.wish():
                self.give_way()

        return count

    def wish(self) -> str:
        """What someone wants instead of going on: "stop", "pause" or ""."""
        return requests.ending(requests.waiting(self._job.folder))

    def give_way(self) -> NoReturn:
        """Raise Stopped, since that is wished; of several processes the first knows what it was."""
        wish = self.wish() or "stop"
        if self._say.speaks:
            requests.take(self._job.folder)
        raise Stopped(wish)

    def class_images(self, folder: Path, count: int) -> None:
        """They are all there."""
        self._say.event("class_images", folder=str(folder), count=count)
        self._say.line(f"class images: {count} in {folder}")

    def warning(self, message: str) -> None:
        self._say.event("warning", message=message)
        self._say.line(f"warning: {message}")

    def started(self, step: int, device: torch.device) -> None:
        """Everything is loaded; the next thing is step `step` + 1."""
        if not self._say.speaks:
            return
        elsewhere = self._config.save.logging_folder
        board = Path(elsewhere) / self._job.id if elsewhere else self._job.folder / "tensorboard"
        self._say.open_board(board, step)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        self._say.event(
            "started",
            pid=os.getpid(),
            step=step,
            total_steps=self._plan.total_steps,
            epochs=self._plan.epochs,
            device=name,
            family=self._config.model.family,
            plan=self._plan.as_dict(),
            versions={name: version(name) for name in LIBRARIES},
        )
        self._say.line(f"training on {name}, from step {step} of {self._plan.total_steps}")
        self._times.append(time.monotonic())

    def step(self, values: dict) -> None:
        """`values`: step, epoch, loss, grad_norm, lrs, skipped, and "scaled" where updates have a largest norm."""
        if not self._say.speaks:
            return
        now = time.monotonic()
        self._times.append(now)
        self._losses.append(values["loss"])
        finite = [loss for loss in self._losses if loss - loss == 0]
        pace = (len(self._times) - 1) / max(self._times[-1] - self._times[0], 1e-9)
        left = (self._plan.total_steps - values["step"]) / pace
        pictures = self._plan.batch_size * self._plan.accumulation * self._plan.processes
        rates = values["lrs"]
        average = sum(finite) / len(finite) if finite else float("nan")
        self._say.event(
            "step",
            **values,
            loss_average=average,
            lr=next(iter(rates.values())),
            it_s=round(pace, 4),
            img_s=round(pace * pictures, 3),
            eta=round(left, 1),
            memory_gb=self._memory(),
        )
        shown = {"loss": values["loss"], "loss_average": average, "grad_norm": values["grad_norm"]}
        shown |= {"layers_at_max_norm": values["scaled"]} if "scaled" in values else {}
        scalars = {f"train/{name}": value for name, value in shown.items()}
        self._say.scalars(values["step"], scalars | {f"lr/{name}": rate for name, rate in rates.items()})
        if now - self._line > LINE_SECONDS or values["step"] == self._plan.total_steps:
            self._line = now
            self._say.line(
                f"step {values['step']}/{self._plan.total_steps}  epoch {values['epoch']:.2f}  loss {average:.4f}  "
                f"{limited(values)}"
                f"{pace:.2f} it/s  {clock(left)} left"
            )

    @property
    def recent(self) -> list[float]:
        """The losses that the average is made of; a resumed run goes on from them."""
        return list(self._losses)

    def recall(self, losses: Iterable[float]) -> None:
        self._losses.extend(losses)

    def samples(self, step: int, drawn: Iterable[tuple[int, str, int, Path]]) -> None:
        """Announces each picture as it is drawn. The time it takes does not count as training speed. Whoever wants the
        run to end need not wait for the rest of them: a resumed run draws it."""
        began = time.monotonic()
        for index, prompt, seed, path in drawn:
            self._say.event("sample", step=step, index=index, prompt=prompt, seed=seed, path=self._inside(path))
            if requests.ending(requests.waiting(self._job.folder)):
                break
        self._leave_out(began)
        self._say.line(f"samples of step {step} drawn in {time.monotonic() - began:.1f} s")

    def checkpoint(self, step: int, path: Path) -> None:
        self._say.event("checkpoint", step=step, path=self._inside(path))
        self._say.line(f"saved {path.name}")

    def covered(self, coverage: dict) -> None:
        """What was learnt where, in short; all of it is in coverage.json."""
        parts = [{"part": one["part"], "layers": one["layers"], "zero": len(one["zero"]), "norm": one["norm"]}
                 for one in coverage["parts"]]
        self._say.event("coverage", parts=parts)
        for one in parts:
            still = f", {one['zero']} of them never moved" if one["zero"] else ""
            self._say.line(f"{one['part']}: {one['layers']} layers{still}; they change by {one['norm']:.4g}")

    def validated(self, step: int, losses: dict[int, float]) -> float:
        """The error on pictures that are held out at each resolution, and the mean of these."""
        mean = fmean(losses.values())
        several = {"sizes": {str(side): loss for side, loss in losses.items()}} if len(losses) > 1 else {}
        self._say.event("validation", step=step, loss=mean, **several)
        each = ", ".join(f"{loss:.4f} at {side} px" for side, loss in losses.items() if several)
        self._say.line(f"step {step}: validation loss {mean:.4f}{f' ({each})' if each else ''}")
        return mean

    def finished(self, lora: Path, step: int) -> None:
        seconds = round(time.monotonic() - self._began, 1)
        self._say.line(f"finished after {clock(seconds)}: {lora}")
        self._say.last_word("finished", lora=str(lora), steps=step, seconds=seconds)

    def stopped(self, lora: Path | None, step: int) -> None:
        """`lora`: what was learnt so far; None if nothing was."""
        self._say.line(f"stopped at step {step} of {self._plan.total_steps}; run it again to go on")
        self._say.last_word("stopped", step=step, lora=str(lora) if lora else None)

    def paused(self, step: int) -> None:
        """Everything is saved and the device is free; nothing is said of a result, since there is none yet."""
        self._say.line(f"paused at step {step} of {self._plan.total_steps}; run it again to go on")
        self._say.last_word("paused", step=step)

    def ended(self, wish: str, step: int, lora: Path | None = None) -> None:
        """What was wished was done."""
        self.paused(step) if wish == "pause" else self.stopped(lora, step)

    def _inside(self, path: Path) -> str:
        return path.relative_to(self._job.folder).as_posix()

    def _leave_out(self, began: float) -> None:
        spent = time.monotonic() - began
        self._times = deque((moment + spent for moment in self._times), maxlen=self._times.maxlen)

    def _memory(self) -> float | None:
        """GB taken at most so far: of the GPU, or without one of this process."""
        if self._place.device.type == "cuda":
            return round(torch.cuda.max_memory_reserved() / 1e9, 2)
        return round(peak_memory() / 1e9, 2)


def limited(values: dict) -> str:
    """For the line of a step: how many updates were held at their largest norm, where there is one."""
    return f"{values['scaled']} layers at max norm  " if "scaled" in values else ""


def peak_memory() -> int:
    """Bytes that this process has held at most, counted by the system."""
    if os.name == "nt":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # macOS counts bytes, Linux kilobytes


def clock(seconds: float) -> str:
    """90 -> "1:30", 3700 -> "1:01:40"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
