"""What a training step of a full-size SD 1.5 costs beyond the bare UNet, and how much memory the whole run takes.

    python -m benchmarks.sd15_step PHOTOS [--size 256] [--steps 10] [--model FOLDER]

Trains a randomly initialised SD 1.5 on real photographs for a few steps in bf16, as the window would, then runs in
turn, on the same machine, a step of ours and the bare forward and backward of the same UNet without adapters, and
prints their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from jobs.events import read_events
from jobs.folder import Job
from settings.errors import check
from trainer import command
from trainer.config import TrainSettings


def configured(model: Path, photos: Path, size: int, steps: int) -> TrainSettings:
    return check(
        TrainSettings,
        {
            "name": "full-size",
            "model": {"base": str(model)},
            "dataset": {"folders": [{"path": str(photos)}], "resolution": size, "buckets": False},
            "run": {"max_steps": steps},
            "accelerate": {"cpu": True, "mixed_precision": "bf16"},
            "save": {"every_epochs": 0},
        },
    )


def whole_run(config: TrainSettings) -> dict:
    """Train in a process of its own; seconds a step (median) and the peak memory that the process saw."""
    job = command.create(config)
    if command.follow(job):
        raise SystemExit(job.log_path.read_text())
    steps = [event for event in read_events(job.events_path)[0] if event["kind"] == "step"]
    gaps = [later["time"] - earlier["time"] for earlier, later in zip(steps, steps[1:])]
    return {"step_s": round(statistics.median(gaps), 2), "peak_gb": steps[-1]["memory_gb"], "job": str(job.folder)}


def side_by_side(job: Path, rounds: int) -> dict:
    """Median seconds of a bare forward and backward, and of one step of ours, taken in turn."""
    import torch

    from dataset.turns import lay_out
    from trainer.batches import Batches
    from trainer.beginning import encode, load_family, where_to_train
    from trainer.loop import scan
    from trainer.plan import plan
    from trainer.report import Report
    from trainer.run import Run

    config = command.toml.read(TrainSettings, job / "config.toml")
    dataset = scan(config.dataset.folders)
    planned, place = plan(config, dataset), where_to_train(config)
    report = Report(Job(job), config, planned, place)
    family, parts = load_family(config, report)
    batches = Batches(config, planned, lay_out(config.dataset, dataset.items), dataset.items)
    latents, captions = encode(config, family, parts, batches, place, report)
    words = captions.of([""])["words"]
    shape = latents.of(batches.of_step(0)[0])[0].shape
    unet = parts["denoiser"]

    def bare() -> None:
        noisy = torch.randn(shape, dtype=unet.dtype, requires_grad=True)
        unet(noisy, torch.tensor([500]), words.to(unet.dtype)).sample.float().square().mean().backward()

    times: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(2):
        bare()
    times["bare"] = [timed(bare) for _ in range(rounds)]
    run = Run(config, planned, place, family, parts, batches, latents, captions)
    run.one_step()
    for _ in range(rounds):
        times["ours"].append(timed(run.one_step))
        with adapters_off(unet):
            times["bare"].append(timed(bare))
    bare_s, ours_s = (statistics.median(times[name]) for name in ("bare", "ours"))
    return {"bare_s": round(bare_s, 2), "ours_s": round(ours_s, 2), "ratio": round(ours_s / bare_s, 2)}


def adapters_off(unet):
    """The UNet as if nothing were attached."""
    from contextlib import contextmanager

    from trainer.lora import inject

    @contextmanager
    def off():
        layers = inject.layers(unet).values()
        for layer in layers:
            layer.enable_adapters(False)
        try:
            yield
        finally:
            for layer in layers:
                layer.enable_adapters(True)

    return off()


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=Path, help="keep the model here, and use it if it is there (2.1 GB)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ.setdefault("LORATORY_HOME", temporary)
        model = options.model or Path(temporary) / "sd15"
        if not (model / "model_index.json").exists():
            from tests.models import full_sd15

            full_sd15(model)
        result = whole_run(configured(model, options.photos, options.size, options.steps))
        result |= side_by_side(Path(result.pop("job")), options.rounds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
