"""The settings that say which pictures are trained on, at which sizes, and how their captions are varied."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from settings.section import Section, Ui

Side = Annotated[int, Field(ge=8, le=8192)]


class Folder(Section):
    """A folder of pictures: the pictures themselves, `10_sks dog` folders, or any tree of folders."""

    path: Annotated[str, Ui("Folder", level="quick", kind="folder", kohya="train_data_dir reg_data_dir image_dir")] = ""
    """Where the pictures are. They are read in place and never changed."""

    repeats: Annotated[int | None, Field(ge=1, le=100_000), Ui(level="quick", kohya="num_repeats")] = None
    """How often each picture is shown in an epoch. Empty: the number that the folder's name begins with, else 1."""

    regularisation: Annotated[bool, Ui("Regularisation", kohya="reg_data_dir is_reg")] = False
    """Pictures of the whole class that keep it from turning into your subject (prior preservation)."""

    loss_weight: Annotated[float, Field(ge=0, le=10), Ui(level="expert")] = 1.0
    """How much these pictures count beside those of other folders: less for a set of poor quality, more for what is
    learnt too slowly."""

    class_words: Annotated[str, Ui("Class words", kohya="class_tokens")] = ""
    """Caption of pictures that have none. Empty: the words of the folder's name, as in `10_sks dog`."""

    @model_validator(mode="before")
    @classmethod
    def from_path(cls, value: Any) -> Any:
        """A bare path is a folder too: `--dataset.folders PATH`, or a plain list in a TOML file."""
        return {"path": value} if isinstance(value, str) else value


class DatasetSettings(Section):
    """The pictures, and the sizes they are trained at."""

    folders: Annotated[list[Folder], Ui("Folders", level="quick")] = []
    """The folders with the pictures."""

    resolution: Annotated[Side, Ui(level="quick", step=64, kohya="resolution max_resolution")] = 512
    """Side of the square, in pixels, whose area the training sizes have. SD 1.x: 512, SD 2.x: 768, SDXL: 1024."""

    more_resolutions: Annotated[list[int], Ui("Further resolutions", level="expert")] = []
    """Every picture is trained at these sides too, each in every epoch: 768, 1024. A picture that is too small for one
    of them is not shown twice at the same size."""

    caption_extension: Annotated[str, Ui("Caption file extension", kohya="caption_extension")] = ".txt"
    """Captions lie beside the pictures in files of this kind; .txt and .caption are found in any case."""

    buckets: Annotated[bool, Ui("Aspect-ratio buckets", kohya="enable_bucket")] = True
    """Train each picture near its own shape. Off: everything is cropped to a square."""

    upscale: Annotated[bool, Ui("Enlarge small pictures", when="dataset.buckets", kohya="bucket_no_upscale")] = False
    """Bring small pictures to the area of the resolution too. Off: they are trained at their own size."""

    bucket_min: Annotated[Side, Ui("Shortest bucket side", step=64, when="dataset.upscale",
                                   kohya="min_bucket_reso")] = 256
    """Shortest side of a bucket in pixels. Only where small pictures are enlarged; else sizes follow the pictures."""

    bucket_max: Annotated[Side, Ui("Longest bucket side", step=64, when="dataset.upscale",
                                   kohya="max_bucket_reso")] = 1024
    """Longest side of a bucket in pixels. Only where small pictures are enlarged; else sizes follow the pictures."""

    bucket_step: Annotated[int, Field(ge=8, le=1024),
                           Ui("Bucket step", level="expert", step=8, when="dataset.buckets",
                              kohya="bucket_reso_steps")] = 64
    """Bucket sides are multiples of this. Smaller cuts less off the pictures and makes more, emptier buckets."""

    flip: Annotated[bool, Ui("Mirror at random", kohya="flip_aug")] = False
    """Show pictures mirrored half of the time. Not for subjects with a left and a right, such as faces or lettering."""

    crop: Annotated[Literal["centre", "random", "focus"], Ui("What is kept", kohya="random_crop")] = "centre"
    """Which part stays where a picture hangs over its bucket. random: another one in every showing. focus: around the
    largest face, if a YuNet file lies in models/yunet of the workspace; else where there is most to see."""

    colour_jitter: Annotated[
        float, Field(ge=0, le=1), Ui("Colour changes", step=0.05, level="expert", kohya="color_aug")
    ] = 0.0
    """Other light in every showing. At 1 hue moves by up to 36 degrees, and saturation, brightness and contrast by up
    to 40 %; at 0.2 by a fifth of that. 0: none. Not for styles, whose colours are to be learnt."""

    variants: Annotated[int, Field(ge=0, le=1000), Ui("Cached variants", level="expert")] = 0
    """Pictures that are cut or coloured at random can only be encoded beforehand if it is known how: in this many ways
    each, drawn once. 0: in any way, and the VAE stays in memory and works in every step."""

    masked_loss: Annotated[
        Literal["off", "files", "alpha", "either"],
        Ui("Masked loss", level="expert", kohya="masked_loss alpha_mask conditioning_data_dir"),
    ] = "off"
    """Learn only what is white in a picture's mask (masks/NAME.png beside it, or NAME_mask.png), or what is opaque in
    the picture itself; either: its mask, else its transparency. Pictures without one are learnt whole."""

    unmasked_weight: Annotated[
        float, Field(ge=0, le=1), Ui("Weight outside the mask", step=0.05, level="expert",
                                     when="dataset.masked_loss=files|alpha|either")
    ] = 0.0
    """How much what is masked out still counts; 0.1 keeps backgrounds from falling apart."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.caption_extension.strip(". "):
            yield "caption_extension", "say which files hold the captions, for example .txt"
        if self.bucket_step % 8:
            yield "bucket_step", f"must be a multiple of 8; use {max(8, round(self.bucket_step / 8) * 8)}"
        else:
            yield from self._uneven()
        if self.buckets and self.upscale:
            if self.bucket_min > min(self.sides):
                yield "bucket_min", f"must not be above the resolution, {min(self.sides)}"
            if self.bucket_max < max(self.sides):
                yield "bucket_max", f"must not be below the resolution, {max(self.sides)}"

    def _uneven(self) -> Iterator[tuple[str, str]]:
        unit = self.bucket_step if self.buckets else 8
        for path, side in [("resolution", self.resolution), *(("more_resolutions", more) for more in self.sides[1:])]:
            below = side // unit * unit
            choice = f"{below} or {below + unit}" if below > 0 else str(unit)
            if side % unit or side <= 0:
                yield path, f"must be a multiple of {unit}{' (bucket step)' * self.buckets}; use {choice}"
            elif side > 8192:
                yield path, f"must be at most 8192; got {side}"

    def warnings(self) -> Iterator[tuple[str, str]]:
        if not self.buckets and self.upscale:
            yield "upscale", "has no effect without buckets: every picture is then scaled to the square"
        if self.unmasked_weight and self.masked_loss == "off":
            yield "unmasked_weight", "has no effect without masked loss"
        if self.unmasked_weight == 1 and self.masked_loss != "off":
            yield "unmasked_weight", "at 1 everything counts alike, as if there were no masks"
        if self.variants and not self.looks_vary:
            yield "variants", "has no effect while pictures are neither cut nor coloured at random"

    @property
    def sides(self) -> list[int]:
        """All resolutions that are trained, each once: the main one first."""
        return list(dict.fromkeys([self.resolution, *self.more_resolutions]))

    @property
    def looks_vary(self) -> bool:
        """Whether a picture looks another way from time to time, mirrored or not."""
        return self.crop == "random" or self.colour_jitter > 0


class ValidationSettings(Section):
    """Pictures that are never trained on, only looked at: while the training loss falls, theirs tells when the LoRA
    begins to know the pictures by heart."""

    share: Annotated[
        float, Field(ge=0, le=0.5), Ui("Share held out", step=0.05, level="expert", kohya="validation_split")
    ] = 0.0
    """Share of the training pictures that is held out; at least one, if it is not 0. 0.1 is usual, from some thirty
    pictures on."""

    seed: Annotated[
        int, Field(ge=0, lt=2**32), Ui(level="expert", when="validation.share", kohya="validation_seed")
    ] = 1
    """Which ones. Runs with the same seed hold out the same pictures, whatever else they do."""

    every_epochs: Annotated[
        int,
        Field(ge=0),
        Ui("Look every N epochs", level="expert", when="validation.share", kohya="validate_every_n_epochs"),
    ] = 1
    """0: not by epochs. Before the first step and after the last they are always looked at."""

    every_steps: Annotated[
        int,
        Field(ge=0),
        Ui("Look every N steps", level="expert", when="validation.share", kohya="validate_every_n_steps"),
    ] = 0
    """0: not by steps."""

    draws: Annotated[int, Field(ge=1, le=100), Ui("Shares of noise", level="expert", when="validation.share")] = 4
    """With how many shares of noise, evenly spread, each picture is looked at: always the same noise, so that the
    numbers can be compared."""


class CaptionSettings(Section):
    """How captions are varied while training, so that the model learns the words and not their order."""

    shuffle: Annotated[bool, Ui("Shuffle tags", kohya="shuffle_caption")] = False
    """Put the comma-separated parts of a caption in a new order every time. For tags, not for sentences."""

    keep_tokens: Annotated[int, Field(ge=0, le=255), Ui("Keep first tags", kohya="keep_tokens")] = 0
    """This many parts stay in front when shuffling: 1 keeps a trigger word first."""

    separator: Annotated[str, Ui(level="expert", kohya="caption_separator")] = ","
    """What separates the parts of a caption."""

    keep_separator: Annotated[str, Ui(level="expert", kohya="keep_tokens_separator")] = ""
    """A mark such as ||| that captions hold themselves: what is before it stays in front, what follows a second one
    stays behind, and only what is between them is shuffled or dropped. The mark itself is not trained."""

    group_separator: Annotated[str, Ui(level="expert", kohya="secondary_separator")] = ""
    """A mark such as ;;; between tags that are shuffled or dropped together; what is trained has a separator there."""

    tag_dropout: Annotated[
        float, Field(ge=0, le=1), Ui("Tag dropout", step=0.05, level="expert", kohya="caption_tag_dropout_rate")
    ] = 0.0
    """Share of the tags that is left out each time, but never of those that are kept in front."""

    prefix: Annotated[str, Ui(level="expert", kohya="caption_prefix")] = ""
    """Put before every caption, with a space. A trigger word and a comma, say."""

    suffix: Annotated[str, Ui(level="expert", kohya="caption_suffix")] = ""
    """Put after every caption, with a space."""

    variants: Annotated[int, Field(ge=0, le=1000), Ui("Cached variants", level="expert")] = 0
    """Captions that vary can only be encoded beforehand if it is known what they can be: this many ways for each, drawn
    once. 0: any way, and the text encoder stays in memory and works in every step."""

    wildcards: Annotated[bool, Ui("Draw from {this|that}", level="expert", kohya="enable_wildcard")] = False
    """Where a caption says {red|crimson|scarlet}, one of them is drawn every time. {{ and }} stand for braces."""

    dropout: Annotated[float, Field(ge=0, le=1), Ui("Caption dropout", step=0.05, kohya="caption_dropout_rate")] = 0.0
    """Share of the times that a picture is shown with no caption at all. 0.05 to 0.1 strengthens guidance."""

    length: Annotated[
        Literal[75, 150, 225], Ui("Tokens read", level="expert", needs="clip_words", kohya="max_token_length")
    ] = 75
    """How many tokens of a caption are read; what is beyond is cut off. The text encoder sees 75 at a time, and reads
    longer captions in two or three pieces. Prompts of the samples are read alike."""

    clip_skip: Annotated[int, Field(ge=1, le=12), Ui("Clip skip", level="expert", needs="clip_skip",
                                                     kohya="clip_skip")] = 1
    """Which of the text encoder's layers is listened to, from the last: 1 is the last. 2 for models that were made
    so, as most for anime were; the finished LoRA wants the same setting where it is used."""

    weighted: Annotated[bool, Ui("Weighted words", level="expert", needs="clip_words", kohya="weighted_captions")] = (
        False
    )
    """Read (word:1.2), (word) and [word] in captions and prompts of samples as weights, as A1111's prompts do. After a
    backslash a bracket is only a bracket."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.separator:
            yield "separator", "say what separates the parts of a caption, usually a comma"

    def warnings(self) -> Iterator[tuple[str, str]]:
        moves = self.shuffle or self.tag_dropout > 0
        if self.keep_tokens and not moves:
            yield "keep_tokens", "has no effect while the tags are not shuffled"
        if self.weighted and moves and not self.keep_separator:
            yield "weighted", "a weight of several tags, (a, b:1.2), is torn apart when they are shuffled or dropped"
        if self.variants and not (moves or self.wildcards):
            yield "variants", "has no effect while captions don't vary"
