"""What a person says when a data set is exported or imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from dataset.captions import dotted
from dataset.exchange.formats import readers, writers
from dataset.prepare import unfit_for_names
from settings.section import Section, Ui

Table = Literal["jsonl", "csv", "parquet"]
Side = Annotated[int, Field(ge=8, le=8192)]
Share = Annotated[float, Field(ge=0, le=1)]


class ExportSettings(Section):
    """Writes a data set as another program wants it: pictures as they are, captions in its own way."""

    folder: Annotated[str, Ui(level="quick", kind="folder")] = ""
    """The data set: any folder of pictures that training reads."""

    format: Annotated[str, Ui(level="quick")] = "text"
    """What to make of it; the window and `--help` list the formats."""

    output: Annotated[str, Ui(level="quick", kind="folder")] = ""
    """A new folder, or a file that ends with .zip. Nothing that is there already is touched."""

    dry_run: Annotated[bool, Ui("Only look")] = False
    """Only say what would be written."""

    caption_extension: Annotated[str, Ui("Caption file extension", when="format=text|kohya")] = ".txt"
    """Of the caption's file beside each picture."""

    table: Annotated[Table, Ui(when="format=imagefolder")] = "jsonl"
    """Kind of the metadata file. Parquet needs the package pyarrow."""

    words: Annotated[str, Ui("Class words", when="format=kohya")] = ""
    """The words of folders such as `10_sks dog`, for pictures whose folder has none. Empty: the folder's own name."""

    resolution: Annotated[Side, Ui(step=64, when="format=meta_cap|diffusion_pipe")] = 512
    """What the set will be trained at, in pixels: meta_lat.json and dataset.toml say it."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.folder.strip():
            yield "folder", "choose the folder with the pictures"
        if not self.output.strip():
            yield "output", "choose a new folder, or name a .zip file"
        yield from one_of("format", self.format, writers())
        yield from extension(self.caption_extension)
        if wrong := unfit_for_names(self.words):
            yield "words", f"becomes part of a folder's name, and can't have {wrong}"


class ImportSettings(Section):
    """Makes a folder to train from of what another program wrote. The source stays as it is."""

    source: Annotated[str, Ui(level="quick", kind="folder")] = ""
    """A folder, a table, a Parquet file, an analysis, or a zip of any of these."""

    format: Annotated[str, Ui(level="quick")] = "auto"
    """What the source is. auto: found out by looking at it."""

    output: Annotated[str, Ui(level="quick", kind="folder")] = ""
    """The new folder, with the pictures and what is made of their captions."""

    to: Annotated[str, Ui("As", level="quick")] = "text"
    """How the new folder is laid out; the window and `--help` list the formats. text: a text file beside each
    picture."""

    dry_run: Annotated[bool, Ui("Only look")] = False
    """Only say what would be made."""

    images: Annotated[str, Ui("Pictures", kind="folder")] = ""
    """Where the pictures are that a table names. Empty: beside it."""

    image_field: Annotated[str, Ui("Picture's column")] = ""
    """What the picture is called in a table or a record. Empty: guessed."""

    caption_field: Annotated[str, Ui("Caption's column")] = ""
    """What the caption is called. Empty: guessed."""

    confidence_field: Annotated[str, Ui("Confidence's field", when="format=analysis")] = ""
    """What the confidence is called. Empty: guessed."""

    min_confidence: Annotated[Share, Ui("Least confidence", step=0.05, when="format=analysis")] = 0.5
    """Records below are dropped. 0 also takes those that say none."""

    caption_extension: Annotated[str, Ui("Caption file extension", when="format=text|kohya")] = ".txt"
    """Of the captions' files in the source; both usual ones are found."""

    cut_names: Annotated[bool, Ui("Cut names at the underscore", when="format=filenames")] = True
    """The caption in a file's name ends at the first underscore. Off: only a number behind the last one is left out,
    and underscores become spaces."""

    plain_prompts: Annotated[bool, Ui("Plain words", when="format=embedded")] = True
    """Take weights such as (word:1.2), <lora:...> and BREAK out of prompts."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.source.strip():
            yield "source", "choose what to import"
        if not self.output.strip():
            yield "output", "choose a new folder"
        yield from one_of("format", self.format, ["auto", *readers()])
        yield from one_of("to", self.to, writers())
        yield from extension(self.caption_extension)


def one_of(path: str, value: str, known: object) -> Iterator[tuple[str, str]]:
    if value not in known:
        yield path, f"must be one of {', '.join(known)}; got {value}"


def extension(value: str) -> Iterator[tuple[str, str]]:
    if not value.strip(". ") or unfit_for_names(value) or dotted(value).lower() in (".png", ".jpg", ".jpeg", ".webp"):
        yield "caption_extension", "say which files hold the captions, for example .txt"
