"""Runs: what the page polls, what a person asks of a run, and its files.

A file is asked for by a name that `files` has listed for that run; anything else does not exist, whatever it spells.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Body, HTTPException, Response
from fastapi.responses import FileResponse

from dataset.pictures import PictureError
from gui import learnt
from gui.figures import EMBEDDINGS, embeddings
from gui.routes.run_folders import folders
from gui.run import PICTURES, CaptionRun, Run
from gui.runs import word
from gui.snapshots import snapshot
from jobs import process, queue, requests
from jobs.events import tail_log
from jobs.process import JobError
from settings import toml
from settings.errors import SettingsError
from trainer import command
from trainer.config import TrainSettings

if TYPE_CHECKING:
    from gui.window import Window

POINTS = 400  # of a curve: as many as a wide chart has room for
Action = Literal["stop", "pause", "save", "sample", "resume", "queue", "kill"]


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    def found(run: str) -> Run:
        return run_of(window, run).refresh()

    @routes.get("/api/runs")
    def overview(live: bool = False) -> list[dict[str, Any]]:
        return window.runs.overview(live)

    @routes.get("/api/runs/{run}")
    def detail(run: str) -> dict[str, Any]:
        known = found(run)
        told = described(known, window.runs.state(known.job))
        return told | {"captions": captioned(window, known) if isinstance(known, CaptionRun) else None}

    @routes.get("/api/runs/{run}/curves")
    def curves(run: str, points: int = POINTS) -> dict[str, Any]:
        known = found(run)
        points = min(max(points, 10), 2 * POINTS)
        return {
            "loss": known.loss.thinned(points),
            "validation": {name: curve.thinned(points) for name, curve in known.validation.items()},
            "total": known.total,
            "rates": {group: rate.thinned(points // 4) for group, rate in known.rates.items()},
        }

    @routes.get("/api/runs/{run}/log")
    def log(run: str, offset: int = -1) -> dict[str, Any]:
        return tail_log(found(run).job.log_path, offset)

    @routes.get("/api/runs/{run}/settings")
    def settings(run: str) -> dict[str, str]:
        return {"text": found(run).job.config_path.read_text(encoding="utf-8", errors="replace")}

    @routes.get("/api/runs/{run}/length")
    def length(run: str) -> dict[str, Any]:
        """How long a training is: {"by": "epochs" or "steps", "now": how many}."""
        try:
            config = toml.read(TrainSettings, found(run).job.config_path).run
        except SettingsError as error:
            raise HTTPException(409, str(error)) from None
        return {"by": "steps", "now": config.max_steps} if config.max_steps else {"by": "epochs", "now": config.epochs}

    @routes.post("/api/runs/{run}/extend")
    def extend(run: str, to: Annotated[int, Body(embed=True)]) -> dict[str, Any]:
        """Go on to so many epochs or steps in all, as `length` counts them."""
        known = found(run)
        try:
            command.extend(known.job, to)
            queue.resume(known.job)
        except (SettingsError, JobError) as error:
            raise HTTPException(409, str(error)) from None
        window.runs.changed()
        return {}

    @routes.post("/api/runs/{run}/{action}")
    def act(run: str, action: Action) -> dict[str, Any]:
        known = found(run)
        try:
            if action == "resume":
                queue.resume(known.job)
            elif action == "queue":
                queue.submit(known.job)
            elif action == "kill":
                process.kill(known.job)
            elif action == "stop" and window.runs.state(known.job) == "queued":
                queue.withdraw(known.job)
            else:
                requests.ask(known.job.folder, action)
        except JobError as error:
            raise HTTPException(409, str(error)) from None
        window.runs.changed()
        return {}

    @routes.get("/api/runs/{run}/files/{name:path}")
    def file(run: str, name: str) -> Response:
        path = files(found(run)).get(name)
        if path is None:
            raise HTTPException(404, "this run has no such file")
        if path.suffix != ".safetensors":
            return snapshot(path)
        return FileResponse(path, media_type="application/octet-stream", filename=path.name)

    @routes.get("/api/runs/{run}/samples/{step}/{index}")
    def sample(run: str, step: int, index: int, side: int = 0) -> FileResponse:
        path = found(run).sample(step, index)
        if path is None:
            raise HTTPException(404, "this run has no such sample")
        if not side:
            return FileResponse(path, media_type=PICTURES[path.suffix.lower()])
        try:
            return FileResponse(window.thumbnails.small(path, side), media_type="image/webp")
        except (PictureError, OSError) as error:
            raise HTTPException(404, str(error)) from None

    return routes


def run_of(window: Window, run: str) -> Run:
    """The run that a request names; 404 where there is none."""
    known = window.runs.find(run)
    if known is None:
        raise HTTPException(404, "There is no such run.")
    return known


def described(run: Run, state: str) -> dict[str, Any]:
    """All that the page shows of a run, except curves and log. Texts in it may be anyone's."""
    job, last, plan = run.job, run.last, run.started.get("plan") or {}
    return {
        "id": job.id,
        "name": job.name,
        "kind": job.kind,
        "created": job.created,
        "state": state,
        "word": word(state, job),
        "folder": str(job.folder),
        "step": run.step,
        "total": run.total,
        "epoch": last.get("epoch"),
        "epochs": run.started.get("epochs"),
        "device": run.started.get("device", ""),
        "phase": run.phase,
        "sentence": plan.get("sentence", ""),
        "loss": last.get("loss_average", last.get("loss")),
        "rate": last.get("lr"),
        "it_s": last.get("it_s"),
        "img_s": last.get("img_s"),
        "eta": last.get("eta"),
        "memory_gb": last.get("memory_gb"),
        "points": len(run.loss) + sum(map(len, run.validation.values())),
        "warnings": run.warnings[-20:],
        "class_images": run.class_images,
        "end": ending(run),
        "samples": samples(run),
        "files": [
            {"name": name, "bytes": path.stat().st_size, "kind": kind(run, name), "step": run.checkpoints.get(name)}
            for name, path in files(run).items()
        ]
        + [
            {"name": name, "bytes": sum(path.stat().st_size for path in inside.values()), "kind": "folder"}
            for name, inside in folders(run).items()
        ],
        "waits": state == "queued" and (job.folder / "queued.json").exists(),
        "asked": sorted(requests.waiting(job.folder)),
        "patience_ends": requests.patience_ends(job.folder) if state == "running" else None,
    }


def captioned(window: Window, run: CaptionRun) -> dict[str, Any]:
    """What only a captioning job has to tell. The captions themselves are asked for in parts: `routes/captions.py`."""
    written = window.histories.states(run.end.get("actions") or {})
    return run.counts | {
        "captioners": run.started.get("captioners", []),
        "captioner": run.last.get("captioner", ""),
        "pass": run.last.get("pass", 1),
        "passes": run.last.get("passes", 1),
        "mode": run.started.get("mode", ""),
        "dry_run": bool(run.started.get("dry_run")),
        "skipped": run.started.get("skipped", 0),
        "said": len(run.captions),
        "newest": run.newest[-1].get("time", 0) if run.newest else 0,
        "problems": len(run.problems),
        "move": "" if not written else "redo" if written == {"undone"} else "undo",
    }


def ending(run: Run) -> dict[str, Any]:
    return {
        name: run.end[name]
        for name in ("kind", "cause", "fix", "traceback", "seconds", "killed", "hung", "time")
        if name in run.end
    }


def samples(run: Run) -> dict[str, Any]:
    """Prompts are rows and steps are columns."""
    prompts: dict[int, str] = {}
    for (_, index), event in sorted(run.samples.items()):
        prompts[index] = str(event.get("prompt", ""))
    return {
        "prompts": [[index, prompts[index]] for index in sorted(prompts)],
        "steps": sorted({step for step, _ in run.samples}),
        "have": [[step, index, event.get("seed")] for (step, index), event in sorted(run.samples.items())],
    }


def files(run: Run) -> dict[str, Path]:
    """What a person may take away: {name inside the job's folder: path}, the finished LoRA first."""
    folder = run.job.folder
    loras = [*sorted(folder.glob("*.safetensors")), *sorted(embeddings(folder))]
    saved = [*run.job.checkpoints.glob("*.safetensors"), *embeddings(run.job.checkpoints)]
    checkpoints = sorted(saved, key=lambda path: natural(path.name), reverse=True)
    others = [path for path in (run.job.config_path, run.job.log_path, run.job.events_path) if path.is_file()]
    listed = {path.relative_to(folder).as_posix(): path for path in [*loras, *checkpoints, *others]}
    return {name: path for name, path in listed.items() if run.file(name)}


def kind(run: Run, name: str) -> str:
    if not name.endswith(".safetensors"):
        return "record"
    if name.startswith(f"{run.job.checkpoints.name}/"):
        return "checkpoint"
    if name.startswith(f"{EMBEDDINGS}/"):
        return "embedding"
    return "model" if learnt.is_whole(run.job) else "lora"


def natural(name: str) -> list[tuple[int, str]]:
    """Orders step9 before step10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
