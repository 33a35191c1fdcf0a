"""Writes the pages of docs/ that are made from the program; run it after changing a setting."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pages() -> dict[str, str]:
    """File name in docs/ -> its text."""
    sys.path.insert(0, str(ROOT))
    from settings.reference import markdown
    from trainer.config import TrainSettings

    return {"options.md": markdown(TrainSettings, "Training options")}


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"docs/{name}")
