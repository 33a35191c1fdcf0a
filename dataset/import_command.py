"""`python launch.py prepare import-analysis FILE --output DIR`: a training folder of analysed pictures, and a summary.

Everything is decided first, then written aside, and gets its names when it is whole. Nothing is ever overwritten.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from dataset import tokens
from dataset.import_analysis import Analysis, Fields, analyse
from dataset.problem import counted, printable
from settings.errors import SettingsError
from settings.paths import absolute

PICTURES, SUMMARY = "instance_images", "data_summary.json"
SHOWN = 10  # dropped records in the terminal


def main(arguments: list[str]) -> int:
    """0: made, 1: the disk refused, 2: there was nothing to make it of, or no place for it."""
    options = parser().parse_args(arguments)
    file, output = absolute(options.file), absolute(options.output)
    root = absolute(options.images) if options.images else file.parent
    fields = Fields(options.image_field, options.caption_field, options.confidence_field)
    try:
        _check(options, file, root, output)
        analysis = analyse(file, root, options.min_confidence, fields)
    except SettingsError as error:
        print("\n".join(f"{path}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    told = summary(analysis, file, root, options.min_confidence)
    _tell(analysis, told)
    if not analysis.kept:
        print("Nothing was written: no record is left to keep.", file=sys.stderr)
        return 2
    if options.dry_run:
        return 0
    try:
        write(analysis, told, output)
    except OSError as error:
        print(f"{error.strerror or error} ({error.filename or output}). Nothing was made.", file=sys.stderr)
        return 1
    print(f"Written: {output / PICTURES} and {output / SUMMARY}")
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="launch.py prepare import-analysis", allow_abbrev=False,
        description="Makes a training folder of what a language model wrote about pictures: JSON, or JSON lines, with "
                    "records of a picture, a caption and a confidence.")
    made.add_argument("file", metavar="FILE", help="the analysis")
    made.add_argument("--output", required=True, metavar="DIR", help=f"where {PICTURES}/ and {SUMMARY} are made")
    made.add_argument("--min-confidence", type=float, default=0.5, metavar="SHARE",
                      help="records below are dropped (0 to 1, default: 0.5); 0 also takes those that say none")
    made.add_argument("--images", default="", metavar="DIR", help="where the pictures are (default: beside FILE)")
    for what in ("image", "caption", "confidence"):
        made.add_argument(f"--{what}-field", default="", metavar="NAME",
                          help=f"what the {what} is called in a record; dots lead inside (default: guessed)")
    made.add_argument("--dry-run", action="store_true", help="only say what would be made")
    return made


def summary(analysis: Analysis, file: Path, root: Path, minimum: float) -> dict[str, Any]:
    """What `data_summary.json` says."""
    captions = [kept.caption for kept in analysis.kept]
    lengths = [tokens.count(caption) for caption in captions]
    return {
        "source": str(file),
        "images": str(root),
        "min_confidence": minimum,
        "fields": analysis.used,
        "confidence_scale": analysis.scale,
        "records": analysis.records,
        "kept": len(analysis.kept),
        "dropped": dict(sorted(Counter(dropped.kind for dropped in analysis.dropped).items())),
        "confidence": _spread(analysis.confidences),
        "confidence_histogram": histogram(analysis.confidences),
        "caption_lengths": {
            "words": _spread([len(caption.split()) for caption in captions]),
            "tokens": _spread(lengths),
            "tokens_exact": tokens.exact(),
            f"over_{tokens.LIMIT}_tokens": sum(length > tokens.LIMIT for length in lengths),
        },
        "dropped_records": [
            {"where": dropped.where, "image": dropped.image, "kind": dropped.kind, "reason": dropped.reason}
            for dropped in analysis.dropped
        ],
    }


def histogram(values: Iterable[float]) -> dict[str, int]:
    """Confidences 0..1 in tenths; each but the last without its upper end."""
    counts = Counter(min(9, int(value * 10 + 1e-9)) for value in values)
    return {f"{tenth / 10:.1f}-{(tenth + 1) / 10:.1f}": counts[tenth] for tenth in range(10)}


def write(analysis: Analysis, told: dict[str, Any], output: Path,
          progress: Callable[[str, int, int], object] = lambda *_: None) -> None:
    """Make the folder and the summary, whole or not at all; OSError where the disk refuses. `progress(what, done, of)`
    is called after each picture; an exception that it raises ends the work, and nothing is left of it."""
    output.mkdir(parents=True, exist_ok=True)
    aside = output / f".{secrets.token_hex(8)}.part"
    try:
        (aside / PICTURES).mkdir(parents=True)
        lines = []
        for done, kept in enumerate(analysis.kept, start=1):
            shutil.copyfile(kept.source, aside / PICTURES / kept.name)
            lines.append(_json({"file_name": kept.name, "text": kept.caption, "confidence": kept.confidence}))
            progress("writing", done, len(analysis.kept))
        (aside / PICTURES / "metadata.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
        (aside / SUMMARY).write_bytes(f"{_json(told, indent=1)}\n".encode())
        _free(output)  # again: copying takes a while
        for name in (PICTURES, SUMMARY):
            os.rename(aside / name, output / name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _json(value: Any, indent: int | None = None) -> str:
    """As UTF-8 can hold it: JSON may bring halves of characters, and field names in them."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode(errors="replace").decode()


def _check(options: argparse.Namespace, file: Path, root: Path, output: Path) -> None:
    if not file.is_file():
        raise SettingsError({"FILE": f"there is no such file: {file}"})
    if not root.is_dir():
        raise SettingsError({"--images": f"there is no such folder: {root}"})
    if not 0 <= options.min_confidence <= 1:
        raise SettingsError({"--min-confidence": "must be from 0 to 1"})
    if os.path.lexists(output) and not output.is_dir():
        raise SettingsError({"--output": f"this is a file: {output}"})
    try:
        _free(output)
    except FileExistsError as error:
        raise SettingsError({"--output": f"{error.filename} is there already; choose another folder"}) from error


def _free(output: Path) -> None:
    for name in (PICTURES, SUMMARY):
        if os.path.lexists(output / name):
            raise FileExistsError(errno.EEXIST, "it is there already", str(output / name))


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {"min": round(min(values), 4), "median": round(median(values), 4), "mean": round(fmean(values), 4),
            "max": round(max(values), 4)}


def _tell(analysis: Analysis, told: dict[str, Any]) -> None:
    print(f"{counted(analysis.records, 'record')}: {told['kept']:,} kept, {len(analysis.dropped):,} dropped.")
    for what, names in analysis.used.items():
        print(f"  {what}: {printable(', '.join(names))}")
    for kind, number in told["dropped"].items():
        print(f"  {kind}: {number:,}")
    for dropped in analysis.dropped[:SHOWN]:
        print(printable(f"    {dropped.where}: {': '.join(filter(None, (dropped.image, dropped.reason)))}"))
    if len(analysis.dropped) > SHOWN:
        print(f"    and {len(analysis.dropped) - SHOWN:,} more, listed in {SUMMARY}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
