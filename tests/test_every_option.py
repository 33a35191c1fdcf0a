"""The options table: every option of a run has a test by its name, which shows that changing it changes what it says.

A test says which options it proves, `@pytest.mark.proves("noise.loss", "noise.huber_c")`; a table in the same file
whose keys are options may stand there as `*TABLE`. The marks are read from the sources, so this costs no import of
torch. An option without a mark is one that nobody has seen work.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from settings.section import Section, Setting, section_help, settings
from trainer.config import TrainSettings
from trainer.families import families

TESTS = Path(__file__).parent


def options(section: type[Section] = TrainSettings, prefix: str = "") -> Iterator[Setting]:
    """Every setting; of a list of sections those of one row."""
    for setting in settings(section, prefix):
        yield from options(setting.item, f"{setting.path}.") if setting.item else (setting,)


OPTIONS = {setting.path: setting for setting in options()}


def marks(source: str) -> Iterator[tuple[str, str]]:
    """(option, test) of every mark in a file. Raises ValueError for a mark that says nothing or that can't be read."""
    tree = ast.parse(source)
    tables = {
        target.id: node.value
        for node in tree.body if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip
    for node in ast.walk(tree):
        for mark in getattr(node, "decorator_list", []):
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.proves":
                said = [option for argument in mark.args for option in named(argument, tables)]
                if not said or not node.name.startswith("test_"):
                    raise ValueError(f"{node.name}: no test, or nothing that it proves")
                yield from ((option, node.name) for option in said)


def named(argument: ast.expr, tables: dict[str, ast.expr]) -> list[str]:
    """The options that one argument of a mark names."""
    if isinstance(argument, ast.Constant):
        return [argument.value]
    table = tables[argument.value.id]
    parts = table.keys if isinstance(table, ast.Dict) else table.elts
    return [part.value for part in parts]


@cache
def proven() -> dict[str, list[str]]:
    """option -> the tests that prove it."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        if "mark.proves(" in (source := path.read_text(encoding="utf-8")) and path != Path(__file__):
            for option, test in marks(source):
                found.setdefault(option, []).append(f"{path.relative_to(TESTS)}::{test}")
    return found


def test_every_option_has_a_test_that_it_does_what_it_says():
    without = [path for path in OPTIONS if path not in proven()]
    assert not without, f'write one, or mark one, with @pytest.mark.proves("{without[0]}"): {", ".join(without)}'


def test_what_is_said_to_be_proven_exists():
    gone = {option: tests for option, tests in proven().items() if option not in OPTIONS}
    assert not gone


def test_marks_are_read_from_tables_too_and_a_mark_must_say_something():
    source = "TABLE = {'a.b': 1, 'a.c': 2}\n@pytest.mark.proves('a', *TABLE)\ndef test_it(): pass\n"
    assert list(marks(source)) == [("a", "test_it"), ("a.b", "test_it"), ("a.c", "test_it")]
    for wrong in ("@pytest.mark.proves()\ndef test_it(): pass", "@pytest.mark.proves('a')\ndef helper(): pass"):
        with pytest.raises(ValueError):
            list(marks(wrong))


@pytest.mark.parametrize("path", OPTIONS)
def test_it_says_what_it_is_for(path):
    assert re.fullmatch(r"[A-Z0-9.{].{8,}[.:]", OPTIONS[path].help), OPTIONS[path].help


def test_every_group_says_what_it_is_for():
    groups = {".".join(path.split(".")[:depth]) for path in OPTIONS for depth in range(path.count(".") + 1)}
    items = {setting.path for setting in settings(TrainSettings) if setting.item}
    assert all(section_help(TrainSettings, group) for group in groups if not group.startswith(tuple(items)))
    assert all(setting.item.__doc__ for setting in settings(TrainSettings) if setting.item)


@pytest.mark.parametrize("path", [path for path, setting in OPTIONS.items() if setting.ui.when])
def test_it_is_shown_by_an_option_that_is_there_and_can_have_that_value(path):
    other, _, values = OPTIONS[path].ui.when.partition("=")
    lists = {setting.path for setting in settings(TrainSettings) if setting.item}  # on where there is something in them
    assert other in OPTIONS.keys() | lists and other != path
    if values:
        assert set(values.split("|")) <= {str(choice) for choice in OPTIONS[other].choices}


def test_what_it_needs_some_family_has():
    traits = {trait for family in families().values() for trait in family.traits}
    assert {setting.ui.needs for setting in OPTIONS.values()} - {""} <= traits
