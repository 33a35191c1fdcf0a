"""What forms and command lines hand over (text, mostly) made ready for the type check: nothing is guessed silently."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from settings.section import Section, default_of, item_section, section_type, without_none


def coerce(
    section: type[Section], values: Any, unknown: list[str], problems: dict[str, str], prefix: str = ""
) -> dict[str, Any] | Any:
    """`values` with text turned into what the fields want; unknown paths are left out and listed in `unknown`."""
    if isinstance(values, Section):
        values = values.model_dump()
    if not isinstance(values, dict):
        return values
    ready: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        field = section.model_fields.get(name)
        if field is None:
            unknown.append(path)
        elif inner := section_type(field.annotation):
            value = coerce(inner, value, unknown, problems, f"{path}.")
            default = default_of(field)
            # Pydantic would fill up from the inner class; this use of it may have defaults of its own.
            ready[name] = over(default.model_dump(), value) if default and isinstance(value, dict) else value
        elif (item := item_section(field.annotation)) and isinstance(value := lines(value), list):
            ready[name] = [coerce(item, v, unknown, problems, f"{path}.{i}.") for i, v in enumerate(value)]
        elif problem := unwritable(value):
            problems[path] = problem
        else:
            ready[name] = fitted(field.annotation, value)
    return ready


def over(base: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Nested values laid over others; lists are replaced whole."""
    merged = dict(base)
    for name, value in values.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = over(merged[name], value) if both else value
    return merged


def fitted(annotation: Any, value: Any) -> Any:
    """A value in the shape its field wants, where that is certain; else as it is, for the check to refuse."""
    plain, optional = without_none(annotation)
    if optional and isinstance(value, str) and not value.strip():
        return None
    if get_origin(plain) is list:
        return listed(get_args(plain)[0], value)
    if get_origin(plain) is Literal and isinstance(value, str):
        return next((choice for choice in get_args(plain) if str(choice) == value), value)
    if plain in (int, float) and isinstance(value, bool):
        return str(value).lower()  # Python counts True as 1; a person who wrote `rank = true` made a mistake
    return value.strip() if plain in (int, float, bool) and isinstance(value, str) else value


def listed(kind: Any, value: Any) -> Any:
    """A list of texts from several lines, a list of numbers from "0, 1" as well."""
    value = lines(value)
    if kind not in (int, float) or not isinstance(value, list):
        return value
    return [part for item in value for part in (re.findall(r"[^\s,]+", item) if isinstance(item, str) else [item])]


def lines(value: Any) -> Any:
    return [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value


def unwritable(value: Any) -> str:
    """Why a text cannot be kept in a UTF-8 file, or ""."""
    for text in value if isinstance(value, list) else [value]:
        try:
            str(text).encode() if isinstance(text, (str, Path)) else None
        except UnicodeEncodeError:
            return f"has characters that are not valid Unicode; rename or retype it; got {ascii(str(text))}"
        if isinstance(text, str) and "\0" in text:
            return "has a zero character in it; retype it"
    return ""
