"""The job that a person names in a terminal: by its folder, by its name in the list of jobs, or as they called it."""

from __future__ import annotations

import os
from pathlib import Path

from jobs.folder import Job, jobs
from jobs.process import JobError


def find(name: str) -> Job:
    """Of several jobs that are called so, the newest. Raises JobError."""
    folder = Path(os.path.expanduser(name))
    if os.path.isfile(folder / "job.json"):
        return Job(folder.absolute())
    known = jobs()
    for same in (lambda job: job.id == name, lambda job: job.name == name):
        if found := next(filter(same, known), None):
            return found
    raise JobError(f"there is no job {name}; name its folder, or one of those in the workspace")
