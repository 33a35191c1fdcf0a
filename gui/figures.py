"""A run in a few figures, as words: for a comparison and for a report."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from gui.run import CaptionRun, Run, number
from jobs.folder import Job
from trainer.families import families

EMBEDDINGS = "embeddings"  # the folder of new words


def figures(run: Run) -> dict[str, str]:
    """{what: how much}, of what is known. Times are those that processes worked on it, all together."""
    last, plan = run.last, run.started.get("plan") or {}
    pictures = isinstance(run, CaptionRun)
    total = f" of {run.total:,}" if run.total else ""
    result = next(iter(results(run.job)), None)
    found = {
        "Pictures" if pictures else "Steps": f"{run.step:,}{total}" if run.step or run.total else "",
        "Epochs": text(last.get("epoch")),
        "Time": duration(run.seconds) if run.seconds else "",
        "Loss, averaged": text(last.get("loss_average"), digits=4),
        "Steps a second": text(last.get("it_s")),
        "Pictures a second": text(last.get("img_s")),
        "Batch": text(batch(plan)) if plan else "",
        "Memory at most": text(last.get("memory_gb"), " GB"),
        "Device": str(run.started.get("device", "")),
        kind(result): f"{result.name}, {size(result.stat().st_size)}" if result else "",
    }
    return {name: value for name, value in found.items() if value}


def results(job: Job) -> list[Path]:
    """The finished LoRA, then what lies beside it, then the new words; of a run that did not come to its end the newest
    checkpoint."""
    finished = sorted(job.folder.glob("*.safetensors"), key=lambda path: (len(path.name), path.name))
    saved = sorted(job.checkpoints.glob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    return [*finished, *embeddings(job.folder)] or saved[-1:] or embeddings(job.checkpoints)[-1:]


def embeddings(folder: Path) -> list[Path]:
    """New words that lie beside LoRA files, or that a run has made instead of one; the newest last."""
    return sorted((folder / EMBEDDINGS).glob("*.safetensors"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def kind(result: Path | None) -> str:
    """What a file is that a run has made."""
    return "Embedding" if result and result.parent.name == EMBEDDINGS else "LoRA"


def batch(plan: dict[str, Any]) -> float:
    """Pictures in a step, by a run's plan as its `started` event has it."""
    return math.prod(number(plan.get(name, 1)) for name in ("batch_size", "accumulation", "processes"))


def family(name: str) -> str:
    """A family as the form calls it."""
    known = families().get(name)
    return known.label if known else name


def duration(seconds: float) -> str:
    """As `L.duration` has it in the window."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" and count < 100 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def text(value: Any, unit: str = "", digits: int = 3) -> str:
    """A figure of an event; "" where there is none or it is not a number."""
    known = number(value)
    if not math.isfinite(known):
        return ""
    return f"{known:,.0f}{unit}" if abs(known) >= 10**digits else f"{known:.{digits}g}{unit}"
