"""The one door to settings: values from a form, a file or a command line become a `Section`, or plain sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import ValidationError

from settings.coerce import coerce
from settings.section import Section, item_section, section_type, settings, without_none

AnySection = TypeVar("AnySection", bound=Section)


class SettingsError(ValueError):
    """Some settings are wrong. `problems` maps each one's path to what to do about it."""

    def __init__(self, problems: dict[str, str]):
        self.problems = problems
        super().__init__("\n".join(f"{path}: {problem}" for path, problem in problems.items()))


def check(section: type[AnySection], values: dict[str, Any] | Section) -> AnySection:
    """Values (a nested dict; what is absent keeps its default) as settings. Raises SettingsError with every problem."""
    config = parse(section, values)
    if problems := conflicts(config):
        raise SettingsError(problems)
    return config


def parse(section: type[AnySection], values: dict[str, Any] | Section) -> AnySection:
    """As `check`, but each setting on its own: for a preset or a draft, which need not be complete."""
    unknown: list[str] = []
    problems: dict[str, str] = {}
    values = coerce(section, values, unknown, problems)
    problems |= {path: _unknown(section, path) for path in unknown}
    try:
        config = section.model_validate(values)
    except ValidationError as error:
        problems |= {path: problem for path, problem in _translated(section, error) if path not in problems}
    if problems:
        raise SettingsError(problems)
    return config


def conflicts(config: Section) -> dict[str, str]:
    """What is right alone and wrong together: {path: what to do}."""
    return _collected(config, "conflicts")


def warnings(config: Section) -> dict[str, str]:
    """What is allowed, and worth knowing before a run: {path: what to know}."""
    return _collected(config, "warnings")


def nearest(section: type[Section], path: str) -> list[str]:
    """The known paths that an unknown one may have meant, best first; at most three."""
    known = dict(_known(section))
    wanted = path.replace("-", "_").lower()
    if same := [name for name, kohya in known.items() if wanted.rpartition(".")[2] in kohya.split()]:
        return same[:3]
    scores = {name: _likeness(wanted, name) for name in known}
    good = max(0.6, max(scores.values(), default=0) - 0.1)
    return sorted((name for name in known if scores[name] >= good), key=lambda name: -scores[name])[:3]


def _likeness(wanted: str, known: str) -> float:
    """1 for the same path; the last part counts alone as well, a little less: people forget in which group it was."""
    whole = difflib.SequenceMatcher(None, wanted, known).ratio()
    last = difflib.SequenceMatcher(None, wanted.rpartition(".")[2], known.rpartition(".")[2]).ratio()
    return max(whole, 0.9 * last + 0.1 * whole)


def _known(section: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, kohya's names) of every setting, group and field of a list's items."""
    groups = set()
    for setting in settings(section, prefix):
        parents = setting.path[len(prefix) :].split(".")[:-1]
        groups |= {prefix + ".".join(parents[: n + 1]) for n in range(len(parents))}
        yield setting.path, setting.ui.kohya.lower()
        if setting.item:
            yield from _known(setting.item, f"{setting.path}.0.")
    yield from ((group, "") for group in sorted(groups))


def _unknown(section: type[Section], path: str) -> str:
    close = nearest(section, path)
    return "no such setting" + (f"; did you mean {' or '.join(close)}?" if close else "")


def _collected(config: Section, what: str) -> dict[str, str]:
    """The answers of `conflicts()` or `warnings()` of a section and of every section inside it, with whole paths."""
    found: dict[str, str] = {}
    for prefix, section in _sections(config):
        for path, sentence in getattr(section, what)():
            path = ".".join(filter(None, (prefix, path)))
            found[path] = f"{found[path]}; {sentence}" if path in found else sentence
    return found


def _sections(config: Section, prefix: str = "") -> Iterator[tuple[str, Section]]:
    yield prefix, config
    for name in type(config).model_fields:
        value = getattr(config, name)
        path = f"{prefix}.{name}" if prefix else name
        if isinstance(value, Section):
            yield from _sections(value, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Section):
                    yield from _sections(item, f"{path}.{index}")


def _translated(section: type[Section], error: ValidationError) -> Iterator[tuple[str, str]]:
    found: dict[str, list[Any]] = {}
    for item in error.errors():
        found.setdefault(_path(section, item["loc"]), []).append(item)
    for path, items in found.items():  # several for one path: none of the types of a union would do
        demands = list(dict.fromkeys(_demand(item) for item in items))
        said = " or ".join([demands[0], *(demand.removeprefix("must be ") for demand in demands[1:])])
        yield path, said + (f"; got {got(items[0]['input'])}" if items[0]["type"] not in WITHOUT_VALUE else "")


def _path(section: type[Section], location: tuple[int | str, ...]) -> str:
    """Pydantic adds the tried type to the location of a union (`gamma.float`); a person knows `gamma` only."""
    parts: list[str] = []
    inner: type[Section] | None = section
    for part in location:
        if isinstance(part, int):
            parts.append(str(part))
        elif inner and part in inner.model_fields:
            parts.append(part)
            plain = without_none(inner.model_fields[part].annotation)[0]
            inner = section_type(plain) or item_section(plain)
    return ".".join(parts)


# pydantic's error type -> our words; {…} are the values that pydantic gives with it
SENTENCES = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "int": "must be a whole number",
    "float": "must be a number",
    "finite_number": "must be an ordinary number",
    "bool": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "may have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "literal_error": "must be {expected}",
    "path": "must be a path",
    "list_type": "must be a list",
    "too_short": "needs at least {min_length} of them",
    "too_long": "may have at most {max_length} of them",
    "model": "must be a group of settings",
    "missing": "must be given",
}
WITHOUT_VALUE = {"missing", "too_short", "too_long", "model_type", "value_error"}


def _demand(item: Any) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "value_error":  # raised by a validator of our own, in its own words
        return str(context["error"])
    kind = kind if kind in SENTENCES else kind.partition("_")[0]
    if kind not in SENTENCES:
        return item["msg"][:1].lower() + item["msg"][1:]
    return SENTENCES[kind].format_map({name: number(value) for name, value in context.items()})


def number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def got(value: Any) -> str:
    """A wrong value as one short phrase."""
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    shown = number(value) if isinstance(value, (int, float)) else repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
