"""Watermarks, signatures and text in pictures, by what a tagger saw in them and by what their captions say.

The tags are Danbooru's, which the WD taggers know; captions in sentences are searched for a few turns of phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dataset.doctor.check import Case, Finding, Subject, check, finding
from dataset.doctor.tagged import Tagged, tagged
from dataset.scan import Item

LIKELY = 0.5  # probability
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
DENIED = re.compile(r"\b(no|without|free of|lacks?|not?)\s+(any\s+|visible\s+|or\s+|a\s+)*$")


@check
def owners(subject: Subject) -> Iterator[Finding]:
    cases = list(_cases(subject, OWNERS, OF_OWNERS))
    yield from finding(
        "lettering.watermark", "warning", cases, "{picture} with a watermark, signature or logo",
        "They are in the same place again and again, so they are among the first things learnt, and drawn everywhere "
        "as coloured scribbles.",
        "Crop them off or retouch them; or name them in the captions (watermark, signature), so that they can be left "
        "out by a negative prompt.")


@check
def writing(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "lettering.text", "note", _cases(subject, WRITING, OF_WRITING), "{picture} with text in them",
        "Models of this size learn the look of letters, not the letters: they draw more and more scribbles.",
        "Leave them out, crop the text off, or name it in the captions (text, speech bubble).")


def _cases(subject: Subject, tags: tuple[str, ...], phrases: re.Pattern[str]) -> Iterator[Case]:
    """Each picture with one of the tags, what is surest first; and whether its caption names it."""
    digests = {item.path: bytes.fromhex(subject.looks[item.path].sha256) for item in subject.training}
    known = tagged(digests.values(), tags)
    found = []
    for item in subject.training:
        scores = known.seen.get(digests[item.path], {}) if known else {}
        likely = {tag: value for tag, value in scores.items() if value >= LIKELY}
        said = sorted(set(_said(item.caption, tags, phrases))) if item.caption_from is not None else []
        if likely or said:
            found.append((-max(likely.values(), default=0.0), str(item.path), item, likely, said))
    for *_, item, likely, said in sorted(found, key=lambda one: one[:2]):
        yield _case(item, likely, said, known)


def _case(item: Item, likely: dict[str, float], said: list[str], known: Tagged | None) -> Case:
    parts = []
    if likely and known:
        sure = sorted(likely.items(), key=lambda pair: (-pair[1], pair[0]))[:4]
        parts.append(", ".join(f"{tag} {value:.0%}" for tag, value in sure) + f" (by {known.name})")
        parts += [] if said else ["the caption doesn't name it"]
    if said:
        parts.append("its caption says " + ", ".join(f'"{one}"' for one in said[:4]))
    return Case((item.path,), "; ".join(parts))


def _said(caption: str, tags: Iterable[str], phrases: re.Pattern[str]) -> Iterator[str]:
    """Tags of the caption that are among these, and phrases in it that are not denied ("no watermark")."""
    text = caption.replace("_", " ").casefold()
    wanted = set(tags)
    yield from (part.strip() for part in text.split(",") if part.strip() in wanted)
    for match in phrases.finditer(text):
        if not DENIED.search(text[: match.start()]):
            yield match[0]
