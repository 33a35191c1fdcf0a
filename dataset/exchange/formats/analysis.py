"""What a language model wrote about pictures: records of a picture, a caption and a confidence, in any JSON."""

from __future__ import annotations

from pathlib import Path

from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ImportSettings
from dataset.import_analysis import Analysis, Fields, analyse
from settings.errors import SettingsError

name = "analysis"
label = "Analysis by a language model (JSON)"
help = ("Records of a picture, a caption and a confidence, wherever they are in the file. Made into instance_images "
        "with metadata.jsonl, and data_summary.json, as by prepare import-analysis.")
order = 110
keeps = {"confidence"}

FIELDS = {"FILE": "source", "--images": "images", "--output": "output", "--image-field": "image_field"}


def fits(source: Path) -> int:
    return 30 if source.is_file() and source.suffix.lower() in (".json", ".jsonl") else 0


def analysed(source: Path, options: ImportSettings) -> Analysis:
    """What is to be made of it. Raises SettingsError in the words of this form."""
    if not source.is_file():
        raise SettingsError({"source": "this format is a file"})
    fields = Fields(options.image_field, options.caption_field, options.confidence_field)
    try:
        return analyse(source, images(source, options), options.min_confidence, fields)
    except SettingsError as error:
        raise SettingsError({FIELDS.get(path, path): said for path, said in error.problems.items()}) from error


def images(source: Path, options: ImportSettings) -> Path:
    return Path(options.images) if options.images else source.parent


def read(source: Path, options: ImportSettings) -> Found:
    analysis = analysed(source, options)
    found = Found([Record(kept.name, kept.source, kept.caption) for kept in analysis.kept])
    for dropped in analysis.dropped:
        found.leave_out(Path(f"{source}, {dropped.where}"), dropped.reason, "mend the record")
    return found
