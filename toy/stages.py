"""The command line of what trains a toy captioner: its stages one by one, or all of them in their order."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

Stages = dict[str, Callable[[argparse.Namespace], object]]  # name -> what it does with `work`, `steps` and `out`


def main(module: str, stages: Stages, steps: int, out: Path) -> None:
    """`steps` and `out` are what the committed model took and where it lies. Every stage but `check` needs --work."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description="Train or examine a toy model.")
    parser.add_argument("stage", choices=["all", *stages])
    parser.add_argument("--work", type=Path, help="folder for pictures and checkpoints")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--out", type=Path, default=out, help="where the model is saved, or lies")
    options = parser.parse_args()
    if options.stage != "check":
        if options.work is None:
            parser.error("--work is needed: a folder for pictures and checkpoints")
        options.work.mkdir(parents=True, exist_ok=True)
    for stage in stages if options.stage == "all" else [options.stage]:
        stages[stage](options)
