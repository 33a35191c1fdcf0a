"""Up to four runs beside each other: settings that differ, figures, losses, and the samples that can be compared.

Two samples can be compared when they have the same prompt and the same seed: then training alone made the difference.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from gui.chosen import chosen
from gui.figures import batch, figures
from gui.run import Run
from gui.runs import word

MOST = 4


def compared(runs: list[Run], states: list[str], points: int) -> dict[str, Any]:
    """All that a page shows of it. Lists are in the order of the runs."""
    return {
        "runs": [
            {
                "id": run.job.id,
                "name": run.job.name,
                "kind": run.job.kind,
                "created": run.job.created,
                "state": state,
                "word": word(state, run.job),
                "figures": figures(run),
                "batch": batch(run.started.get("plan") or {}),
                "loss": run.loss.thinned(points),
            }
            for run, state in zip(runs, states, strict=True)
        ],
        "settings": settings(runs),
        "samples": samples(runs),
    }


def settings(runs: list[Run]) -> list[dict[str, Any]]:
    """Every setting that any of them has, and whether it is the same in all."""
    known = [chosen(run.job) for run in runs]
    paths = list(dict.fromkeys(path for one in known for path in one))
    rows = []
    for path in paths:
        first = next(one[path] for one in known if path in one)
        values = [one[path].meaning if path in one else None for one in known]
        rows.append(
            {
                "path": path,
                "label": first.label,
                "values": [one[path].shown() if path in one else "" for one in known],
                "differs": any(value != values[0] for value in values),
            }
        )
    return rows


def samples(runs: list[Run]) -> list[dict[str, Any]]:
    """What was drawn from the same prompt and seed by two of the runs or more: for each run {step: number of the
    prompt}, by which a picture is asked for."""
    drawn: dict[tuple[str, str], list[dict[int, int]]] = defaultdict(lambda: [{} for _ in runs])
    for place, run in enumerate(runs):
        for (step, index), event in sorted(run.samples.items()):
            drawn[str(event.get("prompt", "")), str(event.get("seed"))][place][step] = index
    return [
        {"prompt": prompt, "seed": seed, "steps": steps}
        for (prompt, seed), steps in drawn.items()
        if sum(map(bool, steps)) > 1
    ]
