"""Kills a small training run at random moments, again and again, and counts what was lost: nothing may be.

    .venv/bin/python -m benchmarks.kill [--kills 200] [--minutes M] [--seed 1]

Every step saves, so most moments lie in or near a save; half of the kills wait until one is being written. Each time
the run is started again and must go on from the newest state that was on disk before, or a later one. At its end it
must have the very adapters and optimiser of a run that nobody killed; then the next one begins.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.trainer import forks  # noqa: E402  after the path

STEPS = 16
POLL = 0.002  # seconds between two looks of the killer
NEAR = 0.03  # a save of the small run takes about as long


@dataclass
class Tally:
    """What became of it. `moments` counts where the kills hit."""

    wanted: int
    until: float  # time.monotonic()
    kills: int = 0
    runs: int = 0
    lost_steps: int = 0
    unequal: int = 0
    moments: Counter[str] = field(default_factory=Counter)

    @property
    def goes_on(self) -> bool:
        return self.kills < self.wanted and time.monotonic() < self.until

    @property
    def losses(self) -> int:
        return self.lost_steps + self.unequal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=1e9, help="kill no more after this time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loratory-kill-") as folder:
        os.environ |= {"LORATORY_HOME": str(Path(folder) / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        return measure(Path(folder), options.kills, options.minutes, random.Random(options.seed))


def measure(folder: Path, kills: int, minutes: float, chance: random.Random) -> int:
    import torch

    forks.import_all()
    torch.set_num_threads(1)  # more would not live on in a forked process
    began, tally = time.monotonic(), Tally(kills, time.monotonic() + 60 * minutes)
    model, pictures = prepared(folder)
    straight = trained(job(model, pictures))
    while tally.goes_on:
        killed(job(model, pictures), straight, chance, tally)
    hits = ", ".join(f"{count} {where}" for where, count in tally.moments.most_common())
    print(
        f"{tally.kills} kills over {tally.runs} runs of {STEPS} steps in {time.monotonic() - began:.0f} s ({hits}): "
        f"{tally.losses} losses ({tally.lost_steps} times a state that was there was not gone on from, "
        f"{tally.unequal} runs were not equal to the one that nobody killed)"
    )
    return 1 if tally.losses else 0


def prepared(folder: Path) -> tuple[Path, Path]:
    """A tiny model and four pictures. The model is made in a process of its own, since no forked one may follow a
    process in which torch has computed with threads."""
    from PIL import Image

    pid = os.fork()
    if pid == 0:
        from tests.models import tiny_sd15

        tiny_sd15(folder / "tiny")
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, size in enumerate([(64, 64), (96, 64), (64, 96), (64, 64)]):
        Image.new("RGB", size, (60 * number, 120, 200 - 50 * number)).save(pictures / f"{number}.png")
        (pictures / f"{number}.txt").write_text(f"sks, number {number}")
    return folder / "tiny", pictures


def job(model: Path, pictures: Path) -> Path:
    """A new job: text encoder too, dropout everywhere, accumulation, samples and checkpoints in between."""
    from settings.errors import check
    from trainer import command
    from trainer.config import TrainSettings

    values = {
        "name": "kill",
        "model": {"base": str(model)},
        "dataset": {"folders": [str(pictures)], "resolution": 32, "bucket_step": 8, "flip": True},
        "captions": {"shuffle": True, "dropout": 0.2},
        "lora": {
            "denoiser": {"rank": 4, "dropout": 0.2},
            "text_encoder": {"train": True, "rank": 4, "dropout": 0.2},
        },
        "run": {"max_steps": STEPS, "gradient_accumulation": 2},
        "accelerate": {"cpu": True, "mixed_precision": "no"},
        "preview": {"prompts": ["sks"], "steps": 1, "every_steps": 8, "every_epochs": 0, "at_start": False},
        "save": {"every_steps": 1, "keep_last": 2},
    }
    return command.create(check(TrainSettings, values)).folder


def trained(folder: Path) -> Path:
    code = os.waitstatus_to_exitcode(os.waitpid(begun(folder), 0)[1])
    assert code == 0, (folder / "log.txt").read_text()
    return folder


def begun(folder: Path) -> int:
    """A process that trains the job; its id."""
    pid = os.fork()
    if pid:
        return pid
    from trainer.__main__ import main as work

    with (folder / "log.txt").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os._exit(work(["train", str(folder)]))


def killed(folder: Path, straight: Path, chance: random.Random, tally: Tally) -> None:
    """One run, killed until it comes through (or there were enough kills), and held against the straight one."""
    tally.runs += 1
    took = 1.0
    while True:
        events = folder / "events.jsonl"
        promised, said = announced(folder), events.stat().st_size if events.exists() else 0
        start = time.monotonic()
        pid = begun(folder)
        if tally.goes_on:
            wait(pid, folder, chance, took)
            os.kill(pid, signal.SIGKILL)  # it is not waited for yet, so the id is still its own
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        took = max(0.3, 0.7 * took + 0.3 * (time.monotonic() - start))
        tally.lost_steps += began_at(folder, said) not in (None, *range(promised, STEPS + 1))
        if code != -signal.SIGKILL:
            assert code == 0, (folder / "log.txt").read_text()
            tally.unequal += not equal(folder, straight)
            return
        tally.kills += 1
        tally.moments[moment(folder, pid)] += 1
        if tally.kills % 10 == 0:
            print(f"{tally.kills} kills, {tally.losses} losses", flush=True)


def wait(pid: int, folder: Path, chance: random.Random, took: float) -> None:
    """Until a random moment of the run, or of a save; not longer than the process lives."""
    in_a_save, after = chance.random() < 0.5, chance.random()
    start, saving = time.monotonic(), 0
    wanted = chance.randint(1, 4)  # the how manieth save
    here = False
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if not in_a_save:
            if time.monotonic() - start > 1.5 * took * after:
                return
        elif any((folder / "state").glob(".step-*")) if (folder / "state").exists() else False:
            saving += not here
            here = True
            if saving == wanted:
                return time.sleep(after * NEAR)
        else:
            here = False
        time.sleep(POLL)


def announced(folder: Path) -> int:
    """The newest step of which a whole state is there; 0 without one."""
    from trainer import state

    return next((int(path.name[5:]) for path in state.saved(folder / "state") if state.whole(path)), 0)


def began_at(folder: Path, offset: int) -> int | None:
    """Where the attempt whose events begin at an offset went on; None if it did not come so far."""
    from jobs.events import read_events

    events, _ = read_events(folder / "events.jsonl", offset)
    return next((event["step"] for event in events if event["kind"] == "started"), None)


def moment(folder: Path, pid: int) -> str:
    """Where a kill has hit, by what it left and said last."""
    from jobs.events import last_event

    if any((folder / "state").glob(f".step-*.{pid}")):
        return "while a state was written"
    last = (last_event(folder / "events.jsonl") or {"kind": "phase"})["kind"]
    return {"phase": "before the first step", "step": "in or after a step"}.get(last, f"after a {last}")


def equal(folder: Path, other: Path) -> bool:
    """Adapters, optimiser and the finished LoRA's tensors, bit for bit."""
    import torch
    from safetensors.torch import load_file

    from trainer import state

    def all_of(one: Path) -> list:
        kept = state.load(one / "state", print)
        return [kept.adapters, kept.optimizer, kept.position["step"], load_file(one / "kill.safetensors")]

    def same(one, two) -> bool:
        if isinstance(one, torch.Tensor):
            return torch.equal(one, two)
        if isinstance(one, dict):
            return one.keys() == two.keys() and all(same(one[name], two[name]) for name in one)
        if isinstance(one, list | tuple):
            return len(one) == len(two) and all(map(same, one, two))
        return one == two

    return same(all_of(folder), all_of(other))


if __name__ == "__main__":
    sys.exit(main())
