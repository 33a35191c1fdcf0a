"""What the captions form does: what follows from half-typed values, what is asked before a download, starting a run.

Every method of `Captioning` answers a click: it takes what Gradio hands over and returns {component: its new value}.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from captioners import captioners, command
from captioners.base import CaptionerError
from captioners.config import CaptionConfig
from gui.consent import agreements, host, models, questions_of
from gui.events import attempted, notice, stamp
from gui.repeats import take_over
from gui.scans import Pictured
from gui.thresholds import tagger
from jobs import queue
from jobs.process import JobError
from settings import toml
from settings.coerce import over
from settings.errors import SettingsError, check, parse, warnings
from settings.flags import flat, nested
from settings.section import Section

if TYPE_CHECKING:
    from gui.window import Window

Typed = dict[Component, Any]
Updates = dict[Component, Any]

FORM = "captions"
# Chosen by buttons and by being asked, so they are not on the form.
ASKED = ("run.download", "write.dry_run")
BUTTONS = ("start", "look", "test", "apply", "command")
TEST = "test"  # a file in the folder of a job that only tries a picture


class Captioning:
    """The captions form with its surroundings. Made once the page's parts are all there."""

    def __init__(self, window: Window):
        self._window = window
        self._form = window.forms[FORM]
        self._parts = window.parts
        self._say = (self._form.guide, window.parts["desk"])

    @property
    def outputs(self) -> set[Component]:
        """All that `fill` changes, and where a notice is shown."""
        return self._form.fields | {*self._say, self._parts["notice"]}

    @property
    def answers(self) -> set[Component]:
        """All that `act` changes."""
        return {*self._say, self._parts["captioned"], self._parts["notice"], self._parts["caption_command"]}

    def fill(self, values: dict[str, Any] | None = None) -> Updates:
        """Puts values (by path) on the form over what was typed. That is the draft from then on."""
        now = over(self._window.drafts.load(FORM), nested(values or {}))
        if not (now.get("source") or {}).get("folders"):  # the one that is open in the Dataset room
            path = str(self._window.drafts.load("dataset").get("path") or "").strip()
            now = over(now, {"source": {"folders": [path] if path else []}})
        updates = self._form.show(now)
        self._window.drafts.save(FORM, now)
        return updates | self._told(self.state(now))

    def load(self, path: Path) -> Updates:
        """Puts the settings of a run on the form."""
        try:
            values = toml.loads(CaptionConfig, toml.text_of(path))
            config = parse(CaptionConfig, values)
        except SettingsError as error:
            return {self._parts["notice"]: notice(f"These settings do not fit: {error}", bad=True)}
        found = {path: value for path, value in flat(values).items() if path not in ASKED}
        return self.fill(found | ({"name": UNNAMED} if config.name == title_of(config) else {}))

    def typed(self, values: Typed) -> Updates:
        now = self._form.typed(values)
        self._window.drafts.save(FORM, now)
        return self._told(self.state(now))

    def act(self, values: Typed, event: gr.EventData) -> Updates:
        """A button: {"what": "start" | "look" | "test" | "apply" | "command", "picture": its id, "dry": bool, "agreed":
        ids of the questions that were answered with yes}."""
        wish = event._data
        if wish.get("what") not in BUTTONS:
            return {self._parts["notice"]: notice("There is no such button.", bad=True)}
        try:
            config = self._wished(self._form.read(values), wish)
            if wish.get("what") == "command":
                return {self._parts["caption_command"]: in_words(config) | stamp()}
            self._found(config)  # nothing is asked for a folder that is not there
            if questions := questions_of(config, agreements(wish)):
                now = self.state(self._form.typed(values))
                return {self._parts["desk"]: now | {"ask": {"questions": questions, "wish": dict(wish)} | stamp()}}
            job = command.create(config)
            if wish["what"] == "test":
                self._forget_tests()
                (job.folder / TEST).touch()
            elif wish["what"] == "apply" and (kind := tagger()):
                take_over(job, (one for one in self._window.runs.jobs() if one.kind == "captions"), but=kind.name)
            queue.submit(job)
        except SettingsError as error:
            return self._told(attempted(self.state(self._form.typed(values)) | {"problems": error.problems}))
        except (CaptionerError, JobError, OSError) as error:
            reason = f"{error.strerror or error}: {error.filename}" if isinstance(error, OSError) else error
            return {self._parts["notice"]: notice(f"It could not be started: {reason}", bad=True)}
        self._window.runs.changed()
        return {self._parts["captioned"]: {"run": job.id, "what": wish.get("what")} | stamp()}

    def state(self, values: dict[str, Any]) -> dict[str, Any]:
        """What follows from half-typed values: the pictures that are meant, the models, and what is missing."""
        complete = over(CaptionConfig().model_dump(mode="json"), values)
        found: dict[str, Any] = {"problems": {}, "warnings": {}, "pictures": None, "attempt": 0}
        found |= {"hidden": self._hidden(complete), "models": models(complete), "mode": complete["write"]["mode"]}
        try:
            config = check(CaptionConfig, values)
            found["warnings"] = warnings(config)
            found |= {"pictures": self._pictures(config)}
        except SettingsError as error:
            found["problems"] = error.problems
        except OSError as error:  # a drive that has gone, or a path longer than any system's
            found["problems"] = {"source.folders": f"can't be read ({error.strerror})"}
        return found

    def _hidden(self, complete: dict[str, Any]) -> list[str]:
        """Fields that mean nothing now: also those of captioners that were not chosen."""
        chosen = complete["captioners"]
        others = [name for name in captioners() if name not in chosen]
        of_others = [path for path in flat(complete) if path.partition(".")[0] in others]
        return [*self._form.hidden(complete), *of_others]

    def _pictures(self, config: Section) -> dict[str, Any]:
        """How many pictures lie in the folders, how many have a caption, and the first of them."""
        if not config.source.folders:
            raise SettingsError({"source.folders": "choose a folder with pictures"})
        found = self._found(config)
        shown = [
            {"id": self._window.thumbnails.id_of(path), "name": path.name, "caption": caption}
            for path, caption in list(found.captions.items())[:SHOWN]
        ]
        return {"count": len(found.captions), "captioned": sum(map(bool, found.captions.values())), "first": shown}

    def _found(self, config: Section) -> Pictured:
        config = command.with_absolute_paths(config)
        if wrong := dict(command.folder_problems(config)):
            raise SettingsError(wrong)
        source = config.source
        return self._window.scans.captions(source.folders, source.recursive, source.only, by="captions")

    def _wished(self, config: Section, wish: dict[str, Any]) -> Section:
        """The settings that a button stands for."""
        what = wish.get("what")
        agreed = agreements(wish)
        changes: dict[str, Any] = {"run.download": bool(agreed), "write.dry_run": what in ("look", "test")}
        changes |= {"name": title_of(config)} if config.name == UNNAMED and what != "command" else {}
        for name in config.captioners:
            if (address := host(getattr(config, name))) in agreed:
                changes[f"{name}.agreed_host"] = address
        if what == "apply":
            changes |= {"write.mode": "overwrite", "write.dry_run": bool(wish.get("dry"))}
        if what == "test":
            known = self._window.thumbnails.path_of(str(wish.get("picture")))
            picture = known or next(iter(self._found(config).captions))
            changes |= {"name": f"test: {picture.name}"[:100], "write.mode": "overwrite"}
            changes |= {"source.folders": [str(picture.parent)], "source.only": [literal(picture.name)]}
            changes |= {"source.recursive": False}
        return check(CaptionConfig, over(config.model_dump(), nested(changes)))

    def _forget_tests(self) -> None:
        """A test has written nothing that anybody needs, so the list of runs keeps only the newest."""
        for job in self._window.runs.jobs():
            if (job.folder / TEST).exists() and job.state() in ("finished", "failed", "stopped"):
                shutil.rmtree(job.folder, ignore_errors=True)

    def _told(self, now: dict[str, Any]) -> Updates:
        return dict.fromkeys(self._say, now | stamp())


UNNAMED = CaptionConfig.model_fields["name"].default
SHOWN = 500  # pictures that the page can step through to try one


def title_of(config: Section) -> str:
    """What a run is called that nobody gave a name: the list of runs is easier to read."""
    names = " and ".join(captioners()[name].label for name in config.captioners if name in captioners())
    folder = Path(config.source.folders[0]).name if config.source.folders else ""
    return f"{folder}: {names}"[:100]


def literal(name: str) -> str:
    """A file name as a pattern that means only itself, as far as patterns with * and ? can."""
    return name.replace("*", "?")


def in_words(config: Section) -> dict[str, Any]:
    """The command that does the same without the window: what differs from the defaults, as flags."""
    defaults, chosen = flat(CaptionConfig().model_dump(mode="json")), flat(config.model_dump(mode="json"))
    named = {"source.folders", "captioners", "write.mode", "write.dry_run"}
    words = ["python", "launch.py", "caption", *config.source.folders]
    words += [word for name in config.captioners for word in ("--captioner", name)]
    words += ["--mode", config.write.mode]
    for path, value in chosen.items():
        section = path.partition(".")[0]
        meant = section not in captioners() or section in config.captioners
        if meant and path not in named and value != defaults.get(path):
            values = value if isinstance(value, list) else ["" if value is None else value]
            words += [f"--{path}={str(one).lower() if isinstance(one, bool) else one}" for one in values]
    return {"file": f"{config.name}.toml", "toml": toml.dumps(config), "run": shlex.join(words)}
