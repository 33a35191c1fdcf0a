"""Settings as TOML files: complete, with every field's help above it; files of older versions are still understood.

`None` is written as an empty text, because TOML has no word for it; `check` reads it back as None."""

from __future__ import annotations

import json
import os
import textwrap
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import toml

from settings.coerce import over
from settings.errors import SettingsError, check
from settings.section import Section, item_section, section_help, section_type

AnySection = TypeVar("AnySection", bound=Section)


class Encoder(toml.TomlEncoder):
    """`toml` 0.10 escapes text wrongly (a backslash before an x, control characters) and ends lists with a comma."""

    def __init__(self) -> None:
        super().__init__()
        self.dump_funcs[str] = quoted
        self.dump_funcs[list] = self.dump_list

    def dump_list(self, v: list[Any]) -> str:
        return "[" + ", ".join(str(self.dump_value(item)) for item in v) + "]"


def quoted(text: str) -> str:
    """A TOML basic string. JSON's escapes are a part of TOML's; DEL is the one that only TOML asks for."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def dumps(config: Section, *, header: str = "", changed_only: bool = False) -> str:
    """The text of a file. `header` becomes the first comment; `changed_only` leaves out what equals the defaults."""
    lines = [*_comment(header), ""] if header else []
    lines += opening(config).splitlines()
    base = type(config)() if changed_only else None
    return "\n".join([*lines, *_table(config, base, "")]) + "\n"


def opening(section: Section | type[Section]) -> str:
    """How a complete file of this version begins."""
    return f"# Version of this list of settings.\nversion = {section.version}\n"


def _table(config: Section, base: Section | None, path: str, explained: bool = True) -> Iterator[str]:
    """Lines of a section: own values first, as TOML wants it, then lists of sections, then sections."""
    tables: list[str] = []
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if base is not None and value == getattr(base, name):
            continue
        inner = f"{path}.{name}" if path else name
        if section_type(field.annotation):
            tables += _section(value, base and getattr(base, name), inner)
        elif item_section(field.annotation) and value:
            for index, item in enumerate(value):
                help_first = _comment(" ".join((field.description or "").split())) if explained and not index else []
                tables += ["", *help_first, f"[[{inner}]]", *_table(item, None, inner, explained and not index)]
        else:
            if explained:
                yield from ("", *_comment(" ".join((field.description or "").split())))
            yield toml.dumps({name: _plain(value)}, Encoder()).rstrip("\n")
    yield from tables


def _section(config: Section, base: Section | None, path: str) -> Iterator[str]:
    lines = list(_table(config, base, path))
    yield from ("", "", *_comment(section_help(type(config))), f"[{path}]", *lines)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return "" if value is None else str(value) if isinstance(value, Path) else value


def _comment(text: str) -> list[str]:
    printable = "".join(c if c.isprintable() or c == "\n" else " " for c in text)  # TOML refuses control characters
    return [f"# {line}" for part in printable.splitlines() for line in textwrap.wrap(part, 110)]


def loads(section: type[Section], text: str) -> dict[str, Any]:
    """The values in a file's text: perhaps some only, old names turned into new ones, not yet checked.

    Raises SettingsError for text that is not TOML, with the line, and for a file of a newer version."""
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        hint = ""
        if "\\" in str(error) or "escape" in str(error) or "hex" in str(error):
            hint = "; inside \"double quotes\" a backslash is written twice, or use 'single quotes'"
        raise SettingsError({"file": f"is not valid TOML: {error}{hint}"}) from None
    version = values.pop("version", section.version)
    if not isinstance(version, int) or version > section.version:
        raise SettingsError(
            {"version": f"the file has version {version}, this program knows {section.version}: update the program"}
        )
    return renamed(section, values)


def renamed(section: type[Section], values: dict[str, Any]) -> dict[str, Any]:
    """Values that an earlier version has kept, nested, under the names that they have now."""
    for old, new in section.renames.items():
        _rename(values, old, new)
    return values


def _rename(values: dict[str, Any], old: str, new: str) -> None:
    """Move what an older file calls `old` to `new`; where the file has both, the new name wins."""
    *parents, leaf = old.split(".")
    node: Any = values
    chain = [values]
    for name in parents:
        node = node.get(name) if isinstance(node, dict) else None
        chain.append(node)
    if not isinstance(node, dict) or leaf not in node:
        return
    moved: Any = node.pop(leaf)
    for name, parent, child in zip(reversed(parents), reversed(chain[:-1]), reversed(chain[1:])):
        if not child:
            del parent[name]
    for name in reversed(new.split(".")):
        moved = {name: moved}
    merged = over(moved, values)
    values.clear()
    values.update(merged)


def read(section: type[AnySection], path: Path) -> AnySection:
    """A file as checked settings. Raises SettingsError, also when there is no such file."""
    return check(section, loads(section, text_of(path)))


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError({"file": f"{path} is not text in UTF-8; save it as UTF-8"}) from None
    except OSError as error:
        raise SettingsError({"file": f"{path} cannot be read: {error.strerror}"}) from None


def write(path: Path, text: str) -> None:
    """Replace a file whole or not at all: a crash or a full disk leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
