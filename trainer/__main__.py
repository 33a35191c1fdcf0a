"""`python -m trainer train JOB`: the process that works on a training job, as `accelerate launch` starts it."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from jobs.failures import worked
from jobs.requests import signals_ask_to_stop
from trainer.failures import explain


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "train":
        print("usage: python -m trainer train JOB", file=sys.stderr)
        return 2
    folder = Path(argv[1]).absolute()
    return worked(folder, work, partial(explain, folder=folder))


def work(folder: Path) -> None:
    with signals_ask_to_stop(folder):
        from trainer.loop import train  # heavy: an error of its import is told like any other

        train(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
