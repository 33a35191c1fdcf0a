"""JoyCaption: a model made for captioning training pictures, without refusals; it knows a few ways of writing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from captioners.base import Picture
from captioners.weights import Published
from captioners.writers.chat import ChatWriter
from captioners.writers.local import FILES
from captioners.writers.options import Words
from captioners.writers.prompts import filled, problems
from settings.section import Ui

Style = Literal["descriptive", "straightforward", "casual", "prompt", "tags", "art critic"]
Length = Literal["any", "very short", "short", "medium-length", "long", "very long"]
ASKED: dict[Style, str] = {
    "descriptive": "Write a {length} descriptive caption for this image in a formal tone.",
    "straightforward": "Write a {length} straightforward caption for this image: the main subject first, then what is "
                       "certain to be seen, without any guesses or moods.",
    "casual": "Write a {length} descriptive caption for this image in a casual tone.",
    "prompt": "Write a {length} stable diffusion prompt for this image.",
    "tags": "Write a {length} list of Booru-like tags for this image.",
    "art critic": "Analyze this image like an art critic would, in a {length} text: composition, style, colour, light.",
}  # fmt: skip


class JoyCaptionSettings(Words):
    """Detailed captions of anything, made for training; about 17 GB, best on a graphics card."""

    model: Annotated[str, Ui(level="quick", kind="model")] = "fancyfeast/llama-joycaption-beta-one-hf-llava"
    """A name on the hub, or a folder."""

    style: Annotated[Style, Ui(level="quick")] = "straightforward"
    """The way of writing; prompt and tags read like what people type to draw such a picture."""

    length: Annotated[Length, Ui(level="quick")] = "short"
    """How much is told."""

    words: Annotated[int | None, Field(ge=5, le=500), Ui("At most words", level="expert")] = None
    """A number of words instead of length."""

    wishes: Annotated[str, Field(max_length=4000), Ui("Further wishes", kind="text")] = ""
    """Added to what is asked, such as "Call the person {name}." or "These tags may help: {tags}". {tags} {caption}
    {existing} {name} {directory} are filled in; a line whose fields are all empty is left out."""

    prompt: Annotated[str, Field(max_length=8000), Ui("Instead of all that", level="expert", kind="text")] = ""
    """Asked instead of style, length and wishes, with the same fields."""

    system: Annotated[str, Field(max_length=4000), Ui("System prompt", level="expert")] = (
        "You are a helpful image captioner."
    )
    """What the model was taught with."""

    sample: Annotated[bool, Ui("Draw words at random", level="expert")] = True
    """Livelier and less exact. The same picture and seed give the same words."""

    temperature: Annotated[float, Field(gt=0, le=2), Ui(level="expert", step=0.1)] = 0.6
    """While drawing: lower is more predictable."""

    max_tokens: Annotated[int, Field(ge=1, le=4096), Ui()] = 512
    """At most so many tokens; three of them are about two words. A sentence that is cut off is left out."""

    four_bit: Annotated[bool, Ui("In 4 bits")] = False
    """A quarter of the memory, a little less exact; needs an NVIDIA card."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        yield from super().conflicts()
        for field in ("wishes", "prompt"):
            for wrong in problems(getattr(self, field)):
                yield field, wrong


class JoyCaption(ChatWriter):
    """LlavaForConditionalGeneration. Its chat template takes plain text and puts the picture in by itself."""

    name = "joycaption"
    label = "JoyCaption"
    order = 40
    batch_size = 2
    kinds = ("llava",)
    forms = ("text", "parts")
    settings = JoyCaptionSettings
    published = {
        "fancyfeast/llama-joycaption-beta-one-hf-llava": Published(
            "llama3.1 (Meta's community licence)", 16_980_000_000, FILES, "made for captions"
        ),
    }

    def read(self, folder: Path) -> tuple[Any, Any]:
        from transformers import AutoProcessor, LlavaForConditionalGeneration

        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return processor, self.weights_of(LlavaForConditionalGeneration, folder, **self.four_bits())

    def prompt_for(self, picture: Picture) -> str:
        if self.options.prompt.strip():
            return filled(self.options.prompt, picture)
        return " ".join(filter(None, [asked(self.options), filled(self.options.wishes, picture)]))


def asked(options: JoyCaptionSettings) -> str:
    """The question for a style and a length."""
    text = ASKED[options.style]
    if options.words:
        return text.replace("{length} ", "").removesuffix(".") + f", in at most {options.words} words."
    return " ".join(text.replace("{length}", "" if options.length == "any" else options.length).split())
