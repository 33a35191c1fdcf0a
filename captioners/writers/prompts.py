"""Prompt templates: what a model is asked can quote what is known of the picture already, such as a tagger's tags.

A line all of whose fields are empty is left out, so that one template serves pictures with and without tags.
"""

from __future__ import annotations

import string
from collections.abc import Iterator

from captioners.base import Picture

FIELDS = {
    "tags": "what taggers before it in this run said",
    "caption": "what other captioners before it said",
    "existing": "the caption that was there",
    "name": "the file's name without its extension",
    "directory": "the name of its folder",
}


def filled(template: str, picture: Picture) -> str:
    """The prompt for one picture."""
    values = {
        "tags": picture.tags,
        "caption": picture.caption,
        "existing": picture.existing,
        "name": picture.path.stem,
        "directory": picture.path.parent.name,
    }
    lines = []
    for line in template.splitlines():
        parts = list(string.Formatter().parse(line))
        fields = [field for _, field, _, _ in parts if field is not None]
        if fields and not any(values[field].strip() for field in fields):
            continue
        lines.append("".join(text + ("" if field is None else values[field]) for text, field, _, _ in parts))
    return "\n".join(lines).strip()


def problems(template: str) -> Iterator[str]:
    """What is wrong with a template."""
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    try:
        # Line by line, as it is filled.
        parts = [part for line in template.splitlines() for part in string.Formatter().parse(line)]
    except ValueError:
        yield "has a bracket without its partner; for a bracket itself write {{ or }}"
        return
    for _, field, spec, conversion in parts:
        if field is not None and (field not in FIELDS or spec or conversion):
            yield f"does not know {{{field}}}; known are {known}"
