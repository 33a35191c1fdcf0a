"""A pile of foreign arguments that rules take from, and what becomes of the rest: whatever a setting names as its own
in `Ui(kohya=...)` is that setting; for the others there is a reason, or nobody knows them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from settings.errors import SettingsError, check, parse
from settings.flags import nested
from settings.section import Section, Setting, at, settings
from trainer.config import TrainSettings
from trainer.families import families
from trainer.families.base import Family
from trainer.imports.absent import ABSENT, OTHER_FAMILIES, SECRETS
from trainer.imports.report import Kind, Line, Report
from trainer.imports.values import is_off, plain, same, shown

OF_SUBSET = " of subset "  # stands in the names of what differs between parts of a data set
MARKERS = ("network_args", "optimizer_args", "sample_prompts")  # say where a name stands, and are none themselves


class Translation:
    """`given`: their arguments under sd-scripts' names. `assumed`: what sd-scripts takes for those that are not there.
    `window`: the file is the form's, where zeros have other meanings. `beside`: where files that it names may lie."""

    def __init__(self, given: Mapping[str, Any], assumed: Mapping[str, Any] | None = None, *, window: bool = False,
                 beside: Path | None = None):
        self._assumed = {name: value for name, value in (assumed or {}).items() if name not in given}
        self._given = {**self._assumed, **given}
        self._pile = dict(self._given)
        self._lines: list[Line] = []
        self.values: dict[str, Any] = {}
        self.window = window
        self.beside = beside
        self.total: int | None = None  # steps of the run, where the file tells them beside its settings
        self.convolutions: bool | None = None  # whether the kind of network has them; None: its arguments tell

    @property
    def family(self) -> type[Family]:
        """The family that was found, or the one that the form begins with."""
        return families()[self.values.get("model.family", TrainSettings().model.family)]

    def __contains__(self, name: str) -> bool:
        """Was it in the file?"""
        return name in self._given and name not in self._assumed

    def has(self, name: str) -> bool:
        """Is it there, and not empty?"""
        return plain(self._pile.get(name)) is not None

    def take(self, name: str) -> Any:
        """An argument off the pile, as the number or switch that it spells; None if it is not there or empty."""
        return plain(self._pile.pop(name, None))

    def look(self, name: str) -> Any:
        """An argument that stays on the pile."""
        return plain(self._pile.get(name))

    def text(self, name: str) -> str:
        """An argument off the pile, as text."""
        value = self._pile.pop(name, None)
        return "" if plain(value) is None else str(value)

    def word(self, name: str) -> str:
        """An argument off the pile as it is written, where "none" is a choice."""
        return str(self._pile.pop(name, None) or "").strip()

    def add(self, arguments: Mapping[str, Any]) -> None:
        """More for the pile, found inside an argument."""
        self._given |= arguments
        self._pile |= arguments

    def put(self, name: str, paths: str | list[str], value: Any, note: str = "") -> None:
        """`name` has become these settings. With a note it has changed; a value that they refuse is left."""
        paths = [paths] if isinstance(paths, str) else paths
        taken = {}
        for path in paths:
            try:
                taken[path] = at(parse(TrainSettings, nested({path: value})), path)
            except SettingsError as error:
                problem = next(iter(error.problems.values()))
                return self.leave(name, f"{path} {problem}")
        self.values |= {path: value for path, value in taken.items()}
        note = note or ("not in the file: this is sd-scripts' own" if name in self._assumed else "")
        return self._say("changed" if note else "kept", name, tuple(paths), written(next(iter(taken.values()))), note)

    def leave(self, name: str, why: str) -> None:
        self._say("left", name, note=why)

    def off(self, name: str, why: str) -> None:
        self._say("off", name, note=why)

    def finish(self, source: str) -> Report:
        """What no rule has taken, and the check of all together."""
        for name in list(self._pile):
            self._rest(name, self._pile.pop(name))
        told = {line.name for line in self._lines}
        self._lines += [Line("off", name, shown(value), note="nothing to set beside the others")
                        for name, value in self._given.items() if name not in told and name not in self._assumed]
        self._agree()
        return Report(source, self._lines, self.values)

    def meant(self, name: str, below: str = "") -> list[Setting]:
        """Our settings that name an argument as theirs and that the family has."""
        return [setting for setting in named().get(name, ())
                if setting.path.startswith(below) and setting.ui.needs in {"", *self.family.traits}]

    def _rest(self, name: str, value: Any) -> None:
        first, later, _ = name.partition(OF_SUBSET)
        if later and (first in named() or first in ABSENT):
            self.leave(name, "one for all folders here: the first subset's")
        elif name.startswith("ss_") and name not in ABSENT:
            self.off(name, "about the run that is over")
        elif found := self.meant(name):
            self._same(name, found, value)
        elif name in ABSENT:
            default, why = ABSENT[name]
            if is_off(value) or same(value, default):
                self.off(name, "")
            else:
                self.leave(name, why)
        elif name in named() or name.startswith(tuple(OTHER_FAMILIES)):
            self.off(name, f"not for {self.family.label}")
        elif not is_off(value):
            self._say("unknown", name, note="no argument of sd-scripts and no field of kohya_ss that is known here")
        else:
            self.off(name, "")

    def _same(self, name: str, found: list[Setting], value: Any) -> None:
        first, paths = found[0], [setting.path for setting in found]
        if plain(value) is None:
            return self.put(name, paths, None) if first.optional else self.off(name, "empty")
        if first.type is str:
            return self.put(name, paths, str(value))
        if is_off(value) and not fits(first, value):
            return self.put(name, paths, None, "0 meant none") if first.optional else self.off(name, "")
        return self.put(name, paths, plain(value))

    def _agree(self) -> None:
        """Settings that contradict each other are left out, and their lines say so."""
        while True:
            try:
                check(TrainSettings, nested(self.values))
                return
            except SettingsError as error:
                wrong = {path: problem for path, problem in error.problems.items() if path in self.values}
                if not wrong:
                    self._lines += [Line("left", path, "", note=problem) for path, problem in error.problems.items()]
                    return
                for path, problem in wrong.items():
                    del self.values[path]
                    self._lines = [self._refused(line, path, problem) for line in self._lines]

    @staticmethod
    def _refused(line: Line, path: str, problem: str) -> Line:
        if path not in line.settings:
            return line
        return Line("left", line.name, line.given, note=f"{path} {problem}")

    def _say(self, kind: Kind, name: str, paths: tuple[str, ...] = (), value: str = "", note: str = "") -> None:
        given = self._given[name] if name in self else ""
        said = "(a secret)" if name in SECRETS and given else shown(given)
        self._lines.append(Line(kind, name, said, paths, value, note))


def written(value: Any) -> str:
    """A value of ours for a report."""
    if value is None or value == "" or value == []:
        return "empty"
    if isinstance(value, list) and isinstance(value[0], Section):
        rows = (item.model_dump(exclude_defaults=True) for item in value)
        return "; ".join(", ".join(f"{name} {shown(part)}" for name, part in row.items()) for row in rows)
    return shown(value)


def fits(setting: Setting, value: Any) -> bool:
    """Would the setting take it?"""
    try:
        parse(TrainSettings, nested({setting.path: plain(value)}))
    except SettingsError:
        return False
    return True


@cache
def named() -> dict[str, list[Setting]]:
    """Their names -> our settings, as `Ui(kohya=...)` has it."""
    found: dict[str, list[Setting]] = {}
    for setting in settings(TrainSettings):
        for word in setting.ui.kohya.split():
            if word not in MARKERS and not word.startswith("--"):
                found.setdefault(word, []).append(setting)
    return found
