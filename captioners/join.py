"""What captioners said of a picture, joined into its caption by a template such as "{trigger}, {caption}, {tags}"."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, field

SEPARATOR = re.compile(r"(\s*[,;|](?:\s+|$)|\.\s+|\s*\n\s*)")
EMPTY_BRACKETS = re.compile(r"\s*(\(\s*\)|\[\s*\])")


@dataclass
class Segment:
    """A piece of a template between two separators: words and fields in turn."""

    before: str  # the separator in front of it
    items: list[tuple[str, bool]] = field(default_factory=list)  # (text, False) or (name of a field, True)

    @property
    def fields(self) -> list[str]:
        return [item for item, is_field in self.items if is_field]


def joined(template: str, parts: dict[str, str], trigger: str = "") -> str:
    """The caption: `template` with its fields filled from `parts`, or without one all of them with commas between.

    A piece of it whose fields are all empty vanishes with its separator: "rating {rating}," too. What one field has
    said between commas a later one does not repeat. The trigger stands where the template has {trigger}, else in front
    of a caption that does not have it; so joining what was joined changes nothing."""
    placed = "{trigger}" in template
    template = template or ", ".join(f"{{{name}}}" for name, text in parts.items() if text)
    parts = parts | {"trigger": trigger}
    said = {key(part) for part in trigger.split(",")} if placed else set()
    text = ""
    for segment in segments(template):
        values = {name: parts[name] if name == "trigger" else fresh(parts[name], said) for name in segment.fields}
        if not segment.items or (values and not any(value.strip() for value in values.values())):
            continue
        filled = "".join(values[item] if is_field else item for item, is_field in segment.items).strip()
        filled = filled if all(values.values()) else EMPTY_BRACKETS.sub("", filled)
        text = f"{closed(text, segment.before)}{filled}" if text and filled else text or filled
    text = " ".join(text.split())
    return text if placed else with_trigger(text, trigger)


def with_trigger(text: str, trigger: str) -> str:
    """The caption with the trigger in front, unless it has it already, anywhere."""
    trigger, text = trigger.strip(), text.strip()
    if not trigger or re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", text, re.IGNORECASE):
        return text
    return f"{trigger}, {text}" if text else trigger


def segments(template: str) -> list[Segment]:
    found = [Segment("")]
    for literal, name, _, _ in string.Formatter().parse(template):
        words, *rest = SEPARATOR.split(literal)
        found[-1].items += [(words, False)] if words else []
        for before, words in zip(rest[::2], rest[1::2], strict=True):
            found.append(Segment(before, [(words, False)] if words.strip() else []))
        if name is not None:
            found[-1].items.append((name, True))
    return found


def fresh(text: str, said: set[str]) -> str:
    """What of a text between commas was not said before; all of it counts as said from now on."""
    parts = [part.strip() for part in text.split(",")]
    new = [part for part in parts if key(part) not in said]
    said |= {key(part) for part in new}
    return text if len(new) == len(parts) else ", ".join(new)


def key(part: str) -> str:
    """Parts of the same key say the same: case and underscores don't matter."""
    return " ".join(part.replace("_", " ").casefold().split())


def closed(text: str, separator: str) -> str:
    """A text and the separator behind it, without the full stop or comma that would stand before another."""
    return (text.rstrip(" .,;") or text if separator.strip() else text) + separator
