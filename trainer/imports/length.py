"""Rules for how long a run is and what is kept of it: epochs and steps, one of which silently overrules the other."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset.scan import COUNTED
from settings.paths import located
from trainer.imports.translation import Translation
from trainer.imports.values import number, shown

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}  # what kohya_ss's window counts


def length(t: Translation) -> None:
    """`max_train_epochs` before `max_train_steps` before the window's `epoch`, as their programs have it."""
    epochs, steps = number(t.take("max_train_epochs")), number(t.take("max_train_steps"))
    typed = number(t.take("epoch"))
    if epochs:
        t.put("max_train_epochs", "run.epochs", epochs)
        t.put("max_train_steps", "run.max_steps", None, "max_train_epochs comes before it")
    elif steps:
        t.put("max_train_steps", "run.max_steps", steps)
    elif t.window and typed:
        t.put("epoch", "run.epochs", typed, by_the_window(t, typed))
        t.put("max_train_steps", "run.max_steps", None, "0 meant that the epochs decide")
    if typed and not (t.window and not epochs and not steps):
        t.off("epoch", "other settings of the file come before it")


def by_the_window(t: Translation, epochs: float) -> str:
    """How its count differs from ours. It knows nothing of buckets, which each end in a batch of their own."""
    steps = counted(t, epochs)
    there = f"{steps:,} steps" if steps else "pictures x repeats x epochs / batch"
    return f"there, {there} without a look at the buckets; here whole epochs"


def counted(t: Translation, epochs: float) -> int | None:
    """The steps of kohya_ss's own formula: ceil(pictures with repeats / batch / accumulation x epochs, twice with a
    regularisation folder); None where the folders are not on this machine."""
    folder = located(str(t.look("train_data_dir") or ""))
    if folder is None or not folder.is_dir():
        return None
    total = sum(repeats_of(inner) * pictures_in(inner) for inner in folder.iterdir() if inner.is_dir())
    batch = (number(t.look("train_batch_size")) or 1) * (number(t.look("gradient_accumulation_steps")) or 1)
    factor = 2 if t.look("reg_data_dir") is not None else 1
    return math.ceil(total / batch * epochs * factor) or None


def repeats_of(folder: Path) -> int:
    found = COUNTED.match(folder.name)
    return int(found[1]) if found else 0


def pictures_in(folder: Path) -> int:
    return sum(path.suffix.lower() in PICTURES for path in folder.iterdir())


def total_steps(t: Translation) -> int | None:
    """The steps of the whole run, once its length is known; None where only the pictures would tell."""
    if steps := t.values.get("run.max_steps") or t.total:
        return steps
    epochs = t.values.get("run.epochs")
    return counted(t, epochs) if epochs else None


def seed(t: Translation) -> None:
    said = t.take("seed")
    if said:
        t.put("seed", "run.seed", said)
    elif said == 0 and not t.window:
        t.put("seed", "run.seed", 0)
    elif said is not None:
        t.off("seed", "0 meant another one each time; here it is always said, so that a run can be repeated")


def name(t: Translation) -> None:
    typed = t.text("output_name")
    fitting = re.sub(r"[^A-Za-z0-9_.-]+", "_", typed).lstrip("_.-")[:64]
    if not typed:
        return None
    if not fitting:
        return t.leave("output_name", "has no letters or digits that a file name may begin with here")
    note = "" if fitting == typed else "with the letters that names may have here"
    return t.put("output_name", "name", fitting, note)


def keeping(t: Translation) -> None:
    """`save_last_n_steps` there is a stretch of steps, not a number of files."""
    by_epochs, by_steps = number(t.take("save_last_n_epochs")), number(t.take("save_last_n_steps"))
    every = number(t.look("save_every_n_steps"))
    if by_epochs:
        t.put("save_last_n_epochs", "save.keep_last", by_epochs)
    elif by_steps and every:
        files = max(1, math.ceil(by_steps / every))
        t.put("save_last_n_steps", "save.keep_last", files, f"{shown(by_steps)} steps, one file every {shown(every)}")
    elif by_steps:
        t.leave("save_last_n_steps", "nothing is saved by steps")
    if t.take("save_state"):
        t.off("save_state", "states are always saved")


RULES: list[Callable[[Translation], Any]] = [length, seed, name, keeping]
