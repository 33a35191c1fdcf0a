"""docs/options.md, made from the settings themselves, so that it cannot be wrong for long: a test compares the two."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from settings.errors import number
from settings.section import Section, Setting, section_help, settings


def markdown(section: type[Section], title: str = "Options") -> str:
    """A page with a table for each group: name, default, what is allowed, what it does, kohya's name."""
    lines = [f"# {title}", "", section_help(section)]
    group = None
    for setting in settings(section):
        path = setting.path.rpartition(".")[0]
        if path != group:
            group = path
            lines += _heading(section, path)
        lines.append(_row(setting.path, setting))
        if setting.item:
            lines += [_row(f"{setting.path}[].{inner.path}", inner) for inner in settings(setting.item)]
    return "\n".join(lines) + "\n"


def _heading(section: type[Section], path: str) -> Iterator[str]:
    if path:
        yield from ("", f"## {path}", "", cell(section_help(section, path)))
    yield from ("", "| setting | default | allowed | what it does | kohya |", "|---|---|---|---|---|")


def _row(name: str, setting: Setting) -> str:
    kohya = f"`{setting.ui.kohya}`" if setting.ui.kohya else ""
    cells = (f"`{name}`", code(setting.default), allowed(setting), setting.help, kohya)
    return "| " + " | ".join(cell(text) for text in cells) + " |"


def allowed(setting: Setting) -> str:
    """What values a setting takes, in words."""
    said = ", ".join(code(choice) for choice in setting.choices) or kind(setting.type) + bounds(setting)
    return f"{said}, or empty" if setting.optional else said


def kind(plain: Any) -> str:
    if get_origin(plain) is list:
        return f"several: {kind(get_args(plain)[0])}"
    names = {bool: "true, false", int: "whole number", float: "number", str: "text", Path: "path"}
    if isinstance(plain, type) and issubclass(plain, Section):
        return "group"
    parts = (code(part) if isinstance(part, str) else kind(part) for part in get_args(plain))
    return names.get(plain) or ", ".join(parts)


def bounds(setting: Setting) -> str:
    low = high = ""
    if setting.minimum is not None:
        low = f" {'>' if setting.exclusive_minimum else '≥'} {number(setting.minimum)}"
    if setting.maximum is not None:
        high = f" {'<' if setting.exclusive_maximum else '≤'} {number(setting.maximum)}"
    return low + ("," if low and high else "") + high


def code(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else number(value)}`"


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
