"""How one setting looks as a field, and how its value stands in it."""

from __future__ import annotations

import json
import math
import re
from typing import Any, get_origin

from settings.section import Section, Setting, label, words

# Words that a field's name cannot spell. Everything else is made from the names in the settings tree.
TITLES = {
    "lora": "LoRA",
    "full": "All weights",
    "dataset": "Data set",
    "accelerate": "Accelerate launch",
    "run": "Length",
    "captions": "Captions",
    "preview": "Samples",
    "prior": "Prior preservation",
    "words": "Textual inversion",
    "": "Basics",
}
LONG = 230  # letters of a help text that wants more than a column


def title(path: str) -> str:
    """ "lora.text_encoder" -> "LoRA: text encoder"."""
    first, *rest = (TITLES.get(part, words(part)) for part in path.split("."))
    return ": ".join([first, *(part if part.isupper() or part in TITLES.values() else part.lower() for part in rest)])


def column(setting: Setting) -> dict[str, Any]:
    """A field of a list's items, for `widgets/rows.js`."""
    kind = {bool: "switch", int: "number", float: "number"}.get(setting.type, "text")
    return {
        "name": setting.path,
        "label": label(setting),
        "help": setting.help,
        "kind": kind,
        "pick": setting.ui.kind,
        "default": for_field(setting, setting.default),
        "optional": setting.optional,
    }


def unmarked(text: str) -> str:
    """A help text for Gradio's `info`, which makes italics of what is between two stars and knows no way to write a
    star itself: then one that looks the same stands in its place."""
    return text.replace("*", "\u2217") if text.count("*") > 1 else text


def when_empty(setting: Setting) -> str | None:
    """What stands in the empty field of a number that need not be given: what its help says of that, if it is short."""
    said = re.search(r"Empty: ([^.;,(]{1,30})[.;,(]", setting.help)
    return (said[1] if said else "automatic") if setting.optional else None


def is_list(setting: Setting) -> bool:
    return get_origin(setting.type) is list


def for_field(setting: Setting, value: Any, own: str = "") -> Any:
    """A setting's value as its field holds it; `own`: the widget of ours that it is."""
    if setting.item or own:
        # As text: Gradio takes any {"path": ...} that passes through it for an uploaded file, and refuses it.
        items = value if isinstance(value, list) else str(value or "").splitlines()
        return json.dumps([item.model_dump(mode="json") if isinstance(item, Section) else item for item in items])
    if is_list(setting):
        return value if isinstance(value, str) else "\n".join(map(str, value or []))
    if setting.type in (int, float) and not setting.choices:
        return value if isinstance(value, (int, float)) else None
    if setting.type is bool:
        return bool(value)
    return "" if value is None else value if setting.choices else str(value)


def from_field(value: Any, own: str) -> Any:
    """The other way round, unchecked."""
    return json.loads(value or "[]") if own else value


def step(setting: Setting) -> float:
    """How far one press of an arrow key goes: a power of ten that suits the default."""
    if setting.ui.step:
        return setting.ui.step
    if setting.type is int:
        return 1
    return min(1.0, 10.0 ** math.floor(math.log10(abs(setting.default)))) if setting.default else 0.01


def width(setting: Setting) -> list[str]:
    several = setting.ui.kind == "text" or is_list(setting)
    path = setting.ui.kind in ("file", "folder", "model")
    return (
        (["wide"] if several or path else ["long"] if len(setting.help) > LONG else [])
        + (["picks"] if path else [])
        + (["switch"] if setting.type is bool else [])
    )
