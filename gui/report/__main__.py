"""`python launch.py report JOB`: the report of a run, written beside it or where it is wanted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gui.report.page import MARK, page
from gui.run import KINDS, Run
from gui.thumbnails import Thumbnails
from jobs.files import replace
from jobs.find import find
from jobs.folder import Job, home
from jobs.process import JobError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="launch.py report", description="Tell a run in one HTML file: settings, plan, loss, samples, file."
    )
    parser.add_argument("job", metavar="JOB", help="a run's folder, or its name in the workspace")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it; else report.html in its folder")
    options = parser.parse_args(arguments)
    try:
        print(write(find(options.job), options.out))
    except (JobError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def write(job: Job, out: Path | None = None) -> Path:
    """Write the report of a job; where to. Raises JobError for a file that is no report, OSError."""
    path = out or job.folder / "report.html"
    if path.exists() and not is_report(path):
        raise JobError(f"{path} is there already and is no report; choose another name")
    run: Run = KINDS.get(job.kind, Run)(job).refresh()
    replace(path, page(run, job.state(), Thumbnails(home() / "cache" / "thumbnails")))
    return path


def is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()


if __name__ == "__main__":
    sys.exit(main())
