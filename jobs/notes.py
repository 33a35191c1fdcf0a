"""What a person writes about a job, in its folder beside what the job says of itself; also while it runs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.files import read_json, replace
from jobs.lock import locked

FILE, LOCK = "notes.json", ".notes.lock"
PATIENCE = 5.0  # seconds
LONGEST, TAGS, LONGEST_TAG = 20_000, 20, 40


class NotesError(ValueError):
    """This cannot be kept as a note or a tag, and why."""


@dataclass(frozen=True)
class Notes:
    """`best`: the person's star."""

    text: str = ""
    tags: tuple[str, ...] = ()
    best: bool = False


def read(folder: Path) -> Notes:
    """The notes in a job's folder. What another hand has made illegible counts as not there."""
    kept = read_json(folder / FILE) or {}
    tags = kept.get("tags")
    return Notes(
        text=str(kept.get("text") or ""),
        tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        best=kept.get("best") is True,
    )


def write(folder: Path, **changes: Any) -> Notes:
    """Change some of text, tags and best; the others stay as they are. Raises NotesError, and changes nothing then."""
    with locked(folder / LOCK, PATIENCE) as mine:  # a star and a tag may be given in the same moment
        if not mine:
            raise NotesError("someone else is writing the notes of this run: try again in a moment")
        kept = asdict(read(folder)) | changes
        if len(kept["text"]) > LONGEST:
            raise NotesError(f"the notes may have {LONGEST:,} characters; these have {len(kept['text']):,}")
        notes = Notes(kept["text"], tidy(kept["tags"]), kept["best"])
        replace(folder / FILE, json.dumps(asdict(notes), indent=1) + "\n")
    return notes


def tidy(tags: Any) -> tuple[str, ...]:
    """Each tag once, whatever its capitals, without spaces around it. Raises NotesError."""
    found: dict[str, str] = {}
    for tag in tags:
        tag = re.sub(r"\s+", " ", tag).strip()
        if tag and ("," in tag or not tag.isprintable() or len(tag) > LONGEST_TAG):
            raise NotesError(f"a tag has at most {LONGEST_TAG} characters and no comma; got {tag[:60]!r}")
        if tag:
            found.setdefault(tag.casefold(), tag)
    if len(found) > TAGS:
        raise NotesError(f"a run may have {TAGS} tags; these are {len(found)}")
    return tuple(found.values())
