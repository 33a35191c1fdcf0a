"""Any vision-language model that transformers knows: Qwen-VL, SmolVLM, Gemma, LLaVA and their kin, asked in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from captioners.base import Picture
from captioners.weights import Published
from captioners.writers.chat import ChatWriter, framed, limited
from captioners.writers.local import FILES
from captioners.writers.options import Words
from captioners.writers.prompts import filled, problems
from settings.section import Ui

if TYPE_CHECKING:
    from PIL import Image

PROMPT = """Describe this picture in one or two plain sentences: what is in it, how it looks, and the style.
These tags may help: {tags}
Begin with the subject. Don't guess, don't judge, and don't speak of the picture itself."""


class VlmSettings(Words):
    """Asks a large model in your own words, and can show it what a tagger has found. Best on a graphics card."""

    model: Annotated[str, Ui(level="quick", kind="model")] = "Qwen/Qwen3-VL-2B-Instruct"
    """A name on the hub, or a folder."""

    prompt: Annotated[str, Field(min_length=1, max_length=8000), Ui(level="quick", kind="text")] = PROMPT
    """What is asked. {tags} {caption} (what others in this run said before), {existing}, {name} (of the file) and
    {directory} are filled in; a line whose fields are all empty is left out."""

    system: Annotated[str, Field(max_length=8000), Ui("System prompt", level="expert", kind="text")] = ""
    """Tells the model what it is. Empty: what the model has by itself."""

    megapixels: Annotated[float, Field(gt=0, le=40), Ui(level="expert", step=0.1)] = 1.0
    """Larger pictures are made smaller: they cost memory and time."""

    four_bit: Annotated[bool, Ui("In 4 bits")] = False
    """A quarter of the memory, a little less exact; needs an NVIDIA card."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        yield from super().conflicts()
        for wrong in problems(self.prompt):
            yield "prompt", wrong


class Vlm(ChatWriter):
    """AutoModelForImageTextToText. Models that need code of their own are refused by transformers."""

    name = "vlm"
    label = "Vision-language model"
    order = 50
    batch_size = 2
    kinds = ()
    settings = VlmSettings
    published = {
        "Qwen/Qwen3-VL-2B-Instruct": Published("apache-2.0", 4_260_000_000, FILES, "good for its size"),
        "Qwen/Qwen3-VL-4B-Instruct": Published("apache-2.0", 8_880_000_000, FILES, "better"),
        "Qwen/Qwen3-VL-8B-Instruct": Published("apache-2.0", 17_530_000_000, FILES, "best of these"),
        "HuggingFaceTB/SmolVLM-500M-Instruct": Published("apache-2.0", 1_020_000_000, FILES, "small"),
    }

    def read(self, folder: Path) -> tuple[Any, Any]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        processor = AutoProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return processor, self.weights_of(
            AutoModelForImageTextToText, folder, trust_remote_code=False, **self.four_bits()
        )

    def prompt_for(self, picture: Picture) -> str:
        return filled(self.options.prompt, picture)

    def fitted(self, image: Image.Image) -> Image.Image:
        return limited(framed(image), self.options.megapixels)
