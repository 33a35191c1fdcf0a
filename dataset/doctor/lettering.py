"""Watermarks, signatures and text in pictures, by what a tagger saw in them, what an OCR program read in them, and what
their captions say.

The tags are Danbooru's, which the WD taggers know; captions in sentences are searched for a few turns of phrase.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from dataset.doctor import ocr
from dataset.doctor.check import Case, Finding, Subject, check, finding
from dataset.doctor.tagged import Tagged, tagged
from dataset.scan import Item

LIKELY = 0.5  # probability
SHOWN = 60  # characters of a text in a picture
OWNERS = (
    "watermark", "sample watermark", "third-party watermark", "weibo watermark", "lofter watermark", "signature",
    "artist name", "artist logo", "username", "twitter username", "instagram username", "weibo username",
    "pixiv username", "patreon username", "patreon logo", "twitter logo", "weibo logo", "web address", "logo",
    "circle name", "dated", "copyright name", "copyright notice", "company name",
)  # fmt: skip
WRITING = (
    "text", "english text", "japanese text", "chinese text", "korean text", "russian text", "french text",
    "german text", "spanish text", "speech bubble", "thought bubble", "subtitled", "text focus", "wall of text",
    "sound effects", "page number", "character name", "song name", "title", "cover page", "magazine cover",
    "character profile", "meme", "comic", "4koma", "timestamp", "user interface", "fake screenshot", "qr code",
    "barcode",
)  # fmt: skip
OF_OWNERS = re.compile(r"\b(watermark(s|ed)?|(artist'?s?'?|painter'?s?'?) signature|signature (in|on|at) the|signed by|"
                       r"web ?site address|copyright notice)\b")
OF_WRITING = re.compile(r"\b(text (that )?(reads?|says|saying|reading|overlay)|speech bubbles?|caption (that )?reads?|"
                        r"the words?|subtitles?|lettering)\b")
OWNED = re.compile(r"[©®™]|\(c\)|www\.|https?:|\.(com|net|org|jp|io)\b|@\w{3}|\b(copyright|all rights reserved|stock|"
                   r"watermark|sample|preview|shutterstock|getty|alamy|dreamstime|patreon|deviantart|pixiv|twitter|"
                   r"instagram)\b")
OFTEN, LETTERS = 3, 5  # pictures that have the same line of so many letters: no writing of theirs, but somebody's mark
DENIED = re.compile(r"\b(no|without|free of|lacks?|not?)\s+(any\s+|visible\s+|or\s+|a\s+)*$")


@check
def owners(subject: Subject) -> Iterator[Finding]:
    cases = list(_cases(subject, OWNERS, OF_OWNERS, _written(subject)[0]))
    yield from finding(
        "lettering.watermark", "warning", cases, "{picture} with a watermark, signature or logo",
        "They are in the same place again and again, so they are among the first things learnt, and drawn everywhere "
        "as coloured scribbles.",
        "Crop them off or retouch them; or name them in the captions (watermark, signature), so that they can be left "
        "out by a negative prompt.")


@check
def writing(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "lettering.text", "note", _cases(subject, WRITING, OF_WRITING, _written(subject)[1]),
        "{picture} with text in them",
        "Models of this size learn the look of letters, not the letters: they draw more and more scribbles.",
        "Leave them out, crop the text off, or name it in the captions (text, speech bubble).")


@check
def unread(subject: Subject) -> Iterator[Finding]:
    cases = []
    for item in subject.training:
        for path in ocr.files(item.path):
            try:
                ocr.read(path)
            except (ocr.OcrError, OSError) as error:
                cases.append(Case((path,), str(error)))
    yield from finding(
        "lettering.unread", "note", cases, "{file} of an OCR program that can't be read",
        "Nothing: they are not trained on. What they say of text in pictures isn't told here.",
        "Write them anew, or take them away.")


Written = dict[Path, list[ocr.Line]]


def _written(subject: Subject) -> tuple[Written, Written]:
    """What OCR programs have read in each picture: marks of an owner, and other text."""
    found = {item.path: list(_lines(item.path)) for item in subject.training}
    counts = Counter(text for lines in found.values() for text in {line.text.casefold() for line in lines})
    marks = {text for text, number in counts.items()
             if OWNED.search(text) or (number >= OFTEN and len(text) >= LETTERS)}
    return tuple({path: [line for line in lines if (line.text.casefold() in marks) == owned]
                  for path, lines in found.items()} for owned in (True, False))


def _lines(picture: Path) -> Iterator[ocr.Line]:
    for path in ocr.files(picture):
        with suppress(ocr.OcrError, OSError):  # told by `unread`
            yield from ocr.read(path)


def _cases(subject: Subject, tags: tuple[str, ...], phrases: re.Pattern[str], written: Written) -> Iterator[Case]:
    """Each picture with one of the tags, or some text in it, what is surest first; and whether its caption names it."""
    digests = {item.path: bytes.fromhex(subject.looks[item.path].sha256) for item in subject.training}
    known = tagged(digests.values(), tags)
    found = []
    for item in subject.training:
        scores = known.seen.get(digests[item.path], {}) if known else {}
        likely = {tag: value for tag, value in scores.items() if value >= LIKELY}
        said = sorted(set(_said(item.caption, tags, phrases))) if item.caption_from is not None else []
        lines = written[item.path]
        if likely or said or lines:
            sure = max([*likely.values(), *(line.sure for line in lines)], default=0.0)
            found.append((-sure, str(item.path), _case(item, [*_tags(likely, known), *_texts(item, lines)], said)))
    yield from (case for *_, case in sorted(found, key=lambda one: one[:2]))


def _case(item: Item, seen: list[str], said: list[str]) -> Case:
    parts = [*seen, *["the caption doesn't name it"] * bool(seen and not said)]
    if said:
        parts.append("its caption says " + ", ".join(f'"{one}"' for one in said[:4]))
    return Case((item.path,), "; ".join(parts))


def _tags(likely: dict[str, float], known: Tagged | None) -> Iterator[str]:
    if likely and known:
        sure = sorted(likely.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
        yield ", ".join(f"{tag} {value:.0%}" for tag, value in sure) + f" (by {known.name})"


def _texts(item: Item, lines: list[ocr.Line]) -> Iterator[str]:
    """What is written, and where, the surest first."""
    for line in sorted(lines, key=lambda line: -line.sure)[:3]:
        text = line.text if len(line.text) <= SHOWN else line.text[: SHOWN - 1].rstrip() + "…"
        where = ocr.place(line.box, item.width, item.height)
        yield f'"{text}" {line.sure:.0%}{where and f", {where}"} (by OCR)'
    if len(lines) > 3:
        yield f"and {len(lines) - 3} more lines"


def _said(caption: str, tags: Iterable[str], phrases: re.Pattern[str]) -> Iterator[str]:
    """Tags of the caption that are among these, and phrases in it that are not denied ("no watermark")."""
    text = caption.replace("_", " ").casefold()
    wanted = set(tags)
    yield from (part.strip() for part in text.split(",") if part.strip() in wanted)
    for match in phrases.finditer(text):
        if not DENIED.search(text[: match.start()]):
            yield match[0]
