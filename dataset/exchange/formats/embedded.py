"""Prompts that A1111, Forge and ComfyUI have written into the pictures they made."""

from __future__ import annotations

from pathlib import Path

from dataset.exchange.prompts import plain_words, prompt_of
from dataset.exchange.reading import below_folder, relative, usable
from dataset.exchange.record import Found, Record
from dataset.exchange.settings import ImportSettings
from dataset.problem import counted
from settings.errors import SettingsError

name = "embedded"
label = "Prompts inside the pictures (A1111, ComfyUI)"
help = ("Takes the prompt that a picture was made with as its caption: from PNG text, or the EXIF comment of JPEG and "
        "WebP.")
order = 100
keeps = {"folders"}


def fits(source: Path) -> int:
    """Surer than a plain folder where the first pictures have prompts and no captions beside them."""
    if not source.is_dir():
        return 0
    first = below_folder(source)[:5]
    return 20 if first and all(prompt_of(path) and not path.with_suffix(".txt").exists() for path in first) else 0


def read(source: Path, options: ImportSettings) -> Found:
    if not source.is_dir():
        raise SettingsError({"source": "this format is a folder of pictures"})
    found, silent = Found(), 0
    for path in below_folder(source):
        if not usable(path, found):
            continue
        prompt = prompt_of(path)
        silent += not prompt
        words = plain_words(prompt) if options.plain_prompts else prompt
        found.records.append(Record(relative(path, source), path, words))
    if silent:
        found.remark(source, f"{counted(silent, 'picture')} without a prompt inside", "write captions for them")
    return found
