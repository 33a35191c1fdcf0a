"""Everything that can be chosen for a captioning run. Each captioner's own options are a section with its name."""

from __future__ import annotations

import string
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from captioners import captioners
from settings.section import Section, Ui

FIELDS = ("trigger", "tags", "caption", "rating", "existing", "name", "directory")  # and every captioner's name


class Source(Section):
    """The pictures that are described."""

    folders: Annotated[list[str], Ui("Folders", level="quick", kind="folder", kohya="train_data_dir")] = []
    """Folders with pictures."""

    recursive: Annotated[bool, Ui("Folders inside, too", kohya="recursive")] = True
    """Also the pictures in folders inside these."""

    only: Annotated[list[str], Ui("Only these", level="expert")] = []
    """Only these pictures: file names or paths inside the folders, with * and ?. Empty: all of them."""


class Write(Section):
    """What happens to the captions that are there already, and where the new ones go."""

    mode: Annotated[
        Literal["missing", "append", "prepend", "overwrite"], Ui(level="quick", kohya="append_tags")
    ] = "missing"
    """missing: only pictures without a caption. append, prepend: add what is new to it. overwrite: replace it."""

    format: Annotated[
        Literal["txt", "caption", "metadata.jsonl", "meta_cap.json"], Ui(kohya="caption_extension")
    ] = "txt"
    """A text file beside each picture (.txt or .caption), or one table in each folder (Hugging Face's or kohya's)."""

    separator: Annotated[str, Ui(level="expert", kohya="caption_separator")] = ", "
    """Stands between what was there and what is added."""

    dry_run: Annotated[bool, Ui("Only show what would change")] = False
    """Write nothing, and show each caption as it is and as it would be."""


class Computing(Section):
    """How it is computed."""

    batch_size: Annotated[int | None, Field(ge=1, le=1024), Ui(kohya="batch_size")] = None
    """Pictures at once. Empty: what suits the captioner. Halved by itself where memory runs out."""

    workers: Annotated[int, Field(ge=1, le=32), Ui(level="expert", kohya="max_data_loader_n_workers")] = 4
    """Threads that read and prepare pictures while the model works."""

    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Ui(level="expert")] = "auto"
    """auto: the graphics card if there is one that can be used."""

    seed: Annotated[int, Field(ge=0, le=2**32 - 1), Ui(level="expert", kohya="seed")] = 42
    """Start of the random numbers of models that draw their words."""

    download: Annotated[bool, Ui("Download the model if it is not here", level="quick")] = False
    """Size and licence are shown first. Off: only models that are on this machine."""


class Captioning(Section):
    """Describe the pictures of a folder."""

    name: Annotated[str, Field(min_length=1, max_length=100), Ui(level="expert")] = "captions"
    """What the run is called in the list of runs."""

    captioners: Annotated[list[str], Ui("Captioners", level="quick")] = ["wd_tagger"]
    """Who describes the pictures, one after the other; what all of them say is joined by the template."""

    trigger: Annotated[str, Ui("Trigger word", level="quick", kohya="prefix")] = ""
    """Put in front of every caption that does not have it, unless the template has another place for it."""

    template: Annotated[str, Ui(level="standard")] = ""
    """How what was said becomes a caption, as in "{trigger}, {caption}, {tags}". Empty: all of it, with commas between.
    Known: {trigger} {tags} {caption} {rating} {existing} {name} {directory}, and captioners by name: {blip}."""

    source: Source = Source()
    write: Write = Write()
    run: Computing = Computing()

    def conflicts(self) -> Iterator[tuple[str, str]]:
        known = captioners()
        if not self.captioners:
            yield "captioners", f"choose at least one of {', '.join(known)}"
        for unknown in (name for name in self.captioners if name not in known):
            yield "captioners", f"there is no captioner {unknown!r}; known are {', '.join(known)}"
        if len(set(self.captioners)) < len(self.captioners):
            yield "captioners", "the same one is there twice"
        yield from self._template_conflicts()

    def _template_conflicts(self) -> Iterator[tuple[str, str]]:
        try:
            fields = [field for _, field, _, _ in string.Formatter().parse(self.template) if field is not None]
        except ValueError:
            yield "template", "has a bracket without its partner; for a bracket itself write {{ or }}"
            return
        for field in fields:
            if field not in FIELDS and field not in captioners():
                yield "template", f"does not know {{{field}}}; known are {', '.join(f'{{{name}}}' for name in FIELDS)}"
            elif field not in (*FIELDS, *self.captioners):
                yield "template", f"has {{{field}}}, which is not among the captioners of this run"


def complete() -> type[Captioning]:
    """The whole tree: the above, and a section for each captioner that was found."""
    sections: dict[str, Any] = {name: (kind.settings, kind.settings()) for name, kind in captioners().items()}
    return create_model("CaptionConfig", __base__=Captioning, __doc__=Captioning.__doc__, **sections)


CaptionConfig = complete()
"""One run's settings: what is above, with each captioner's own section under its name (`CaptionConfig.wd_tagger`)."""
