"""Text that an OCR program has read in a picture, from the file that it left beside it.

Two forms: `NAME.tsv` as tesseract writes it (`tesseract a.jpg a tsv`), and `NAME.ocr.json`, a list of objects with
`text`, `confidence` (0..1) and `box` (left, top, right, bottom in pixels, or corners), which any other program's
results are easily written as. Nothing is recognised here.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SURE = 0.6  # less is mostly noise that is taken for letters
MAX_BYTES = 4_000_000
COLUMNS = {"block_num", "par_num", "line_num", "left", "top", "width", "height", "conf", "text"}
Box = tuple[float, float, float, float]


class OcrError(ValueError):
    """A file of these names that holds something else; says what."""


@dataclass(frozen=True)
class Line:
    """`box`: left, top, right, bottom in pixels; None where it isn't said."""

    text: str
    sure: float  # 0..1
    box: Box | None = None


def files(picture: Path) -> list[Path]:
    """Where results for a picture may lie, and do."""
    return [path for path in (picture.with_suffix(".tsv"), picture.with_suffix(".ocr.json")) if path.is_file()]


def read(path: Path) -> list[Line]:
    """The lines with letters or digits in them that the program was sure of. OcrError, OSError."""
    if path.stat().st_size > MAX_BYTES:
        raise OcrError("it is too large for the text of one picture")
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = _rows(json.loads(text)) if path.suffix == ".json" else _tesseract(text)
        return [line for line in found if line.sure >= SURE and any(map(str.isalnum, line.text))]
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise OcrError("it isn't UTF-8" if path.suffix == ".tsv" else "it isn't JSON") from None
    except (ValueError, KeyError, TypeError, OverflowError, csv.Error) as error:
        raise OcrError(str(error) if isinstance(error, OcrError) else "a row has no text, or no numbers") from None


def place(box: Box | None, width: int, height: int) -> str:
    """Where in a picture that is: "bottom left"; "" for in the middle, or nobody knows where."""
    if box is None:
        return ""
    across, down = (box[0] + box[2]) / 2 / max(1, width), (box[1] + box[3]) / 2 / max(1, height)
    return " ".join(filter(None, (_third(down, "top", "bottom"), _third(across, "left", "right"))))


def _third(share: float, first: str, last: str) -> str:
    return first if share < 1 / 3 else last if share > 2 / 3 else ""


def _rows(rows: Any) -> Iterator[Line]:
    if not isinstance(rows, list):
        raise OcrError("it is no list")
    for row in rows:
        if not isinstance(row, dict) or not isinstance(row["text"], str):
            raise OcrError("a row has no text")
        box = row.get("box")
        yield Line(_plain(row["text"]), float(row.get("confidence", 1)), _box(box) if box else None)


def _box(numbers: list[Any]) -> Box:
    """Two corners as four numbers, or any number of corners as pairs."""
    if len(numbers) == 4 and not isinstance(numbers[0], list):
        left, top, right, bottom = map(float, numbers)
        return left, top, right, bottom
    across, down = zip(*((float(x), float(y)) for x, y in numbers))
    return min(across), min(down), max(across), max(down)


def _tesseract(text: str) -> Iterator[Line]:
    """Words are rows with a confidence in percent, -1 for what is no word; those of one line are put together."""
    table = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if not COLUMNS <= set(table.fieldnames or ()):
        raise OcrError("it isn't a table as tesseract writes it")
    lines: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for row in table:
        if float(row["conf"]) >= 100 * SURE and (row["text"] or "").strip():
            line = row.get("page_num", ""), row["block_num"], row["par_num"], row["line_num"]
            lines.setdefault(line, []).append(row)
    for words in lines.values():
        yield Line(_plain(" ".join(word["text"] for word in words)), min(float(word["conf"]) for word in words) / 100,
                   _around(words))


def _around(words: Iterable[dict[str, str]]) -> Box:
    boxes = [tuple(float(word[name]) for name in ("left", "top", "width", "height")) for word in words]
    return (min(box[0] for box in boxes), min(box[1] for box in boxes),
            max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes))


def _plain(text: str) -> str:
    return " ".join(text.split())
