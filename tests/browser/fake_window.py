"""The window, with a stand-in for the trainer: `python fake_window.py STEPS PAUSE [arguments of the window]`.

`python fake_window.py STEPS PAUSE --preflight JOB` is the check before a run, with the same stand-in."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from gui.__main__ import main  # noqa: E402
from jobs import folder  # noqa: E402
from trainer import preflight  # noqa: E402

STEPS, PAUSE = sys.argv[1:3]


create, change = folder.create, folder.change


def fake(kind: str, argv: list[str]) -> list[str]:
    """The command of a job: of a training the stand-in's, and of a check one whose trial is the stand-in's."""
    if kind == "preflight":
        return ["python", __file__, "4", "0", "--preflight", "{job}"]
    if kind != "train":
        return argv
    return ["python", str(Path(__file__).with_name("fake_trainer.py")), "{job}", "--steps", STEPS, "--pause", PAUSE]


if __name__ == "__main__":
    folder.create = lambda kind, name, text, argv, *more: create(kind, name, text, fake(kind, argv), *more)
    folder.change = lambda job, text, argv, *more: change(job, text, fake(job.kind, argv), *more)
    sys.exit(preflight.main(sys.argv[4:]) if sys.argv[3] == "--preflight" else main(sys.argv[3:]))
