"""Makes one tidy line of what a model wrote: no opening phrases, no markdown, no spaces before commas.

Training captions say what is seen. "The image shows a dog" in every one of them teaches a model that dogs are images.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_KIND = r"(image|picture|photo|photograph|illustration|drawing|painting|artwork)"
OPENINGS = [
    r"\b(arafed|araffe\w*)\s+",
    r"^there (is|are)\s+",
    rf"^(this is |it is |it's )?(a|an|the) {_KIND} of\s+",
    rf"^(this|the|an?) {_KIND} (shows|depicts|features|portrays|displays|captures|is of)\s+",
    rf"^in (this|the) {_KIND},?\s+((there (is|are)|we (can )?see|you can see)\s+)?",
    r"^(sure|certainly|of course|okay)\b[^:.!]{0,40}[:.!]\s*",
    r"^here('s| is| are) [^:.]{0,60}:\s*",
    r"^(caption|description)\s*:\s*",
]
"""Regular expressions of what says nothing, without regard to case."""

_THOUGHTS = re.compile(r"<think>.*?(</think>|$)|^.*?</think>", re.DOTALL | re.IGNORECASE)
_MARKDOWN = re.compile(r"\*\*|__|^#+\s+|^[-*•]\s+|^```\w*|```$", re.MULTILINE)
_QUOTES = {'"': '"', "“": "”", "‘": "’", "«": "»"}


def cleaned(text: str, patterns: Sequence[str] = ()) -> str:
    """One line without thoughts, markdown, quotation marks around it, and what the `patterns` find.

    The patterns are tried again until none finds anything, because openings come in rows."""
    text = _THOUGHTS.sub("", text)
    text = " ".join(_MARKDOWN.sub("", text).split())
    for _ in range(5):
        before = text
        text = unquoted(text)
        for pattern in patterns:
            shorter = re.sub(pattern, "", text, flags=re.IGNORECASE).strip()
            # The new beginning is written as the old one was.
            if text[:1].isupper() and not text.startswith(shorter[:1]):
                shorter = shorter[:1].upper() + shorter[1:]
            text = shorter.lstrip(",;: ")
        if text == before:
            break
    return text


def unquoted(text: str) -> str:
    """Without quotation marks that enclose all of it."""
    if len(text) > 1 and _QUOTES.get(text[0]) == text[-1] and not set(text[1:-1]) & {text[0], text[-1]}:
        return text[1:-1].strip()
    return text


def respaced(text: str) -> str:
    """What BERT's word pieces took apart put together again: "a man ' s t - shirt , red" is "a man's t-shirt, red"."""
    text = re.sub(r"\s+([,.;:!?%)\]])", r"\1", text)
    text = re.sub(r"([(\[])\s+", r"\1", text)
    text = re.sub(r"(\w) ?' (s|t|re|ve|ll|d|m)\b", r"\1'\2", text)
    return re.sub(r"(\w) - (?=\w)", r"\1-", text)


def whole_sentences(text: str) -> str:
    """Without the half sentence at the end of a text that was cut off, where enough is left."""
    ends = [match.end() for match in re.finditer(r"[.!?][\"'”’)]*(?=\s|$)", text)]
    return text[: ends[-1]] if ends and ends[-1] > len(text) / 3 else text


def broken(patterns: Sequence[str]) -> Iterator[str]:
    """For each pattern that is no regular expression: what is wrong with it."""
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            yield f"{pattern!r} is no regular expression: {error}"
