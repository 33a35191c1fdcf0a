"""`python launch.py prepare see FOLDER/picture.jpg`: what a run sees of one picture, in a terminal."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

from dataset import seen
from dataset.looks import Look
from dataset.pictures import PictureError
from dataset.problem import printable
from dataset.scan import Dataset, scan
from dataset.seen import Seen, Showing, Turn
from dataset.settings import Folder
from dataset.spelling import Vocabulary, reads, spelled
from dataset.variation import has_choice
from settings.errors import SettingsError
from settings.paths import absolute


def main(arguments: list[str]) -> int:
    """0: shown, 1: the picture can't be used, 2: there is no such picture, or a setting is wrong."""
    options = parser().parse_args(arguments)
    path = absolute(options.picture)
    try:
        if not path.is_file():
            raise SettingsError({"PICTURE": f"there is no such file: {path}"})
        if options.output and (os.path.exists(options.output) or not Path(options.output).absolute().parent.is_dir()):
            raise SettingsError({"--output": f"name a new file in a folder that exists: {options.output}"})
        settings = _settings(options.config)
        picture = seen.seen(path, settings, _data_set(path, settings), options.times)
        crop = seen.crop_png(picture, _look(picture, options))
        if options.output:
            Path(options.output).write_bytes(crop)
    except SettingsError as error:
        print("\n".join(f"{name}: {problem}" for name, problem in error.problems.items()), file=sys.stderr)
        return 2
    except PictureError as error:
        print(f"{path.name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.strerror or error}: {error.filename or path}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(seen.told(picture, settings), ensure_ascii=False, indent=1))
    else:
        print("\n".join(map(printable, _lines(picture, settings))))
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="launch.py prepare see", allow_abbrev=False,
        description="Shows what training sees of a picture: its bucket and crop, and its captions at the steps that "
                    "will show it, as the run with these settings draws them, cut into tokens.")
    made.add_argument("picture", metavar="PICTURE", help="a picture of the data set")
    made.add_argument("--config", metavar="RUN.toml", help="the settings of a run (default: the usual ones, with the "
                                                           "picture's folder as the data set)")
    made.add_argument("--output", metavar="CROP.png", help="write the exact pixels there")
    made.add_argument("--mirrored", action="store_true", help="write them mirrored")
    made.add_argument("--showing", type=int, metavar="N", help="write those of the N-th showing that is told: its own "
                                                               "size, window, colours and side")
    made.add_argument("--times", type=int, default=seen.TIMES, metavar="N", help=f"default: {seen.TIMES}")
    made.add_argument("--json", action="store_true", help="everything, with the borders of all tokens")
    return made


def _look(picture: Seen, options: argparse.Namespace) -> Look:
    if options.showing is None:
        return replace(picture.look(), flip=options.mirrored)
    if not 1 <= options.showing <= len(picture.turns):
        raise SettingsError({"--showing": f"must be 1 to {len(picture.turns)}; see also --times"})
    look = picture.look(options.showing - 1)
    return replace(look, flip=look.flip != options.mirrored)


def _settings(config: str | None) -> Showing:
    if not config:
        return Showing()
    try:
        values = tomllib.loads(absolute(config).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError({"--config": f"{config} can't be read ({error.strerror})"}) from None
    except ValueError as error:
        raise SettingsError({"--config": f"{config} is no TOML file: {error}"}) from None
    return seen.showing(values)


def _data_set(path: Path, settings: Showing) -> Dataset:
    """That of the run, if the picture is in it, else the picture's own folder."""
    extension = settings.dataset.caption_extension
    found = scan(settings.dataset.folders, extension)
    if any(item.path.name == path.name and item.path.samefile(path) for item in found.items):
        return found
    return scan([Folder(path=str(path.parent))], extension)


def _lines(picture: Seen, settings: Showing) -> list[str]:
    crop, (left, top, right, bottom) = picture.crop, picture.box(picture.crop)
    read = reads(settings.model.base, settings.captions, settings.words.taught)
    scaled = "" if crop.resized == picture.size else (
        f", {'enlarged' if picture.scale(crop) > 1 else 'made smaller'} {picture.scale(crop):.2f} times")
    lines = [
        f"{picture.path.name}: {_size(picture.size)}",
        f"trained as {' and '.join(map(_size, picture.sizes))}{scaled}",
        f"kept: {left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}; {crop.loss:.1%} cut off"
        f"{', anywhere else in each showing' if settings.dataset.crop == 'random' else ''}",
        f"mirrored at random: {'half of the time' if settings.dataset.flip else 'never'}",
    ]
    if picture.mask:
        lines.append(f"mask: {picture.mask.name} ({_masked(settings)})")
    if not settings.captions.wildcards and has_choice(picture.caption):
        lines.append("its {this|that} is trained as it stands: captions.wildcards is off")
    if picture.reason:
        return [*lines, f"not trained: {picture.reason}", _words(picture.caption, read)]
    lines.append(f"shown {picture.times:,} times in {picture.steps:,} steps; the first of them "
                 f"(seed {settings.run.seed}):")
    for turn in picture.turns:
        how = _shown(turn, picture, settings)
        lines += [f"  step {turn.step + 1:,}, epoch {turn.epoch + 1}{how}: {_words(turn.caption, read)}"]
    return lines


def _shown(turn: Turn, picture: Seen, settings: Showing) -> str:
    """What is special about a showing."""
    look, parts = turn.look, []
    if len(picture.sizes) > 1:
        parts.append(_size(look.crop.bucket))
    if settings.dataset.crop == "random":
        left, top, right, bottom = picture.box(look.crop)
        parts.append(f"{left:.0f}, {top:.0f} to {right:.0f}, {bottom:.0f}")
    parts += ["mirrored"] * look.flip + ([seen.coloured(look)] if look.colour else [])
    return "".join(f", {part}" for part in parts)


def _masked(settings: Showing) -> str:
    return "only what is white in it is learnt" if settings.dataset.masked_loss in ("files", "either") else (
        "not used: dataset.masked_loss is off")


def _words(caption: str, read: Vocabulary) -> str:
    """A caption with a bar between the tokens of a word, and what is not seen in square brackets."""
    found = spelled(caption, read)
    about = "" if read.exact else "about "
    if not found.borders:
        return "no words"
    text, last = "", 0
    for number, (start, end) in enumerate(found.borders):
        if number == found.limit:
            text, last = text + found.text[last:start] + "[", start
        text += ("|" if number and start == last and text[-1:] not in " [" else found.text[last:start])
        text, last = text + found.text[start:end], end
    closing = "]" if found.cut is not None else ""
    return f"{text}{closing} ({about}{len(found.borders)} of {found.limit} tokens)"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]:,} x {size[1]:,}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
