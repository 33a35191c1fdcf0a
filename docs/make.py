"""Writes the pages of docs/ that are made from the program; run it after changing a setting."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pages() -> dict[str, str]:
    """File name in docs/ -> its text."""
    sys.path.insert(0, str(ROOT))
    from captioners.config import CaptionConfig
    from settings.reference import markdown
    from trainer.config import TrainSettings

    parts = [markdown(TrainSettings, "Training options"), markdown(CaptionConfig, "Captioning options")]
    return {"options.md": "\n".join(parts)}


if __name__ == "__main__":
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text, encoding="utf-8", newline="\n")
        print(f"docs/{name}")
