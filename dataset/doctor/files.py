"""What is odd about the files themselves: left out, tiny, huge, animated, turned, transparent, misnamed, ambiguous."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from dataset.doctor.check import Case, Finding, Subject, check, finding, told
from dataset.doctor.look import Look
from dataset.scan import Item

HUGE = 12_000_000  # pixels; more than any model is trained at, many times over
TINY = 0.5  # of the training resolution: a picture whose shorter side has less shows no detail
EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jfif"), "PNG": (".png",), "WEBP": (".webp",), "BMP": (".bmp",), "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"), "AVIF": (".avif",),
}


@check
def empty(subject: Subject) -> Iterator[Finding]:
    if not subject.training:
        yield Finding("files.empty", "serious", "There is no picture to train on", "Training can't begin.",
                      "Choose the folder with the pictures.", ())


@check
def left_out(subject: Subject) -> Iterator[Finding]:
    """Unreadable, cut off, damaged, too large, of a kind that isn't read, and files that are there twice."""
    cases = told(problem for problem in subject.problems if not problem.used and problem.kind != "excluded")
    yield from finding(
        "files.left_out", "serious", cases, "{thing} in the folder left out",
        "Training goes on without them. Other trainers may stop at them, hours into a run.",
        "Each says what to do with it.")


@check
def excluded(subject: Subject) -> Iterator[Finding]:
    cases = told(problem for problem in subject.problems if problem.kind == "excluded")
    yield from finding(
        "files.excluded", "note", cases, "{picture} that you have excluded",
        "Training goes on without them, as you wanted.", "Include those again that you want after all.")


@check
def remarks(subject: Subject) -> Iterator[Finding]:
    """What the scan remarked that no other check tells."""
    cases = told(problem for problem in subject.problems if problem.used and not problem.kind)
    yield from finding(
        "files.remarks", "note", cases, "{remark} on how the folder was read",
        "What is trained on may differ from what you expect.", "Each says what to do.")


@check
def tiny(subject: Subject) -> Iterator[Finding]:
    least = subject.settings.resolution * TINY
    small = sorted((item for item in subject.items if is_tiny(subject, item)),
                   key=lambda item: (item.width * item.height, str(item.path)))
    yield from finding(
        "files.tiny", "warning", _sized(small), f"{{picture}} with a side under {least:.0f} px",
        "Trained at their own size they teach no detail, enlarged they teach blur and JPEG blocks.",
        "Look for larger versions, or leave them out.")


@check
def huge(subject: Subject) -> Iterator[Finding]:
    large = sorted((item for item in subject.items if item.width * item.height > HUGE),
                   key=lambda item: (-item.width * item.height, str(item.path)))
    yield from finding(
        "files.huge", "note", _sized(large), f"{{picture}} of more than {HUGE / 1e6:.0f} megapixels",
        "They are scaled down each time they are read, which makes the start slow; nothing else is lost.",
        "Scale them down once, if you have many.")


@check
def animated(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "files.animated", "warning", _cases(subject, lambda look, item: look.animated), "{animated picture}",
        "Only the first frame is trained on, often an empty or a half-faded one.",
        "Save the frame that you want as a picture of its own.")


@check
def turned(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "files.turned", "note", _cases(subject, lambda look, item: look.turned),
        "{picture} upright only by a mark in the file (EXIF)",
        "Here they are turned upright before training. Trainers that don't read the mark learn them lying.",
        "Nothing is to be done here; save them turned if they go elsewhere.")


@check
def transparent(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "files.transparent", "note", _cases(subject, lambda look, item: look.transparent),
        "{picture} with transparent parts",
        "What is transparent becomes white, and the model learns a white background.",
        'Lay them on varied grounds, or say "white background" in their captions.')


@check
def misnamed(subject: Subject) -> Iterator[Finding]:
    def wrong(look: Look, item: Item) -> bool:
        return item.path.suffix.lower() not in EXTENSIONS.get(look.format, ())

    yield from finding(
        "files.misnamed", "note", _cases(subject, wrong, "the content is {format}"),
        "{picture} whose extension says another kind",
        "Here the content decides, so nothing is lost. Other programs may refuse them.",
        "Rename them to the extension of their content.")


@check
def same_name(subject: Subject) -> Iterator[Finding]:
    """`a.jpg` beside `a.png`: they have one caption file between them."""
    stems: dict[tuple[Path, str], list[Item]] = {}
    for item in subject.items:
        stems.setdefault((item.path.parent, unicodedata.normalize("NFC", item.path.stem).casefold()), []).append(item)
    shared = [items for items in stems.values() if len(items) > 1]
    cases = (Case(tuple(item.path for item in items), "one caption for all" * _one_caption(items)) for items in shared)
    yield from finding(
        "files.same_name", "serious" if any(map(_one_caption, shared)) else "warning", cases,
        "{name} that several pictures have, but for the extension",
        "They share one caption file, so all but one may be trained with words for another picture.",
        "Rename them, with a caption each; or delete the extra ones if they are the same picture.")


def is_tiny(subject: Subject, item: Item) -> bool:
    return min(item.width, item.height) < subject.settings.resolution * TINY


def _one_caption(items: list[Item]) -> bool:
    sources = [item.caption_from for item in items if item.caption_from and item.caption_from.stem == item.path.stem]
    return len(set(sources)) < len(sources)


def _sized(items: list[Item]) -> tuple[Case, ...]:
    return tuple(Case((item.path,), f"{item.width:,} x {item.height:,}") for item in items)


def _cases(subject: Subject, which: Callable[[Look, Item], bool], detail: str = "") -> tuple[Case, ...]:
    pairs = ((item, subject.looks[item.path]) for item in subject.items)
    return tuple(Case((item.path,), detail.format(format=look.format)) for item, look in pairs if which(look, item))
