"""The caption that a picture has already, so that a run can put a trigger in front, apply a template, or write another
format, with the same dry run, journal and undo as every other run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from captioners.base import Captioner, Picture, Progress, Said
from captioners.join import key
from captioners.source import pattern
from captioners.weights import Weights
from settings.section import Section, Ui


class ExistingSettings(Section):
    """Repeats the caption that is there: for a trigger word, a template or another file format. Not for mode missing.
    """

    remove: Annotated[list[str], Ui("Leave out")] = []
    """Parts between commas that are left out, with * and ?; of tags, underscores and spaces are the same."""


class Existing(Captioner):
    name = "existing"
    label = "Existing caption"
    order = 200
    says = "tags"  # as it is, unjudged: a person may have written it
    settings = ExistingSettings
    batch_size = 64

    @classmethod
    def weights(cls, settings: Section) -> Weights | None:
        return None

    def load(self, weights: Weights | None, progress: Progress) -> None:
        self._unwanted = [pattern(key(part)) for part in self.options.remove if part.strip()]

    def prepare(self, picture: Picture) -> str:
        return picture.existing

    def say(self, batch: Sequence[str], attempt: int = 0) -> list[Said]:
        return [Said(self.kept(text), raw=text) for text in batch]

    def kept(self, text: str) -> str:
        if not self._unwanted:
            return text
        parts = [part.strip() for part in text.split(",")]
        return ", ".join(part for part in parts if part and not any(one.fullmatch(key(part)) for one in self._unwanted))
