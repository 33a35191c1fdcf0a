"""The settings of a run as a person reads them: what was chosen, under its label, beside the default.

Read leniently from the job's `config.toml`: a run of an older version, or one that a form would refuse by now, still
tells what it was.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from captioners.config import CaptionConfig
from jobs.folder import Job
from settings import toml
from settings.errors import SettingsError, number
from settings.flags import flat
from settings.section import Section, Setting, label, settings, words
from trainer.config import TrainSettings

SECTIONS: dict[str, type[Section]] = {"train": TrainSettings, "captions": CaptionConfig}  # by the job's kind
PLACES = ("file", "folder", "model")  # kinds of settings that name something on the person's disk
NOTHING = (None, "", [])


@dataclass(frozen=True)
class Chosen:
    """One setting of a run. `setting` is None for one that this version does not know."""

    path: str
    value: Any
    setting: Setting | None

    @property
    def label(self) -> str:
        return label(self.setting) if self.setting else words(self.path.rpartition(".")[2])

    @property
    def changed(self) -> bool:
        """Whether it differs from the default."""
        return self.setting is None or self.meaning != same(plain(self.setting.default), self.setting)

    @property
    def meaning(self) -> Any:
        """Equal for values that mean the same."""
        return same(self.value, self.setting)

    def shown(self, name: Callable[[str], str] = str) -> str:
        """The value for people; `name` makes of a place on the disk what may be shown of it."""
        return shown(self.value, self.setting, name)

    @property
    def default(self) -> str:
        return shown(plain(self.setting.default), self.setting) if self.setting else ""


def chosen(job: Job) -> dict[str, Chosen]:
    """Every setting of a run by path, in the form's order; a run of an older version has what is new at its default.
    Empty where the file is no settings file."""
    given = values(job)
    if not given:
        return {}
    known = known_settings(job.kind)
    found = {path: Chosen(path, given.get(path, plain(setting.default)), setting) for path, setting in known.items()}
    return found | {path: Chosen(path, value, None) for path, value in given.items() if path not in known}


def values(job: Job) -> dict[str, Any]:
    """What stands in the file, by path."""
    try:
        return flat(toml.loads(SECTIONS.get(job.kind, Section), toml.text_of(job.config_path)))
    except SettingsError:
        return {}


def value(job: Job, path: str) -> Any:
    """One of them. Of a file that we wrote only its table is read, which takes a twentieth of the time."""
    table, _, name = path.rpartition(".")
    try:
        text = toml.text_of(job.config_path)
        whole = text.startswith(toml.opening(SECTIONS[job.kind]))
        start = text.index(f"\n[{table}]\n", 0 if whole else len(text))
        return tomllib.loads(text[start : text.find("\n[", start + 1)])[table][name]
    except (SettingsError, ValueError, LookupError):
        return values(job).get(path)


@cache
def known_settings(kind: str) -> dict[str, Setting]:
    return {setting.path: setting for setting in settings(SECTIONS.get(kind, Section))}


def same(value: Any, setting: Setting | None) -> Any:
    """None for an empty text, too; an item of a list with what it leaves out at its default."""
    if value in NOTHING:
        return None
    if setting and setting.item and isinstance(value, list):
        defaults = {field.path: field.default for field in settings(setting.item)}
        return [{path: same(one, None) for path, one in (defaults | item).items()} for item in value]
    return value


def plain(default: Any) -> Any:
    """A default as it stands in a file."""
    if isinstance(default, list):
        return [item.model_dump(mode="json") if isinstance(item, Section) else item for item in default]
    return default


def shown(value: Any, setting: Setting | None = None, name: Callable[[str], str] = str) -> str:
    """"on", "not set", "1e-04", "photos, 10 repeats; more": a setting's value in a cell of a table."""
    if value in NOTHING:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list) and setting and setting.item:
        return "; ".join(item_shown(item, setting.item, name) for item in value)
    place = setting is not None and setting.ui.kind in PLACES
    parts = value if isinstance(value, list) else [value]
    return "; ".join(name(str(part)) if place else number(part) for part in parts)


def item_shown(item: dict[str, Any], section: type[Section], name: Callable[[str], str]) -> str:
    """The first field as it is, of the others what is not the default: `photos, repeats 10`."""
    first, *others = settings(section)
    parts = [shown(item.get(first.path), first, name)]
    parts += [
        f"{label(other).lower()} {shown(item[other.path], other, name)}"
        for other in others
        if other.path in item and same(item[other.path], None) != same(other.default, None)
    ]
    return ", ".join(parts)


def last_part(place: str) -> str:
    """Of a path or a name on the hub only the end, which tells nothing of the disk that it is on."""
    return Path(place.replace("\\", "/")).name or place
