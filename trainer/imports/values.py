"""How kohya's files write values: numbers and switches often as text, `None` as a word, several in one text."""

from __future__ import annotations

import json
import math
import re
from typing import Any

WORDS = {"true": True, "false": False, "none": None, "null": None, "": None}
# key=value, where a value may be a tuple, a list, a quoted text, or numbers with commas between them
PAIR = re.compile(
    r"([\w.]+)\s*=\s*(\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|\"[^\"]*\"|'[^']*'|[^=]+?)(?=[,\s]+[\w.]+\s*=|[,\s]*$)"
)
# pairs in the value of a pair
NESTED = re.compile(r"\b(network_reg_(?:dims|lrs))\s*=\s*(\S+)")


def plain(value: Any) -> Any:
    """A text as the switch, the number or the nothing that it spells, else as it is. A number that is none is text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    for kind in (int, float):
        try:
            if math.isfinite(found := kind(text)):
                return found
        except (ValueError, OverflowError):
            continue
    return value


def number(value: Any) -> float | None:
    """A number, or None where there is none."""
    found = plain(value)
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def numbers(value: Any) -> list[float]:
    """All numbers of "512,768", "(0.9, 0.99)" or a list."""
    if isinstance(value, (list, tuple)):
        return [found for item in value for found in numbers(item)]
    if isinstance(value, str):
        return [float(word) for word in re.findall(r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?", value)]
    return [value] if number(value) is not None else []


def pairs(value: Any) -> dict[str, Any]:
    """{name: value} of "a=1 b=0.9,0.99", of ["a=1", ...], of '{"a": "1"}' or of a table."""
    if isinstance(value, str) and value.strip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    if isinstance(value, dict):
        return {str(name): item for name, item in value.items()}
    if isinstance(value, list):
        return {name: item for text in value for name, item in pairs(str(text)).items()}
    nested = dict(NESTED.findall(str(value or "")))
    found = PAIR.findall(NESTED.sub("", str(value or "")))
    return {name: text.strip("\"'") for name, text in (*found, *nested.items())}


def is_off(value: Any) -> bool:
    """Does this say "nothing", "no" or zero?"""
    found = plain(value)
    return found is None or found is False or found == 0 or found == [] or found == {}


def same(one: Any, other: Any) -> bool:
    """The same once both are read: "1" and 1.0, "None" and nothing."""
    one, other = plain(one), plain(other)
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def shown(value: Any) -> str:
    """A value for a report."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:117]}..."
