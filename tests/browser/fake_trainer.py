"""Stands in for the trainer where a test is about the window: it writes the events of a run, without learning anything.

python fake_trainer.py JOB [--steps N] [--pause SECONDS] [--fail AT] [--hang]
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from jobs.events import EventWriter, read_events  # noqa: E402
from jobs.requests import take  # noqa: E402

PROMPTS = [
    "a drawing of sks cat on a <b>red</b> ground",
    'sks cat & friends, "quoted", a very long prompt that goes on and on',
]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("job", type=Path)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--pause", type=float, default=0.05)
    parser.add_argument("--fail", type=int, default=0)
    options = parser.parse_args()
    run = Fake(options.job, options.steps, options.pause, options.fail)
    return run.train()


class Fake:
    def __init__(self, job: Path, steps: int, pause: float, fail: int):
        self.job, self.steps, self.pause, self.fail = job, steps, pause, fail
        self.events = EventWriter(job / "events.jsonl")
        self.hold = job.parent.parent / "hold"  # while it is there, a run waits shortly before its middle
        self.random = random.Random(1)

    def train(self) -> int:
        old, _ = read_events(self.job / "events.jsonl")
        begin = max((event["step"] for event in old if event["kind"] == "checkpoint"), default=0)
        for name, total in (("load model", 1), ("cache latents", 12)):
            for done in range(total + 1):
                self.events.write("phase", name=name, done=done, total=total)
                time.sleep(self.pause / 2)
        self.events.write(
            "started",
            pid=0,
            step=begin,
            total_steps=self.steps,
            epochs=4,
            device="cpu",
            family="sd15",
            plan={"sentence": f"12 pictures x 10 repeats x 4 epochs = {self.steps} steps", "total_steps": self.steps},
        )
        if not begin:
            self.sample(0)
        for step in range(begin + 1, self.steps + 1):
            self.step(step)
            if step == self.fail:
                self.events.write(
                    "failed",
                    cause="The loss is not a number any more.",
                    fix="Lower the learning rate to <0.0001>.",
                    traceback="Traceback (most recent call last):\n  ValueError: nan",
                )
                return 1
            wishes = self.wishes(step)
            if "sample" in wishes or step % (self.steps // 4) == 0:
                self.sample(step)
            if wishes & {"save", "stop", "pause"} or step % (self.steps // 2) == 0:
                self.save(step)
            if "stop" in wishes:
                self.events.write(
                    "stopped", step=step, lora=str(self.job / "checkpoints" / f"fake-{step:06d}.safetensors")
                )
                return 0
            if "pause" in wishes:
                self.events.write("paused", step=step)
                return 0
        (self.job / "fake.safetensors").write_bytes(b"\0" * 300_000)
        self.events.write("finished", lora=str(self.job / "fake.safetensors"), steps=self.steps, seconds=12.5)
        return 0

    def wishes(self, step: int) -> set[str]:
        wishes = take(self.job)
        while step == self.steps // 2 - 5 and self.hold.exists() and not wishes & {"stop", "pause"}:
            if "sample" in wishes:
                self.sample(step)
            if "save" in wishes:
                self.save(step)
            time.sleep(0.02)
            wishes = take(self.job)
        return wishes

    def step(self, step: int) -> None:
        time.sleep(self.pause)
        loss = 0.1 + 0.15 * math.exp(-4 * step / self.steps) + self.random.gauss(0, 0.03)
        rate = 1e-4 * (1 + math.cos(math.pi * step / self.steps)) / 2
        self.events.write(
            "step",
            step=step,
            epoch=4 * step / self.steps,
            loss=abs(loss),
            loss_average=0.12,
            lr=rate,
            lrs={"denoiser": rate, "text_encoder": rate / 2},
            grad_norm=0.4,
            it_s=1 / max(self.pause, 1e-3),
            img_s=20.0,
            eta=(self.steps - step) * self.pause,
            memory_gb=1.52,
        )
        if step % 10 == 0:
            print(f"step {step}/{self.steps} <i>loss</i> {loss:.4f}", flush=True)

    def sample(self, step: int) -> None:
        for index, prompt in enumerate(PROMPTS):
            picture = Image.new("RGB", (256, 256), (60 + 150 * step // self.steps, 90, 160 - 40 * index))
            ImageDraw.Draw(picture).ellipse((60, 60, 100 + 100 * step // self.steps, 190), fill="white")
            path = f"samples/{step:06d}-{index}.png"
            picture.save(self.job / path)
            self.events.write("sample", step=step, index=index, prompt=prompt, seed=1 + index, path=path)

    def save(self, step: int) -> None:
        path = f"checkpoints/fake-{step:06d}.safetensors"
        (self.job / path).write_bytes(b"\0" * 200_000)
        self.events.write("checkpoint", step=step, path=path)


if __name__ == "__main__":
    sys.exit(main())
