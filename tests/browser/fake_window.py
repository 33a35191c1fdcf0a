"""The window, with a stand-in for the trainer: `python fake_window.py STEPS PAUSE [arguments of the window]`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gui.__main__ import main  # noqa: E402
from trainer import command  # noqa: E402
from trainer.config import TrainSettings  # noqa: E402

STEPS, PAUSE = sys.argv[1:3]


def argv(config: TrainSettings) -> list[str]:
    """As `trainer.command.argv`, but for the stand-in."""
    fake = str(Path(__file__).with_name("fake_trainer.py"))
    return ["python", fake, "{job}", "--steps", STEPS, "--pause", PAUSE]


if __name__ == "__main__":
    command.argv = argv
    sys.exit(main(sys.argv[3:]))
