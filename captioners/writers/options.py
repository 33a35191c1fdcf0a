"""Options of every captioner that writes with a model on this machine. Each changes the defaults to what suits it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from captioners.writers import clean
from settings.section import Section, Ui


class Words(Section):
    """How words are chosen and cleaned up."""

    model: Annotated[str, Ui(level="quick", kind="model")] = ""
    """A name on the hub, or a folder."""

    beams: Annotated[int, Field(ge=1, le=16), Ui(level="expert", kohya="num_beams")] = 1
    """How many beginnings of a sentence are followed at once. More: better sentences, slower."""

    sample: Annotated[bool, Ui("Draw words at random", level="expert", kohya="beam_search")] = False
    """Livelier and less exact. The same picture and seed give the same words."""

    temperature: Annotated[float, Field(gt=0, le=2), Ui(level="expert", step=0.1)] = 1.0
    """While drawing: lower is more predictable."""

    top_p: Annotated[float, Field(gt=0, le=1), Ui(level="expert", step=0.05, kohya="top_p")] = 0.9
    """While drawing: only from the likeliest words that make up this much of the probability."""

    min_tokens: Annotated[int, Field(ge=0, le=1024), Ui(level="expert", kohya="min_length")] = 0
    """At least so many tokens (pieces of words)."""

    max_tokens: Annotated[int, Field(ge=1, le=4096), Ui(kohya="max_length")] = 256
    """At most so many tokens; three of them are about two words."""

    repetition_penalty: Annotated[float, Field(ge=1, le=2), Ui(level="expert", step=0.05)] = 1.0
    """Above 1, words that were said are less likely to be said again."""

    clean: Annotated[list[str], Ui("Take out", level="expert")] = clean.OPENINGS
    """Regular expressions of what is taken out of every caption, whatever its case: openings that say nothing."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for wrong in clean.broken(self.clean):
            yield "clean", wrong
        if self.min_tokens >= self.max_tokens:
            yield "min_tokens", f"must be less than max_tokens ({self.max_tokens})"

    def warnings(self) -> Iterator[tuple[str, str]]:
        fields = type(self).model_fields
        names = ("beams",) if self.sample else ("temperature", "top_p")
        for name in names:
            if getattr(self, name) != fields[name].default:
                yield name, f"has no effect while sample is {'on' if self.sample else 'off'}"
