"""What tests ask of a job's folder."""

import pytest
import torch

from jobs.events import read_events
from jobs.folder import Job
from trainer import state


def events(job: Job, kind: str) -> list[dict]:
    return [event for event in read_events(job.events_path)[0] if event["kind"] == kind]


def losses(job: Job) -> list[float]:
    return [event["loss"] for event in events(job, "step")]


def warnings(job: Job) -> str:
    return "\n".join(event["message"] for event in events(job, "warning"))


def newest(job: Job) -> state.State:
    return state.load(job.folder / "state", pytest.fail)


def equal(one, other) -> bool:
    """Bit for bit, through dicts and lists."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other
