"""What the training form does: the plan that follows from half-typed values, presets, and starting a run.

Every method here answers a click: it takes what Gradio hands over and returns {component: its new value}.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from gui import basemodel, sketches
from gui.events import attempted, notice, stamp
from gui.routes.presets import known
from jobs import queue, requests
from jobs.process import JobError
from settings import presets, toml
from settings.coerce import over
from settings.errors import SettingsError, conflicts, parse, warnings
from settings.flags import flat, nested
from trainer import command, preflight
from trainer.config import TrainSettings
from trainer.families import families
from trainer.lora.layers import blocks
from trainer.plan import plan
from trainer.problems import wrong_paths
from trainer.remarks import about_layers, without_effect

if TYPE_CHECKING:
    from gui.window import Window

Typed = dict[Component, Any]
Updates = dict[Component, Any]

# What is trained, not how: a preset that does not say it leaves it as it was typed.
PERSONAL = ("name", "dataset.folders", "save.folder", "save.logging_folder", "metadata.trigger", "preview.prompts")
PERSONAL += ("prior.class_prompt", "prior.class_word", "prior.trigger")
PERSONAL += ("lora.weights",)


class Training:
    """The training form with its surroundings. Made once the page's parts are all there."""

    def __init__(self, window: Window):
        self._window = window
        self._form = window.forms["train"]
        self._parts = window.parts
        shown = ("plan", "figures", "model", "sketch rate", "sketch noise")
        self._say = (self._form.guide, *(window.parts[name] for name in shown))

    @property
    def outputs(self) -> set[Component]:
        """All that `fill` changes, and where a notice is shown."""
        return self._form.fields | {*self._say, self._parts["notice"]}

    def fill(self, values: dict[str, Any] | None = None, afresh: bool = False) -> Updates:
        """Puts values (by path) on the form over what was typed, or, `afresh`, over the defaults and what is personal.

        That is the draft from then on."""
        draft = toml.renamed(TrainSettings, self._window.drafts.load("train"))
        if afresh:
            draft = nested({path: value for path, value in flat(draft).items() if path in PERSONAL})
        now = over(draft, nested(values or {}))
        updates = self._form.show(now)
        self._window.drafts.save("train", now)
        return updates | self._told(self.state(now))

    def typed(self, values: Typed) -> Updates:
        """What follows from what was typed; the family follows another base model."""
        now = self._form.typed(values)
        family = basemodel.followed(self._window.drafts.load("train"), now)
        if family:
            now = over(now, nested({basemodel.FAMILY: family}))
        self._window.drafts.save("train", now)
        if not family:
            return self._told(self.state(now))
        told = self._told(self.state(now) | {"followed": families()[family].label})
        return told | {self._form.one(basemodel.FAMILY): gr.update(value=family)}

    def take(self, values: Typed, event: gr.EventData) -> Updates:
        """Puts what was offered for the base model on the form, over what stands there."""
        self._window.drafts.save("train", self._form.typed(values))
        offered = event._data.get("values")
        return self.fill(offered if isinstance(offered, dict) else {})

    def start(self, values: Typed) -> Updates:
        try:
            job = command.create(self._form.read(values))
            queue.submit(job)
        except SettingsError as error:
            return self._refused(values, error)
        except (JobError, OSError) as error:
            reason = unreachable(error) if isinstance(error, OSError) else error
            return {self._parts["notice"]: notice(f"It could not be started: {reason}", bad=True)}
        self._window.runs.changed()
        return {self._parts["runs"]: {"run": job.id} | stamp(), self._window.tabs: gr.Tabs(selected="runs")}

    def check(self, values: Typed) -> Updates:
        """Two steps and a save in a process of its own, which queues the run if they work: no page is needed."""
        try:
            job = preflight.begin(self._form.read(values))
        except SettingsError as error:
            return self._refused(values, error)
        except (JobError, OSError) as error:
            reason = unreachable(error) if isinstance(error, OSError) else error
            return {self._parts["notice"]: notice(f"It could not be checked: {reason}", bad=True)}
        return {self._parts["preflight"]: {"work": job.id} | stamp()}

    def stop(self) -> Updates:
        mine = (job for job in self._window.runs.jobs() if job.kind == "train")
        running = [job for job in mine if self._window.runs.state(job) == "running"]
        for job in running:
            requests.ask(job.folder, "stop")
        names = ", ".join(job.name for job in running)
        text = f"{names}: stops after this step, and saves." if running else "Nothing is running."
        return {self._parts["notice"]: notice(text)}

    def command(self, values: Typed) -> Updates:
        """The settings as a file, and the commands that train from it."""
        try:
            config = command.with_absolute_paths(self._form.read(values))
        except SettingsError as error:
            return self._refused(values, error)
        except OSError as error:
            return {self._parts["notice"]: notice(unreachable(error), bad=True)}
        starts = shlex.join(command.argv(config)).replace("'{job}'", "JOB")
        shown = {"file": f"{config.name}.toml", "toml": toml.dumps(config), "accelerate": starts}
        return {self._parts["command"]: shown | stamp()}

    def load_preset(self, values: Typed, event: gr.EventData) -> Updates:
        self._window.drafts.save("train", self._form.typed(values))  # the newest of what is personal stays
        preset = known(self._window).get(str(event._data.get("key")))
        if preset is None:
            return {self._parts["notice"]: notice("There is no such preset any more.", bad=True)}
        return self.load(preset.path, keep_base=True)

    def load(self, path: Path, also: dict[str, Any] | None = None, keep_base: bool = False) -> Updates:
        """Puts a settings file, complete or partial, on the form, with other values (by path) laid over it; with
        `keep_base`, the base model that was chosen stays where it is of the file's family."""
        try:
            values = toml.loads(TrainSettings, toml.text_of(path))
            parse(TrainSettings, values)
        except SettingsError as error:
            return {self._parts["notice"]: notice(f"These settings do not fit: {error}", bad=True)}
        kept = basemodel.kept(self._window.drafts.load("train"), flat(values)) if keep_base else {}
        return self.fill(flat(values) | kept | (also or {}), afresh=True)

    def keep_preset(self, values: Typed, event: gr.EventData) -> Updates:
        name, about = str(event._data.get("name", "")), str(event._data.get("description", ""))
        try:
            config = self._form.read(values)
            kept = presets.save(self._window.home / "presets", config.model.family, name, config, about)
        except SettingsError as error:
            return {self._parts["notice"]: notice(f"Not saved. {error}", bad=True)}
        shown = {"key": f"yours/{kept.family}/{kept.name}"} | stamp()
        return {self._parts["presets"]: shown, self._parts["notice"]: notice(f"Saved as the preset {kept.name}.")}

    def state(self, values: dict[str, Any]) -> dict[str, Any]:
        """What follows from half-typed values: the plan or what it lacks, and the fields that mean nothing now."""
        complete = over(TrainSettings().model_dump(mode="json"), values)
        family = families().get(complete["model"]["family"])
        hidden = self._form.hidden(complete, family.traits if family else ())
        found: dict[str, Any] = {"problems": {}, "warnings": {}, "plan": None, "attempt": 0, "hidden": hidden}
        found |= {"model": basemodel.about(complete)} | self._planned(values)
        found["offers"] = {"lora.denoiser.blocks": blocks(complete["model"]["family"])}
        steps = found["plan"]["total_steps"] if found["plan"] else None
        return found | {"sketches": sketches.sketches(complete, steps)}

    def _planned(self, values: dict[str, Any]) -> dict[str, Any]:
        """The plan and its warnings; or all that is wrong, and what else would have no effect."""
        known: dict[str, Any] = {}
        try:
            config = parse(TrainSettings, values)
            if config.model.family in families():
                known = {"warnings": warnings(config) | without_effect(config) | about_layers(config)}
            if wrong := conflicts(config):
                return known | {"problems": wrong_paths(config) | wrong}
            config = command.with_absolute_paths(config)
            dataset = self._window.scans.scan(config.dataset.folders, config.dataset.caption_extension, by="train")
            planned = plan(config, dataset)
        except SettingsError as error:
            return known | {"problems": error.problems}
        except OSError as error:  # a drive that has gone, or a path longer than any system's
            return known | {"problems": {"path": unreachable(error)}}
        summary = {"sentence": planned.sentence, "table": planned.table, "total_steps": planned.total_steps}
        return {"plan": summary, "warnings": planned.warnings}

    def _told(self, now: dict[str, Any]) -> Updates:
        return dict.fromkeys(self._say, now | stamp())

    def _refused(self, values: Typed, error: SettingsError) -> Updates:
        now = self.state(self._form.typed(values)) | {"problems": error.problems}
        return self._told(attempted(now))


def unreachable(error: OSError) -> str:
    """What the system said of a path, short enough to be read."""
    return f"{error.strerror or error}: {str(error.filename or '')[:100]}"
