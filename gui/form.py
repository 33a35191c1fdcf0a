"""A form for any section of settings. Nothing in here knows what is being set, so a new setting needs no line here.

Which fields are seen (level, search, family, conditions) is decided in the browser by `widgets/form.js`, which hides
them without taking them away: a hidden field keeps its value.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from gui.fields import column, for_field, from_field, is_list, step, title, unmarked, when_empty, width
from gui.widgets import widget
from jobs.secrets import SPELLED
from settings.errors import SettingsError, check
from settings.flags import flat, nested
from settings.section import Section, Setting, label, section_help, settings

LONG_CHOICE = 30  # letters; a longer one does not fit into a third of the page
NO_TOKEN = "has a token in it: it belongs into Settings, Tokens, and nowhere else"


@dataclass(frozen=True)
class Choice:
    """One of the values that a field may have, where these are known only at run time."""

    label: str
    value: str
    help: str = ""
    hint: str = ""  # a word beside the label


class Form:
    """The fields of a section, drawn where it is created.

    `choices`: {path: ...} for fields whose choices are known only at run time; a list with choices is chosen from tiles
    that show each one's help. `titles`: {group's path: title} where this form has others than usual; these groups come
    first, in this order. `without`: settings that are not on it, and keep their defaults. `whole`: with the bar of
    levels and search and with groups that fold; a small form has neither. `groups`: {group's path: where its fields
    are}, for what else shall stand below them."""

    def __init__(
        self,
        section: type[Section],
        name: str,
        choices: dict[str, list[Choice]] | None = None,
        titles: dict[str, str] | None = None,
        without: Iterable[str] = (),
        whole: bool = True,
    ):
        self.section = section
        self.name = name
        self._choices = choices or {}
        self._titles = titles or {}
        self.groups: dict[str, gr.Column] = {}
        self._settings = [setting for setting in settings(section) if setting.path not in set(without)]
        self._fields: dict[str, Component] = {}
        groups = self._groups()
        self.guide = widget(
            "form",
            elem_id=f"{name}-guide",
            form=name,
            whole=whole,
            fields=[self._described(setting) for setting in self._settings],
            groups=[self._group_id(path) for path in groups],
        )
        with gr.Column(elem_classes=["lor-form"], elem_id=f"{name}-form"):
            for path, members in groups.items():
                self._draw_group(path, members, whole)

    @property
    def fields(self) -> set[Component]:
        return set(self._fields.values())

    def typed(self, values: dict[Component, Any]) -> dict[str, Any]:
        """What stands in the fields, by path, nested and unchecked."""
        return nested(
            {
                setting.path: from_field(values[self._fields[setting.path]], self._own(setting))
                for setting in self._settings
            }
        )

    def read(self, values: dict[Component, Any]) -> Section:
        """What stands in the fields, checked. Raises SettingsError, also for a token of the hub in any of them: it
        would be written into settings, metadata and logs."""
        typed = self.typed(values)
        if wrong := {path: NO_TOKEN for path, value in flat(typed).items() if SPELLED.search(str(value))}:
            raise SettingsError(wrong)
        return check(self.section, typed)

    def show(self, values: Section | dict[str, Any]) -> dict[Component, Any]:
        """Updates that put values on the form and make it usable. What the values leave out gets its default."""
        given = flat(values.model_dump(mode="json") if isinstance(values, Section) else values)
        return {
            self._fields[setting.path]: self._update(setting, given.get(setting.path, setting.default))
            for setting in self._settings
        }

    def hidden(self, values: dict[str, Any], traits: Iterable[str] = ()) -> list[str]:
        """Paths of fields that mean nothing with these (nested, unchecked) values."""
        given, traits = flat(values), set(traits)
        return [
            setting.path
            for setting in self._settings
            if (setting.ui.needs and setting.ui.needs not in traits) or not holds(setting.ui.when, given)
        ]

    def one(self, path: str) -> Component:
        """The field of one setting."""
        return self._fields[path]

    def _update(self, setting: Setting, value: Any) -> dict[str, Any]:
        choices = [choice for _, choice in self._choices_of(setting)]
        if is_list(setting):
            kept = value if isinstance(value, list) and choices else []
            value = [item for item in kept if item in choices] if kept else value
        elif choices and value not in choices:  # from an older draft; Gradio would refuse the whole form for it
            value = setting.default if setting.default in choices else choices[0]
        own = self._own(setting)
        return gr.update(value=for_field(setting, value, own), **({} if own else {"interactive": True}))

    def _own(self, setting: Setting) -> str:
        """The widget of ours that is this setting's field; "" where it is one of Gradio's."""
        if setting.item:
            return "rows"
        if not is_list(setting):
            return ""
        return "tiles" if setting.path in self._choices else "paths" if setting.ui.kind == "folder" else ""

    def _choices_of(self, setting: Setting) -> list[tuple[str, Any]]:
        if known := self._choices.get(setting.path):
            return [(choice.label, choice.value) for choice in known]
        return [(str(choice), choice) for choice in setting.choices]

    def _groups(self) -> dict[str, list[Setting]]:
        groups: dict[str, list[Setting]] = {path: [] for path in self._titles}
        for setting in self._settings:
            groups.setdefault(setting.path.rpartition(".")[0], []).append(setting)
        return {path: members for path, members in groups.items() if members}

    def _title(self, path: str) -> str:
        return self._titles.get(path) or title(path)

    def _draw_group(self, path: str, members: list[Setting], whole: bool) -> None:
        with gr.Column(elem_id=self._group_id(path), elem_classes=["lor-group"]):
            if whole:
                about = section_help(self.section, path) if path else ""
                head = group_head(self._group_id(path), self._title(path), about)
                gr.HTML(head, apply_default_css=False, js_on_load=None)
            with gr.Column(elem_classes=["lor-fields"]) as self.groups[path]:
                for setting in members:
                    self._fields[setting.path] = self._field(setting)

    def _field(self, setting: Setting) -> Component:
        about: dict[str, Any] = {
            "elem_id": self._field_id(setting.path),
            "elem_classes": ["lor-field", *width(setting)],
        }
        if own := self._own(setting):
            return self._drawn_by_us(own, setting)
        about |= {"label": label(setting), "info": unmarked(setting.help) or None, "interactive": False}
        value = for_field(setting, setting.default)
        if choices := self._choices_of(setting):
            if max(len(name) for name, _ in choices) > LONG_CHOICE:
                about["elem_classes"].append("wide")
            return gr.Dropdown(choices, value=value, filterable=False, **about)
        if setting.type is bool:
            return gr.Checkbox(value=value, **about)
        if setting.type in (int, float):
            return gr.Number(value, step=step(setting), placeholder=when_empty(setting), **about)
        several = setting.ui.kind == "text" or is_list(setting)
        return gr.Textbox(value, lines=3 if several else 1, max_lines=12 if several else 1, **about)

    def _drawn_by_us(self, own: str, setting: Setting) -> Component:
        return widget(
            own,
            elem_id=self._field_id(setting.path),
            classes="lor-field wide",
            label=label(setting),
            help=setting.help,
            pick=setting.ui.kind,
            offers=f"{self._field_id(setting.path)}-offers",
            columns=[column(inner) for inner in settings(setting.item)] if setting.item else [],
            choices=[vars(choice) for choice in self._choices.get(setting.path, [])],
        )

    def _described(self, setting: Setting) -> dict[str, Any]:
        """What the script needs to know of a field: to find, to hide and to link to it."""
        group = setting.path.rpartition(".")[0]
        words = [label(setting), setting.path, setting.ui.kohya, setting.help, self._title(group)]
        return {
            "id": self._field_id(setting.path),
            "path": setting.path,
            "label": label(setting),
            "level": setting.ui.level,
            "group": self._group_id(group),
            "kind": "" if self._own(setting) else setting.ui.kind,
            "words": " ".join(words).lower(),
        }

    def _field_id(self, path: str) -> str:
        return f"{self.name}-{path.replace('.', '-')}"

    def _group_id(self, path: str) -> str:
        return f"{self.name}-group-{path.replace('.', '-') or 'top'}"


def group_head(group: str, name: str, about: str) -> str:
    name, about = html.escape(name), html.escape(about.replace("`", ""))
    return (
        f'<button type="button" class="lor-group-head" data-group="{html.escape(group)}" aria-expanded="true">'
        f'<span class="lor-group-name">{name}</span><span class="lor-group-help">{about}</span></button>'
    )


def holds(condition: str, values: dict[str, Any]) -> bool:
    """Is `Ui.when` met? "a.b": that setting is on, or has something in it; "a.b=x|y": it has one of these values."""
    if not condition:
        return True
    path, equals, wanted = condition.partition("=")
    value = values.get(path)
    return str(value) in wanted.split("|") if equals else bool(value)
