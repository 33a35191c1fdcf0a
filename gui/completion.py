"""What can come next in the tag editor's filter line: words of its language, or tags, for what is before the cursor."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dataset.editor import filter
from gui.editing import from_units, units

GRAMMAR = [
    ("cat", "the word in the caption or the file's name; * and ? stand for any letters"),
    ('tag:"long hair"', "captions with this tag"),
    ("-tag:cat", "captions without it; NOT tag:cat is the same"),
    ("tag:*hair", "a tag that ends like that"),
    ("/regex/i", "captions or names that a pattern is found in; i: capitals don't matter"),
    ("tag:/re(d|ed)/", "a pattern for one tag"),
    ("caption: name: path: folder: note:", "words in one of these only"),
    ("untagged uncaptioned prose", "no tags, no caption at all, sentences"),
    ("edited excluded starred noted regularisation", "what was done to a picture"),
    ("missing:trigger", "captions without the trigger word; missing:word for another"),
    ("tokens>75 tags<3 chars>=200", "numbers of a caption"),
    ("w<512 h<512 mp>1 ar>1.5", "width, height, megapixels, width divided by height"),
    ("stars>=3 repeats>1", "other numbers"),
    ("score(cat)<.5", "how sure the tagger was, for pictures that it has looked at"),
    ("dup: dup:others dup:name", "copies of any kind: all, all but the one to keep, those of a picture"),
    ("dup:same dup:near dup:mirrored", "copies of one kind: the same, nearly the same, mirrored"),
    ("a b, a OR b, a XOR b, (a b)", "both, one or both, only one of them, brackets"),
]
_PIECE = re.compile(r'-?(?:(?P<field>[A-Za-z]+):)?(?P<word>"(?:[^"\\]|\\.)*|[^\s()":/]*)$')
NAMES = {
    **{name: f"{name}:" for name in ("tag", "caption", "name", "path", "folder", "note", "missing", "dup")},
    **{name: name for name in (*filter.FLAGS, *filter.OPERATORS)},
    **{name: f"{name}>" for name in filter.NUMBERS},
    "score": "score(",
}
MOST = 12


def complete(line: str, cursor: int, tags: Callable[[str], list[dict[str, Any]]]) -> dict[str, Any]:
    """{from, to, list of {text, shown, note, kind}} for what ends at the cursor; places as JavaScript counts them."""
    end = from_units(line, cursor)
    match = _PIECE.search(line[:end])
    if match is None:
        return {"from": cursor, "to": cursor, "list": []}
    name, word = (match["field"] or "").lower(), match["word"]
    start = match.start("word")
    plain = word.lstrip('"').replace('\\"', '"')
    found: list[dict[str, Any]] = []
    if not name and plain and not word.startswith('"'):
        found = [{"text": text, "shown": text, "note": "", "kind": "word"}
                 for known, text in NAMES.items() if known.lower().startswith(plain.lower()) and known != plain]
    if name == "dup":
        found = [{"text": f"{kind} ", "shown": kind, "note": "", "kind": "word"} for kind in (*filter.COPIES, "others")
                 if kind.startswith(plain.lower())]
    if name in ("", "tag") and plain:
        field = "" if name else "tag:"
        found += [
            one | {"text": f"{field}{quoted(one['text'])} ", "shown": one["text"],
                   "note": f"{one['count']:,}" if one["count"] else ""}
            for one in tags(plain)
        ]
    return {"from": units(line, start), "to": cursor, "list": found[:MOST]}


def quoted(tag: str) -> str:
    """A tag as the line wants it: in quotes where it isn't a plain word."""
    return str(filter.Filter(filter.Text("tag", tag))).removeprefix("tag:")
