"""A form is made from a section alone, and gives back what was put on it."""

from typing import Annotated, Literal

import gradio as gr
import pytest
from pydantic import Field

from gui.fields import for_field, step, title, unmarked, when_empty
from gui.form import Choice, Form, holds
from settings.errors import SettingsError
from settings.section import Section, Ui, settings
from trainer.config import TrainSettings


class Row(Section):
    """A row."""

    path: Annotated[str, Ui(kind="folder")] = ""
    """Where."""

    repeats: Annotated[int | None, Field(ge=1)] = None
    """How often."""


class Inner(Section):
    """What is inside."""

    rate: Annotated[float, Field(gt=0), Ui(kohya="unet_lr", level="expert", when="on")] = 1e-4
    """A rate."""

    kind: Annotated[Literal["a", "b"], Ui(when="inner.rate=1e-4")] = "b"
    """A choice."""

    only: Annotated[int, Ui(needs="flow")] = 3
    """For some."""


class Outer(Section):
    """All."""

    on: bool = True
    """A switch."""

    words: list[str] = ["x", "y"]
    """Several."""

    rows: list[Row] = []
    """Rows."""

    some: float | None = None
    """Perhaps a number."""

    inner: Inner = Inner()


@pytest.fixture
def form():
    with gr.Blocks(analytics_enabled=False):
        return Form(Outer, "test")


def values_of(updates):
    """What the page would send back after these updates."""
    return {field: update["value"] for field, update in updates.items()}


def test_what_is_shown_is_read(form):
    config = Outer(on=False, words=["a b", "c"], rows=[Row(path="/x/<b>", repeats=3)], some=0.0, inner=Inner(rate=0.5))
    assert form.read(values_of(form.show(config))) == config


def test_defaults_where_nothing_is_known(form):
    assert form.read(values_of(form.show({}))) == Outer()
    assert form.read(values_of(form.show({"inner": {"kind": "a"}}))) == Outer(inner=Inner(kind="a"))


def test_every_training_setting_survives(workspace):
    with gr.Blocks(analytics_enabled=False):
        form = Form(TrainSettings, "train", {"model.family": [Choice("SD", "sd15")]})
    complete = TrainSettings()
    assert form.typed(values_of(form.show(complete))).keys() == complete.model_dump().keys()
    assert len(form.fields) == len(list(settings(TrainSettings)))


def test_a_problem_names_its_path(form):
    values = values_of(form.show({}))
    values[next(field for field in form.fields if field.elem_id == "test-inner-rate")] = 0
    with pytest.raises(SettingsError) as error:
        form.read(values)
    assert list(error.value.problems) == ["inner.rate"]


def test_a_draft_with_values_of_another_version_is_shown(form):
    old = {"rate": "x", "kind": "gone", "old": 1}
    values = values_of(form.show({"on": "nonsense", "words": "one", "inner": old, "gone": {"a": 1}}))
    assert form.typed(values)["inner"] == {"rate": None, "kind": "b", "only": 3}
    with pytest.raises(SettingsError) as error:
        form.read(values)
    assert list(error.value.problems) == ["inner.rate"]


class Lists(Section):
    """Lists that are not typed line by line."""

    folders: Annotated[list[str], Ui(kind="folder")] = []
    """Where."""

    kinds: list[str] = ["a"]
    """Which."""


def test_folders_and_chosen_lists_have_fields_of_their_own():
    with gr.Blocks(analytics_enabled=False):
        choices = [Choice("A", "a", "the <b>first</b>"), Choice("B", "b")]
        form = Form(Lists, "test", {"kinds": choices}, without=["nothing"])
    config = Lists(folders=["/x/<b>", "/a b"], kinds=["b", "a"])
    assert form.read(values_of(form.show(config))) == config
    assert form.read(values_of(form.show({}))) == Lists()
    assert all(isinstance(field, gr.HTML) for field in form.fields)
    old = form.typed(values_of(form.show({"kinds": ["gone", "b"], "folders": "one\ntwo"})))
    assert old == {"kinds": ["b"], "folders": ["one", "two"]}


def test_groups_with_titles_come_first_and_some_settings_stay_away():
    with gr.Blocks(analytics_enabled=False):
        form = Form(Outer, "test", titles={"inner": "What is inside"}, without=["on", "rows"])
    assert list(form._groups()) == ["inner", ""] and form._title("inner") == "What is inside"
    assert "on" not in form.typed(values_of(form.show({}))) and form.read(values_of(form.show({}))) == Outer()


def test_hidden_fields(form):
    assert form.hidden({"on": False, "inner": {"rate": 1e-4}}, {"ddpm"}) == ["inner.rate", "inner.kind", "inner.only"]
    assert form.hidden({"on": True}, {"flow"}) == ["inner.kind"]


@pytest.mark.parametrize(
    "condition, value, met",
    [("", None, True), ("a.b", True, True), ("a.b", False, False), ("a.b=x|y", "y", True), ("a.b=x|y", "z", False)],
)
def test_conditions(condition, value, met):
    assert holds(condition, {"a.b": value}) is met


def test_stars_are_no_italics():
    assert unmarked("with * and ?, or */x") == "with \u2217 and ?, or \u2217/x" and unmarked("2 * 3") == "2 * 3"


def test_titles():
    assert title("") == "Basics"
    assert title("lora.text_encoder") == "LoRA: text encoder"
    assert title("lora.denoiser") == "LoRA: denoiser"


def test_no_dictionary_with_a_path_passes_through_gradio():
    """Gradio takes {"path": ...} for an uploaded file."""
    rows = next(setting for setting in settings(Outer) if setting.item)
    assert isinstance(for_field(rows, [Row(path="/etc")]), str)


def test_arrow_keys_step_by_what_suits():
    steps = {setting.path: step(setting) for setting in settings(Outer) if setting.type in (int, float)}
    assert steps == {"some": 0.01, "inner.rate": pytest.approx(1e-4), "inner.only": 1}


def test_help_is_text_not_markup():
    class Hostile(Section):
        """All <script>."""

        inner: Inner = Inner()

    Hostile.model_fields["inner"].annotation.__doc__ = "<img src=x onerror=alert(1)>"
    with gr.Blocks(analytics_enabled=False) as page:
        Form(Hostile, "test")
    heads = [block.value for block in page.blocks.values() if isinstance(block, gr.HTML) and block.value]
    assert heads and not [head for head in heads if "<img" in head]


def test_an_empty_number_says_what_that_means():
    said = {setting.path: when_empty(setting) for setting in settings(TrainSettings)}
    assert said["run.max_steps"] == "the epochs decide" and said["optimizer.ema_decay"] == "none"
    assert said["preview.steps"] == "automatic" and said["run.epochs"] is None
