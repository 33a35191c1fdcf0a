"""What is odd about the captions: none, empty, unread lines, broken letters, no trigger word, too long, alike."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from dataset.doctor.check import Case, Finding, Subject, check, finding, told
from dataset.reading import LENGTHS, Reader

COMMON = 0.8  # share of the captions that a common tag is in more than
ENOUGH = 5  # captions of which a share says something
ESTIMATED = ("the encoder's own list of words isn't read here",
             "open_clip, which has CLIP's list of words, isn't installed")
SHOWN = 60  # characters of a caption in a detail


@check
def missing(subject: Subject) -> Iterator[Finding]:
    wordless = [item for item in subject.training if not item.caption]
    others = [item for item in subject.training if item.caption and item.caption_from is None]
    yield from finding(
        "captions.missing", "serious", (Case((item.path,)) for item in wordless), "{picture} trained without any words",
        "What they show is learnt for every prompt, so it turns up where nobody asked for it.",
        "Caption them, or name the folder after your subject, as in 10_sks dog: that is used instead.")
    if len(others) < len(subject.training) - len(wordless):
        yield from finding(
            "captions.folder_words", "note", (Case((item.path,), f'"{item.caption}"') for item in others),
            "{picture} without a caption, beside others with",
            "They are trained with the words of the folder's name, which say less than the other captions do.",
            "Caption them too.")


@check
def empty(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "captions.empty", "warning", told(subject.remarks("empty")), "{caption file} with nothing in them",
        "They count as no caption. sd-scripts stops at such a file.", "Write a caption into them, or delete them.")


@check
def lines(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "captions.lines", "warning", told(subject.remarks("lines")), "{caption} of several lines",
        "Only the first line is trained with; what the others say is never learnt.", "Put each caption on one line.")


@check
def encoding(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "captions.encoding", "serious", told(subject.remarks("encoding")), "{caption} not in UTF-8",
        "Letters beyond A to Z were guessed, and may be learnt as nonsense. Other trainers stop at them.",
        "Open each, check it, and save it as UTF-8.")


@check
def trigger(subject: Subject) -> Iterator[Finding]:
    if not subject.trigger:
        return
    without = (item for item in subject.training if item.caption and not has_trigger(item.caption, subject.trigger))
    yield from finding(
        "captions.trigger", "serious", (Case((item.path,), f'"{_short(item.caption)}"') for item in without),
        f"{{caption}} without the trigger word {subject.trigger!r}",
        "These pictures teach other words what the trigger should call up, so it calls the subject up less surely.",
        "Add the word to the front of these captions.")


@check
def long(subject: Subject) -> Iterator[Finding]:
    reader = subject.aim.reader
    counts = {item.path: reader.count(item.caption) for item in subject.training}
    over = [item for item in subject.training if counts[item.path] > reader.limit]
    over.sort(key=lambda item: (-counts[item.path], str(item.path)))
    longer = [length for length in LENGTHS if reader.encoder == "clip" and length > reader.limit]
    more = [f"{number:,} {'is' if number == 1 else 'are'} over {length}" for length in longer
            if (number := sum(counts[item.path] > length for item in over))]
    about = "" if reader.exact() else f" (estimated: {ESTIMATED[reader.encoder == 'clip']})"
    yield from finding(
        "captions.long", "warning",
        (Case((item.path,), f'{counts[item.path]} tokens; not seen: "{_unseen(item.caption, reader)}"')
         for item in over),
        f"{{caption}} of more than {reader.limit} tokens{about}",
        "The text encoder doesn't see what comes after, so those words are never learnt"
        f"{'; ' + ' and '.join(more) if more else ''}.",
        "Shorten them, or put what matters first." if not longer else
        f"Shorten them, put what matters first, or train with captions.length at {' or '.join(map(str, longer))}.")


@check
def common(subject: Subject) -> Iterator[Finding]:
    """Tags, and whole captions where they have no commas, that nearly every picture has."""
    captions = [item.caption for item in subject.training if item.caption_from is not None]
    if len(captions) < ENOUGH:
        return
    parts = ({part.strip().casefold() for part in caption.split(",")} for caption in captions)
    counts = Counter(part for caption in parts for part in caption if part and part != subject.trigger.casefold())
    found = sorted(((number, part) for part, number in counts.items() if number > COMMON * len(captions)),
                   key=lambda pair: (-pair[0], pair[1]))
    yield from finding(
        "captions.common", "note",
        (Case((), f'"{_short(part)}" in {number:,} of {len(captions):,}', about=part) for number, part in found),
        f"{{tag}} in more than {COMMON:.0%} of the captions",
        "What all pictures share gets tied to these words as well as to the trigger, and is missing without them.",
        "Take out those that belong to your subject; keep what you want to be able to change.")


def has_trigger(caption: str, trigger: str) -> bool:
    """Whether the word stands in a caption as it is, or in another case."""
    return re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", caption, re.IGNORECASE) is not None


def _unseen(caption: str, reader: Reader) -> str:
    return _short(caption[reader.cut(caption) :])


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1].rstrip() + "…"
