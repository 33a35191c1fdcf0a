"""What a resize is asked to do: the page's form, the command's flags and the job's file in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from dataset.resize import names
from dataset.settings import DatasetSettings
from settings.section import Section, Ui

Side = Annotated[int, Field(ge=8, le=8192)]
Mode = Literal["cover", "contain", "longest", "shortest", "pixels", "bucket"]
Keep = Literal["centre", "top", "bottom", "left", "right", "top left", "top right", "bottom left", "bottom right",
               "subject", "face"]

CROPPING = "mode=cover|bucket"


class Settings(Section):
    """Makes copies at the sizes that training wants. Captions and masks follow; nothing of yours is changed."""

    folder: Annotated[str, Ui("Pictures", level="quick", kind="folder")] = ""
    """The folder with your pictures, and all folders in it. It stays as it is."""

    output: Annotated[str, Ui("Copies go to", level="quick", kind="folder")] = ""
    """The folder for the copies: a new one, or one that this has filled before. Never inside the pictures' own."""

    mode: Annotated[Mode, Ui("How", level="quick")] = "cover"
    """cover: exactly this size, what hangs over is cut off. contain: exactly this size, the rest is filled. longest,
    shortest: that side gets the width. pixels: no more of them than width x height. bucket: the trainer's own sizes."""

    width: Annotated[Side, Ui(level="quick", step=64)] = 1024
    """In pixels; for longest and shortest that side, for bucket the training resolution."""

    height: Annotated[int | None, Field(ge=8, le=8192),
                      Ui(level="quick", step=64, when="mode=cover|contain|pixels")] = None
    """In pixels. Empty: the same as the width."""

    keep: Annotated[Keep, Ui("Keep in the picture", level="quick", when="mode=cover|contain|bucket")] = "subject"
    """What to keep where something is cut off. subject: the part with the most to see. face: the largest face, else the
    subject. A crop drawn by hand always comes first."""

    upscale: Annotated[bool, Ui("Enlarge small pictures")] = False
    """Off: a smaller picture keeps its pixels, and comes out smaller than asked for. It is told which those are."""

    padding: Annotated[Literal["colour", "blur"], Ui("Fill with", when="mode=contain")] = "colour"
    """What stands beside a picture that does not fill its size: one colour, or its own edge drawn out and blurred."""

    colour: Annotated[str, Ui("Colour", when="padding=colour")] = "#ffffff"
    """As in web pages: #ffffff is white."""

    format: Annotated[Literal["jpg", "png", "webp"], Ui(level="quick")] = "jpg"
    """jpg: small. png: exact and large. webp: smaller still; exact where the quality is 100."""

    quality: Annotated[int, Field(ge=1, le=100), Ui(when="format=jpg|webp")] = 95
    """1 to 100; below 90 losses can be learnt. Colour is never halved in JPEGs of 90 and more."""

    rename: Annotated[str, Ui("Names")] = "{name}"
    """{name}: as it was. {n} counts, {n:04} with four digits. {folder}: its folder. Folders are kept as they are."""

    captions: Annotated[bool, Ui("Captions follow")] = True
    """Copy captions too, under the new names. Those in a table become text files."""

    masks: Annotated[Literal["masks", "masklabel", "none"], Ui("Masks follow")] = "masks"
    """Cut and scale masks alike. masks: into a folder masks, as kohya, ai-toolkit and diffusion-pipe read them.
    masklabel: beside the picture, as OneTrainer reads them."""

    alpha_masks: Annotated[bool, Ui("Masks from transparency", level="expert", when="masks=masks|masklabel")] = False
    """Where a picture has no mask and some of it is transparent: make one that is black there."""

    linear: Annotated[bool, Ui("Scale in linear light", level="expert")] = False
    """Average light instead of stored values: fine bright detail keeps its brightness. Takes several times as long."""

    face_model: Annotated[str, Ui("Face model", level="expert", kind="file", when="keep=face")] = ""
    """YuNet as an ONNX file. Empty: the first .onnx file in models/yunet of the workspace."""

    bucket_step: Annotated[int, Field(ge=8, le=1024),
                           Ui("Bucket step", level="expert", step=8, when="mode=bucket")] = 64
    """Bucket sides are multiples of this."""

    bucket_min: Annotated[Side, Ui("Shortest bucket side", level="expert", step=64, when="mode=bucket")] = 256
    """Only where small pictures are enlarged, as in training."""

    bucket_max: Annotated[Side, Ui("Longest bucket side", level="expert", step=64, when="mode=bucket")] = 2048
    """Only where small pictures are enlarged, as in training."""

    dry_run: Annotated[bool, Ui("Only tell", level="expert")] = False
    """Say what would be done with each picture, and write nothing."""

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height or self.width

    @property
    def buckets(self) -> DatasetSettings:
        """What the trainer would be told for these sizes."""
        return DatasetSettings(resolution=self.width, upscale=self.upscale, bucket_step=self.bucket_step,
                               bucket_min=self.bucket_min, bucket_max=self.bucket_max)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for path in ("folder", "output"):
            if not getattr(self, path).strip():
                yield path, "choose a folder"
        if self.mode == "contain" and self.padding == "colour" and not re.fullmatch("#[0-9a-fA-F]{6}", self.colour):
            yield "colour", "write it as #rrggbb, for example #ffffff for white"
        if wrong := names.wrong(self.rename):
            yield "rename", wrong
        if self.mode == "bucket":
            own = {"resolution": "width"}
            yield from ((own.get(path, path), what) for path, what in self.buckets.conflicts())

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.mode == "bucket" and self.height:
            yield "height", "has no effect: buckets are made from the width alone"
        if self.alpha_masks and self.masks == "none":
            yield "alpha_masks", "has no effect while masks don't follow"

    def pixels_depend_on(self) -> dict[str, Any]:
        """The settings that decide what is in a file, whatever it is called."""
        return self.model_dump(mode="json", exclude={"folder", "output", "rename", "captions", "dry_run"})
