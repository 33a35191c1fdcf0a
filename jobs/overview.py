"""What the queue does now, for the window and the shell: what runs where, what waits, and why it waits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jobs.devices import CPU, Device, Needs, devices, wish
from jobs.folder import Job
from jobs.lock import held
from jobs.queue import paused, queued, something_to_do
from jobs.runner import busy, chosen


def overview(root: Path) -> dict[str, Any]:
    """{"paused", "idle": nobody works on it though there is something to do, "devices": [{"id", "name", "job"}],
    "waiting": [{"id", "name", "kind", "needs", "why"}]}; a job is {"id", "name", "kind"} or None."""
    everything, waiting, working = devices(), queued(root), busy(root)
    rests = paused(root)
    starts = [] if rests else chosen(waiting, {device.id for device in everything} - working.keys(), everything)
    soon = {job.id for job, _ in starts}
    rows, before = [], None
    for job in waiting:
        why = "the queue is paused" if rests else "starts now" if job.id in soon else _why(job, before, working)
        rows.append(_told(job) | {"needs": needed(job.needs, everything), "why": why})
        before = job
    where = [{"id": device.id, "name": device.name, "job": _told(working.get(device.id))} for device in everything]
    idle = something_to_do(root) and not held(root / "queue.lock")
    return {"paused": rests, "idle": idle, "devices": where, "waiting": rows}


def needed(needs: Needs, everything: tuple[Device, ...]) -> str:
    """In words; "" where there is no choice."""
    if len(everything) == 1:
        return ""
    if needs.gpus == 0:
        return "the processor"
    if needs.named:
        return "GPU " + " and ".join(needs.named)
    return "any GPU" if needs.gpus == 1 else f"{needs.gpus} GPUs"


def _why(job: Job, before: Job | None, working: Mapping[str, Job]) -> str:
    names = {device.id: device.name for device in devices()}
    in_use = [device for device in wish(job.needs, devices()) if device in working]
    if not in_use:
        return f"waits behind {before.name}" if before else "waits"
    runs = list(dict.fromkeys(working[device].name for device in in_use))
    where = "this computer" if names.keys() == {CPU} else " and ".join(names.get(one, one) for one in in_use)
    return f"waits for {where}, where {' and '.join(runs)} run{'s' * (len(runs) == 1)}"


def _told(job: Job | None) -> dict[str, Any] | None:
    return {"id": job.id, "name": job.name, "kind": job.kind} if job else None
