"""BLIP-2: BLIP's way of looking with a large language model behind it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from captioners.base import Said
from captioners.weights import Published
from captioners.writers.local import FILES, LocalWriter, Prepared
from captioners.writers.options import Words
from settings.section import Ui


class Blip2Settings(Words):
    """Single sentences like BLIP's, a little better and much larger. It can be asked: "Question: which animal is it?
    Answer:"."""

    model: Annotated[str, Ui(level="quick", kind="model")] = "Salesforce/blip2-opt-2.7b"
    """A name on the hub, or a folder."""

    prompt: Annotated[str, Field(max_length=1000), Ui(kohya="prompt")] = ""
    """Beginning of every sentence, or a question: "Question: what is it? Answer:". The caption is what follows."""

    beams: Annotated[int, Field(ge=1, le=16), Ui(level="expert", kohya="num_beams")] = 3
    """How many beginnings of a sentence are followed at once. More: better sentences, slower."""

    max_tokens: Annotated[int, Field(ge=1, le=1000), Ui(kohya="max_length")] = 50
    """At most so many tokens; three of them are about two words."""

    repetition_penalty: Annotated[float, Field(ge=1, le=2), Ui(level="expert", step=0.05)] = 1.1
    """Above 1, words that were said are less likely to be said again."""

    four_bit: Annotated[bool, Ui("In 4 bits")] = False
    """A quarter of the memory, a little less exact; needs an NVIDIA card."""


class Blip2(LocalWriter):
    """Blip2ForConditionalGeneration. The question is the same for all pictures, so it is made into tokens once."""

    name = "blip2"
    label = "BLIP-2"
    order = 30
    batch_size = 4
    kinds = ("blip-2",)
    settings = Blip2Settings
    published = {"Salesforce/blip2-opt-2.7b": Published("mit", 14_970_000_000, FILES, "a large language model's words")}

    def read(self, folder: Path) -> tuple[Any, Any]:
        from transformers import Blip2ForConditionalGeneration, Blip2Processor

        processor = Blip2Processor.from_pretrained(folder, local_files_only=True)
        model = self.weights_of(Blip2ForConditionalGeneration, folder, **self.four_bits())
        fit(processor, model)
        return processor, model

    def say(self, batch: Sequence[Prepared], attempt: int = 0) -> list[Said]:
        import torch

        asked = question(self.processor, self.options.prompt.strip())
        given = {name: ids.expand(len(batch), -1).to(self.place.device) for name, ids in asked.items()}
        with torch.inference_mode():
            how = self.how([one.name for one in batch], attempt)
            tokens = self.model.generate(pixel_values=self.stacked(batch), **given, **how)
        # A model that only continues gives the question back first; one with an encoder, like T5, does not.
        encodes = self.model.language_model.config.is_encoder_decoder
        answers = tokens if encodes else tokens[:, given["input_ids"].shape[1] :]
        return [self.said(text) for text in self.processor.tokenizer.batch_decode(answers, skip_special_tokens=True)]


def fit(processor: Any, model: Any) -> None:
    """Older folders don't know of the token that holds the place of a picture: then it is added to both."""
    if processor.num_query_tokens is None:
        processor.num_query_tokens = model.config.num_query_tokens
    token = processor.tokenizer.convert_tokens_to_ids(str(processor.image_token))
    if model.config.image_token_index != token:
        model.config.image_token_index = token
    if token >= model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(processor.tokenizer), pad_to_multiple_of=64)


def question(processor: Any, prompt: str) -> dict[str, Any]:
    """Tokens [1, n] and their mask for a prompt, the places of a picture in front."""
    from PIL import Image

    blank = Image.new("RGB", (8, 8))
    encoded = processor(images=blank, text=[prompt], return_tensors="pt")
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}
