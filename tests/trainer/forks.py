"""Trains jobs in processes that can be killed like any other: `python -m tests.trainer.forks` imports everything once
and forks for each line on its input, a JSON object {"job": folder, "kill": step or null, "fail": how or null} (see
failing.py). It answers with the exit code, -9 for a killed one.

One computing thread: more would not live on in a forked process, and sums are the same everywhere.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Forks:
    """The other side: starts the program, and hands it one job at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.trainer.forks"],
            cwd=ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def train(self, job: Path, kill: int | None = None, fail: str | None = None) -> int:
        """Train to the end, or until the process kills itself in the moment in which step `kill` is done."""
        line = {"job": str(job), "kill": kill, "fail": fail, "home": os.environ["LORATORY_HOME"]}
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def child(line: dict, out: int) -> None:
    from tests.trainer import failing
    from trainer.__main__ import main
    from trainer.run import Run

    os.environ["LORATORY_HOME"] = line["home"]
    os.dup2(out, 1)
    os.dup2(out, 2)
    one_step = Run.one_step

    def killed(self: Run) -> dict:
        values = one_step(self)
        if self.step == line["kill"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return values

    Run.one_step = killed
    if line["fail"]:
        failing.arrange(line["fail"], Path(line["job"]))
    os._exit(main(["train", line["job"]]))


def import_all() -> None:
    """What a run needs, also what the libraries put off: imported here, each child has it at once."""
    import torch.utils.tensorboard  # noqa: F401
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    import trainer.loop  # noqa: F401


def serve() -> None:
    import torch

    import_all()
    torch.set_num_threads(1)
    for text in sys.stdin:
        line = json.loads(text)
        with (Path(line["job"]) / "log.txt").open("ab") as log:
            pid = os.fork()
            if pid == 0:
                child(line, log.fileno())
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve()
