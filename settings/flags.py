"""The same settings as command-line flags: `--section.field VALUE`."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Sequence
from typing import Any, get_origin

from settings.errors import SettingsError, nearest, number
from settings.section import Section, Setting, section_help, settings

BOOLEANS = {"true", "false", "yes", "no", "on", "off", "1", "0"}


def add_flags(parser: argparse.ArgumentParser, section: type[Section]) -> None:
    """A flag for every setting, in groups with the sections' help. Values stay text: `check` makes them of them."""
    parser.allow_abbrev = False  # a shortened flag would become another one as soon as a setting is added
    groups: dict[str, Any] = {}
    for setting in settings(section):
        path = setting.path.rpartition(".")[0]
        if path not in groups:
            groups[path] = parser.add_argument_group(path or "settings", section_help(section, path))
        several = {"action": "append"} if is_list(setting) else {}
        groups[path].add_argument(
            f"--{setting.path}",
            dest=setting.path,
            default=argparse.SUPPRESS,
            metavar=metavar(setting),
            help=escaped(f"{setting.help}{table_hint(setting)} (default: {shown(setting.default)})"),
            **several,
        )


def parse(
    parser: argparse.ArgumentParser, section: type[Section], argv: Sequence[str]
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The parser's own arguments, and the settings given as flags, as a tree for `check`.

    Raises SettingsError for a flag that is no setting. Other misuse ends in argparse's usage message."""
    known = {setting.path: setting for setting in settings(section)}
    arguments, left = parser.parse_known_args(joined(argv, known))
    if flags := [word for word in left if word.startswith("-")] or left:  # what follows an unknown flag is its value
        raise SettingsError({flag.partition("=")[0]: unknown(section, flag) for flag in flags})
    given = {path: items(known[path], value) for path, value in vars(arguments).items() if path in known}
    rest = {name: value for name, value in vars(arguments).items() if name not in known}
    return argparse.Namespace(**rest), nested(given)


def joined(argv: Sequence[str], known: dict[str, Setting]) -> list[str]:
    """Each `--path VALUE` as one `--path=VALUE`, dashes as underscores, so that argparse cannot misread a value such
    as -1e-5 as another flag; a bare `--path` of a switch as `--path=true`."""
    ready: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        setting = known.get(name.replace("-", "_")) if word.startswith("--") else None
        if word == "--":
            return [*ready, word, *words]
        if setting is None:
            ready.append(word)
        elif equals:
            ready.append(f"--{setting.path}={value}")
        elif setting.type is bool:
            ready.append(f"--{setting.path}={words.pop(0) if words and words[0].lower() in BOOLEANS else 'true'}")
        elif words and (not words[0].startswith("-") or re.match(r"-\.?\d", words[0]) or words[0] == "-"):
            ready.append(f"--{setting.path}={words.pop(0)}")
        else:
            ready.append(f"--{setting.path}")
    return ready


def unknown(section: type[Section], word: str) -> str:
    if not word.startswith("-"):
        return "is not expected here; a value with spaces needs quotes"
    paths = {setting.path for setting in settings(section)}
    close = [path for path in nearest(section, word.lstrip("-").partition("=")[0]) if path in paths]
    return "no such flag" + (f"; did you mean {' or '.join(f'--{path}' for path in close)}?" if close else "")


def items(setting: Setting, value: Any) -> Any:
    """The items of a list of sections: those in braces are TOML's inline tables, other text is for the section."""
    if not setting.item:
        return value
    return [table(setting, text) if re.fullmatch(r"\{.*=.*\}", text.strip()) else text for text in value]


def table(setting: Setting, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(f"item = {text.strip()}")["item"]
    except tomllib.TOMLDecodeError as error:
        example = "{" + next(iter(setting.item.model_fields)) + " = 'some text'}"
        raise SettingsError({f"--{setting.path}": f"is no table such as {example}: {error}; got {text}"}) from None


def table_hint(setting: Setting) -> str:
    if not setting.item:
        return ""
    first, *others = setting.item.model_fields
    return f" May be repeated; a {first}, or a table: {{{first} = '...', ...}} with any of {', '.join(others)}."


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """{"lora.rank": 8} -> {"lora": {"rank": 8}}"""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"lora": {"rank": 8}} -> {"lora.rank": 8}"""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def is_list(setting: Setting) -> bool:
    return get_origin(setting.type) is list


def metavar(setting: Setting) -> str:
    if setting.choices:
        return "{" + ",".join(map(str, setting.choices)) + "}"
    return {bool: "true|false", int: "NUMBER", float: "NUMBER"}.get(setting.type, "PATH" if setting.item else "TEXT")


def shown(value: Any) -> str:
    if value is None or value == "" or value == []:
        return "none"
    return str(value).lower() if isinstance(value, bool) else number(value)


def escaped(text: str) -> str:
    return text.replace("%", "%%")
