"""Presets: settings with a name, kept as partial TOML files in `<folder>/<family>/<name>.toml`.

A preset is laid over the defaults, never over a half-filled form; the comment at its head says for whom it is. The name
says what for and how large a card: `style-24gb`, `person-30-pictures-8gb`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from settings.errors import SettingsError, parse
from settings.section import Section
from settings.toml import dumps, loads, text_of, write

SHIPPED = Path(__file__).resolve().parents[1] / "presets"
SUFFIX = ".toml"
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')  # on Windows; people carry presets from one system to another
PURPOSES = {"person": "Person or character", "character": "Person or character", "style": "Style", "object": "Object"}
OTHER = "Other"
MEMORY = re.compile(r"-(\d+)gb$", re.IGNORECASE)
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True)
class Preset:
    name: str
    family: str
    path: Path
    description: str
    builtin: bool  # comes with the program: cannot be overwritten or deleted

    @property
    def purpose(self) -> str:
        """What it is for, in words, by the first word of its name."""
        return PURPOSES.get(self.name.lower().partition("-")[0], OTHER)

    @property
    def memory_gb(self) -> int | None:
        """The memory of the card that it is meant for, by the end of its name."""
        found = MEMORY.search(self.name)
        return int(found[1]) if found else None


def presets(folders: Iterable[Path], family: str | None = None) -> list[Preset]:
    """The presets in some folders, the built-in ones first, of one family or of all."""
    found = [
        Preset(path.stem, path.parent.name, path, description(path), builtin(folder))
        for folder in folders
        for path in folder.glob(f"*/*{SUFFIX}")
        if not path.name.startswith(".") and not path.parent.name.startswith(".")
        if family is None or path.parent.name == family
    ]
    return sorted(found, key=lambda preset: (not preset.builtin, preset.family, preset.name.casefold()))


def description(path: Path) -> str:
    """The comment at the head of a file, on one line."""
    lines = []
    for line in path.read_text(encoding="utf-8", errors="replace").removeprefix("\ufeff").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").rstrip())
    return " ".join(lines)


def load(section: type[Section], preset: Preset) -> dict[str, Any]:
    """Complete values, nested: the preset's over the defaults. Each is checked alone, since a preset may leave to the
    person what belongs to a run (the pictures, say). Raises SettingsError."""
    return parse(section, loads(section, text_of(preset.path))).model_dump()


def save(folder: Path, family: str, name: str, config: Section, description: str = "") -> Preset:
    """Write what differs from the defaults. Replaces a preset of that name, unless it is a built-in one."""
    family, name = checked_name(family, "family"), checked_name(name, "name")
    if builtin(folder) or any(same(preset.name, name) for preset in presets([SHIPPED], family)):
        raise SettingsError({"name": f"{name!r} is a built-in preset; choose another name"})
    path = folder / family / f"{name}{SUFFIX}"
    write(path, dumps(config, header=description or name, changed_only=True))
    return Preset(name, family, path, " ".join((description or name).split()), builtin=False)


def delete(preset: Preset) -> Path:
    """Move a preset to the bin beside the families. Returns where it lies now. A built-in one is refused."""
    if preset.builtin:
        raise SettingsError({"name": f"{preset.name!r} is a built-in preset and stays"})
    bin_folder = preset.path.parent.parent / ".bin" / preset.family
    bin_folder.mkdir(parents=True, exist_ok=True)
    count, target = 1, bin_folder / preset.path.name
    while target.exists():
        count += 1
        target = bin_folder / f"{preset.name}.{count}{SUFFIX}"
    return preset.path.rename(target)


def builtin(folder: Path) -> bool:
    return folder.resolve() == SHIPPED.resolve()


def same(one: str, other: str) -> bool:
    """Windows and macOS take names for the same that differ in case or in how accents are coded."""
    return unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold()


def checked_name(name: str, what: str) -> str:
    """A name that is one plain file name on every system, or SettingsError."""
    name = unicodedata.normalize("NFC", name).strip()
    problem = ""
    if not name:
        problem = "must be given"
    elif FORBIDDEN.search(name):
        problem = 'may not contain any of < > : " / \\ | ? * or control characters'
    elif name.startswith(".") or name.endswith(".") or RESERVED.fullmatch(name):
        problem = "may not begin or end with a dot, or be a name that Windows keeps for itself"
    elif len(name.encode(errors="replace")) > 200:
        problem = "is too long; 60 letters are plenty"
    elif not name.isascii() and any(unicodedata.category(letter) in ("Cs", "Cf", "Cc") for letter in name):
        problem = "has invisible characters; retype it"
    if problem:
        raise SettingsError({what: f"{problem}; got {ascii(name) if problem.startswith('has') else repr(name)}"})
    return name
