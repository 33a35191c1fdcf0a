"""The LoRA training room: every option as one form, the plan that follows from it, and the button that starts."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from gui.events import QUIET, inputs_of
from gui.form import Form
from gui.routes.presets import known
from gui.widgets import widget
from jobs import queue, requests
from jobs.process import JobError
from settings import presets, toml
from settings.coerce import over
from settings.errors import SettingsError, check
from settings.flags import flat, nested
from trainer.command import argv, create, with_absolute_paths
from trainer.config import TrainSettings
from trainer.families import families
from trainer.plan import plan

if TYPE_CHECKING:
    from gui.window import Window

title = "LoRA training"
order = 30
# What is trained, not how: a preset that does not say it leaves it as it was typed.
PERSONAL = ("name", "dataset.folders", "save.folder", "save.logging_folder", "metadata.trigger", "preview.prompts")


def build(window: Window) -> None:
    labels = [(family.label, name) for name, family in families().items()]
    with gr.Row(elem_classes=["lor-split"]):
        with gr.Column(elem_classes=["lor-main"]):
            window.parts["presets"] = widget("presets", elem_id="presets")
            window.forms["train"] = Form(TrainSettings, "train", {"model.family": labels})
        with gr.Column(elem_classes=["lor-aside"]):
            with gr.Column(elem_classes=["lor-card", "lor-plan-card"]):
                gr.HTML("<h2>Plan</h2>", apply_default_css=False, js_on_load=None)
                window.parts["plan"] = widget("plan", elem_id="plan", form="train", part="above")
                window.parts["start"] = gr.Button("Start training", variant="primary", elem_id="train-start")
                with gr.Row(elem_classes=["lor-buttons"]):
                    window.parts["stop"] = gr.Button("Stop and save", elem_id="train-stop")
                    window.parts["print"] = gr.Button("Show command", elem_id="train-command")
                window.parts["figures"] = widget("plan", elem_id="figures", form="train", part="below")
                window.parts["command"] = widget("command", elem_id="command")


def wire(window: Window, page: gr.Blocks) -> None:
    form, parts = window.forms["train"], window.parts
    shown = {form.guide, parts["plan"], parts["figures"]}

    def typed(values: dict[Any, Any]) -> dict[Any, Any]:
        now = form.typed(values)
        window.drafts.save("train", now)
        return say(window, state(window, now))

    def start(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            job = create(form.read(values))
            queue.submit(job)
        except SettingsError as error:
            return say(window, attempted(state(window, form.typed(values)) | {"problems": error.problems}))
        except (JobError, OSError) as error:
            raise gr.Error(str(error), title="It could not be started", print_exception=False) from None
        window.runs.changed()
        return {parts["runs"]: {"run": job.id} | stamp(), window.tabs: gr.Tabs(selected="runs")}

    def stop() -> None:
        running = [job for job in window.runs.jobs() if window.runs.state(job) == "running"]
        for job in running:
            requests.ask(job.folder, "stop")
        names = ", ".join(job.name for job in running)
        gr.Info(f"{names}: stops after this step, and saves." if running else "Nothing is running.")

    def command(values: dict[Any, Any]) -> dict[Any, Any]:
        try:
            config = with_absolute_paths(form.read(values))
        except SettingsError as error:
            return say(window, attempted(state(window, form.typed(values)) | {"problems": error.problems}))
        return {
            parts["command"]: {
                "file": f"{config.name}.toml",
                "toml": toml.dumps(config),
                "accelerate": shlex.join(argv(config)).replace("'{job}'", "JOB"),
            }
            | stamp()
        }

    def load_preset(event: gr.EventData) -> dict[Any, Any]:
        preset = known(window).get(str(event._data.get("key")))
        if preset is None:
            raise gr.Error("There is no such preset any more.", print_exception=False)
        try:
            return fill(window, preset_values(preset), afresh=True)
        except SettingsError as error:
            raise gr.Error(str(error), title="This preset does not fit", print_exception=False) from None

    def keep_preset(values: dict[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        name, about = str(event._data.get("name", "")), str(event._data.get("description", ""))
        try:
            config = form.read(values)
            kept = presets.save(window.home / "presets", config.model.family, name, config, about)
        except SettingsError as error:
            raise gr.Error(str(error), title="Not saved", print_exception=False) from None
        gr.Info(f"Saved as the preset {kept.name}.")
        return {parts["presets"]: {"key": f"yours/{kept.family}/{kept.name}"} | stamp()}

    page.load(lambda: fill(window, {}), None, outputs(window), **QUIET)
    gr.on(inputs_of(form), typed, form.fields, shown, trigger_mode="always_last", **QUIET)
    parts["start"].click(start, form.fields, shown | {parts["runs"], window.tabs}, **QUIET)
    parts["stop"].click(stop, None, None, **QUIET)
    parts["print"].click(command, form.fields, shown | {parts["command"]}, **QUIET)
    parts["presets"].choose(load_preset, None, outputs(window), **QUIET)
    parts["presets"].keep(keep_preset, form.fields, parts["presets"], **QUIET)


def outputs(window: Window) -> set[Component]:
    """All that `fill` changes."""
    return window.forms["train"].fields | {window.forms["train"].guide, window.parts["plan"], window.parts["figures"]}


def fill(window: Window, values: dict[str, Any], afresh: bool = False) -> dict[Component, Any]:
    """Updates that put values (by path) on the form over what was typed, or, `afresh`, over the defaults and what is
    personal; and keep that as the draft. Raises SettingsError."""
    draft = window.drafts.load("train")
    if afresh:
        draft = nested({path: value for path, value in flat(draft).items() if path in PERSONAL})
    now = over(draft, nested(values))
    form = window.forms["train"]
    updates = form.show(now)
    window.drafts.save("train", now)
    return updates | say(window, state(window, now))


def state(window: Window, values: dict[str, Any]) -> dict[str, Any]:
    """What follows from half-typed values: the plan or what it lacks, and the fields that mean nothing now."""
    family = families().get((values.get("model") or {}).get("family", TrainSettings().model.family))
    form = window.forms["train"]
    complete = over(TrainSettings().model_dump(mode="json"), values)
    found: dict[str, Any] = {
        "problems": {},
        "warnings": {},
        "plan": None,
        "attempt": 0,
        "hidden": form.hidden(complete, family.traits if family else ()),
    }
    try:
        config = with_absolute_paths(check(TrainSettings, values))
        dataset = window.scans.scan(config.dataset.folders, config.dataset.caption_extension)
        planned = plan(config, dataset)
    except SettingsError as error:
        return found | {"problems": error.problems}
    summary = {"sentence": planned.sentence, "table": planned.table, "total_steps": planned.total_steps}
    return found | {"plan": summary, "warnings": planned.warnings}


def say(window: Window, now: dict[str, Any]) -> dict[Component, Any]:
    return dict.fromkeys((window.forms["train"].guide, window.parts["plan"], window.parts["figures"]), now)


def preset_values(preset: presets.Preset) -> dict[str, Any]:
    """What a preset says, by path; checked, but not filled up."""
    presets.load(TrainSettings, preset)
    return flat(toml.loads(TrainSettings, toml.text_of(preset.path)))


def attempted(now: dict[str, Any]) -> dict[str, Any]:
    """The same, shown loudly: somebody pressed the button."""
    return now | {"attempt": time.time()}


def stamp() -> dict[str, float]:
    """Makes a widget's value another one than before, so that its script hears of it."""
    return {"at": time.time()}
