"""`python -m captioners run JOB`: the process that works on a captioning job."""

from __future__ import annotations

import sys
from pathlib import Path

from captioners.failures import explain
from jobs.failures import worked


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "run":
        print("usage: python -m captioners run JOB", file=sys.stderr)
        return 2
    return worked(Path(argv[1]).absolute(), work, explain)


def work(folder: Path) -> None:
    from captioners.run import run  # heavy: an error of its import is told like any other

    run(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
