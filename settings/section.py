"""One annotated field of a `Section` is a setting: form field, flag, TOML key, help and check all follow from it."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Ui:
    """How a form shows a field, where the type alone does not say it."""

    label: str = ""  # default: the field's name in words
    step: float | None = None
    level: Literal["quick", "standard", "expert"] = "standard"
    needs: str = ""  # shown only for families that have this trait; of a section, also for all that is in it
    when: str = ""  # shown only while "other.path" is on or filled, or "other.path=a|b" has one; ".x": of its section
    kohya: str = ""  # its names in sd-scripts or kohya_ss, for people who search by them
    kind: Literal["", "file", "folder", "model", "text"] = ""  # "text" has several lines


class Section(BaseModel):
    """A group of settings: one box on a form, one table in a TOML file. A subclass's docstring is the group's help."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        protected_namespaces=(),  # a field may be called `model_name`
    )

    # Of the top section only: the number written into files, and {old path: new path} for files written earlier.
    version: ClassVar[int] = 1
    renames: ClassVar[dict[str, str]] = {}

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        for name, field in cls.model_fields.items():
            refuse_traps(f"{cls.__name__}.{name}", field.annotation)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Settings that are right alone and wrong together: (path inside this section, what to do)."""
        return iter(())

    def warnings(self) -> Iterator[tuple[str, str]]:
        """Settings that have no effect, or an unlikely one: (path inside this section, what to know)."""
        return iter(())


@dataclass(frozen=True)
class Setting:
    """What a form, a flag, a file and the documentation need to know of one field."""

    path: str  # "optimizer.learning_rate": TOML key, flag and form field at once
    type: Any  # without None: see `optional`
    default: Any  # None for a field that must be given, too
    help: str
    choices: tuple[Any, ...]  # empty: anything of the type
    minimum: float | None
    maximum: float | None
    exclusive_minimum: bool  # the minimum itself is not allowed
    exclusive_maximum: bool
    optional: bool  # None is a value, shown and written as an empty text
    ui: Ui
    item: type[Section] | None  # of a list of sections


def settings(section: type[Section], prefix: str = "") -> Iterator[Setting]:
    """Every setting of a section and of the sections inside it, in the order in which they are written.

    A list of sections is one setting; `settings(setting.item)` walks what one item has."""
    yield from _walk(section, None, prefix)


def _walk(section: type[Section], instance: Section | None, prefix: str, needs: str = "") -> Iterator[Setting]:
    for name, field in section.model_fields.items():
        # A section may be used twice with other defaults, so the default is asked of the instance where there is one.
        default = default_of(field) if instance is None else getattr(instance, name)
        ui = next((rule for rule in field.metadata if isinstance(rule, Ui)), Ui())
        ui = replace(ui, needs=ui.needs or needs, when=f"{prefix}{ui.when[1:]}" if ui.when[:1] == "." else ui.when)
        if inner := section_type(field.annotation):
            yield from _walk(inner, default, f"{prefix}{name}.", ui.needs)
        else:
            yield _describe(f"{prefix}{name}", field, default, ui)


def _describe(path: str, field: FieldInfo, default: Any, ui: Ui) -> Setting:
    plain, optional = without_none(field.annotation)
    bounds = {k: getattr(rule, k) for rule in field.metadata for k in ("ge", "gt", "le", "lt") if hasattr(rule, k)}
    return Setting(
        path=path,
        type=plain,
        default=default,
        help=" ".join((field.description or "").split()),
        choices=get_args(plain) if get_origin(plain) is Literal else (),
        minimum=bounds.get("ge", bounds.get("gt")),
        maximum=bounds.get("le", bounds.get("lt")),
        exclusive_minimum="gt" in bounds,
        exclusive_maximum="lt" in bounds,
        optional=optional,
        ui=ui,
        item=item_section(plain),
    )


def at(config: Section, path: str) -> Any:
    """The value at a path: a setting, a section, or an item of a list (`dataset.folders.0.path`)."""
    value: Any = config
    for name in path.split("."):
        value = value[int(name)] if isinstance(value, list) else getattr(value, name)
    return value


def label(setting: Setting) -> str:
    """The short name a person sees."""
    return setting.ui.label or words(setting.path.rpartition(".")[2])


def words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def section_help(section: type[Section], path: str = "") -> str:
    """What the section at a path is for: its docstring, on one line."""
    for name in filter(None, path.split(".")):
        inner = section_type(section.model_fields[name].annotation)
        if inner is None:
            raise KeyError(f"{path} is not a section")
        section = inner
    return " ".join((section.__doc__ or "").split())


def section_type(annotation: Any) -> type[Section] | None:
    """The section that a field holds, if it holds one."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def item_section(annotation: Any) -> type[Section] | None:
    """The section that a field holds a list of, if it does."""
    return section_type(get_args(annotation)[0]) if get_origin(annotation) is list else None


def default_of(field: FieldInfo) -> Any:
    return None if field.is_required() else field.get_default(call_default_factory=True)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """(`X`, True) for `X | None`, else (`X`, False)."""
    if get_origin(annotation) not in (Union, types.UnionType) or types.NoneType not in get_args(annotation):
        return annotation, False
    rest = tuple(part for part in get_args(annotation) if part is not types.NoneType)
    return rest[0] if len(rest) == 1 else Union[rest], True  # noqa: UP007 (built from a tuple)


def refuse_traps(where: str, annotation: Any) -> None:
    """Two ways to write a field that look right and lose something: an error for the programmer, at import."""
    if get_origin(annotation) in (Union, types.UnionType):
        if any(get_origin(part) is Annotated for part in get_args(annotation)):
            raise TypeError(f"{where}: write Annotated[X | None, ...]: inside the union, bounds and Ui are not seen")
        if {str, types.NoneType} <= set(get_args(annotation)):
            raise TypeError(f'{where}: write `str = ""`: no text and empty text are the same in a form and in a file')
