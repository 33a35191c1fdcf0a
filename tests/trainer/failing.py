"""What goes wrong with a run on purpose, in a process of its own: by the real cause where one can be had, else by the
very error that the library raises for it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

CUDA = (
    "CUDA out of memory. Tried to allocate 96.00 MiB. GPU 0 has a total capacity of 2.40 GiB of which 24.00 MiB is "
    "free. Including non-PyTorch memory, this process has 2.20 GiB memory in use. Of the allocated memory 2.10 GiB"
)
AT_STEP = 3


def arrange(how: str, job: Path) -> None:
    """From now on the third step of a run ends so (or its beginning, where that is the place)."""
    {"full": full_disk, "gated": gated, "numbers": no_numbers}.get(how, lambda _: at_step(HOWS[how]))(job)


def at_step(wrong: Callable[[], None]) -> None:
    from trainer.run import Run

    one_step = Run.one_step

    def step(self: Run) -> dict:
        values = one_step(self)
        if self.step == AT_STEP:
            wrong()
        return values

    Run.one_step = step


def of_the_card() -> None:
    import torch

    torch.accelerator.is_available = lambda: True
    raise torch.OutOfMemoryError(CUDA)


def of_the_machine() -> None:
    import torch

    torch.empty(10**16)


def driver() -> None:
    raise RuntimeError(
        "CUDA error: no kernel image is available for execution on the device\nCUDA kernel errors may come later"
    )


HOWS = {"card": of_the_card, "machine": of_the_machine, "driver": driver}


def no_numbers(job: Path) -> None:
    """From the third step on the model says nothing but NaN."""
    from trainer import run
    from trainer.families import families

    family, run.GIVE_UP = families()["sd15"], 2
    predict, one_step, now = family.predict, run.Run.one_step, [0]

    def step(self: run.Run) -> dict:
        now[0] = self.step + 1
        return one_step(self)

    run.Run.one_step = step
    family.predict = lambda self, *inputs: predict(self, *inputs) * (float("nan") if now[0] >= AT_STEP else 1)


def gated(job: Path) -> None:
    from huggingface_hub import errors

    from trainer import loop

    def refused(*_: object) -> None:
        raise errors.GatedRepoError.__new__(errors.GatedRepoError, "401: cannot access gated repo")

    loop.load_family = refused


def full_disk(job: Path) -> None:
    """The job's folder lies on a small disk of its own, which someone fills up after the second step. What is left of
    it is copied back at the end, for no other process sees that disk."""
    import shutil

    import trainer.__main__ as worker
    from trainer.needs import disk

    own_mounts()
    kept = job.with_name(f"{job.name}-kept")
    shutil.copytree(job, kept)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(job)], check=True)
    shutil.copytree(kept, job, dirs_exist_ok=True)
    disk.SPARE = -(10**9)  # nobody looks beforehand: the writing itself must fail
    worked = worker.worked

    def then_kept(*arguments) -> int:
        try:
            return worked(*arguments)
        finally:
            (job / "filler").unlink(missing_ok=True)
            shutil.copytree(job, kept, dirs_exist_ok=True)

    worker.worked = then_kept
    at_step(lambda: fill(job / "filler"))


def own_mounts() -> None:
    """Whatever this process mounts from now on, it alone sees, and it goes with it. (Python has unshare since 3.12.)"""
    libc, new_mounts = ctypes.CDLL(None, use_errno=True), 0x00020000
    if libc.unshare(new_mounts):
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def fill(path: Path) -> None:
    """Until nothing more fits, except a little for the events."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"\0" * 4096):
            pass
    os.truncate(path, max(0, path.stat().st_size - 16 * 4096))
