"""BLIP: short plain captions, quick even on a CPU. The captioner of kohya's Utilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from captioners.base import Said
from captioners.weights import Published
from captioners.writers.clean import respaced
from captioners.writers.local import FILES, LocalWriter, Prepared
from captioners.writers.options import Words
from settings.section import Ui


class BlipSettings(Words):
    """Short plain sentences such as "a red car on a street". Small and quick; in lower case."""

    model: Annotated[str, Ui(level="quick", kind="model", kohya="caption_weights")] = (
        "Salesforce/blip-image-captioning-base"
    )
    """base is quick, large says more; or a folder."""

    prompt: Annotated[str, Field(max_length=200), Ui(level="standard")] = ""
    """Beginning of every sentence, such as "a photo of". The caption is what follows."""

    beams: Annotated[int, Field(ge=1, le=16), Ui(kohya="num_beams")] = 3
    """How many beginnings of a sentence are followed at once. More: better sentences, slower."""

    min_tokens: Annotated[int, Field(ge=0, le=400), Ui(level="expert", kohya="min_length")] = 5
    """At least so many tokens (pieces of words)."""

    max_tokens: Annotated[int, Field(ge=1, le=400), Ui(kohya="max_length")] = 50
    """At most so many tokens. It was taught single sentences: more than 50 only make it repeat itself."""

    repetition_penalty: Annotated[float, Field(ge=1, le=2), Ui(level="expert", step=0.05)] = 1.1
    """Above 1, words that were said are less likely to be said again."""


class Blip(LocalWriter):
    """BlipForConditionalGeneration. Its `generate` puts in the first token and drops the last of a prompt itself."""

    name = "blip"
    label = "BLIP"
    order = 20
    kinds = ("blip",)
    settings = BlipSettings
    published = {
        "Salesforce/blip-image-captioning-base": Published("bsd-3-clause", 990_000_000, FILES, "short and quick"),
        "Salesforce/blip-image-captioning-large": Published("bsd-3-clause", 1_880_000_000, FILES, "a little more"),
    }

    def read(self, folder: Path) -> tuple[Any, Any]:
        from transformers import BlipForConditionalGeneration, BlipProcessor

        processor = BlipProcessor.from_pretrained(folder, local_files_only=True)
        return processor, self.weights_of(BlipForConditionalGeneration, folder)

    def say(self, batch: Sequence[Prepared], attempt: int = 0) -> list[Said]:
        import torch

        given, start = {}, 1  # without a prompt there is only the token that begins a sentence
        if self.options.prompt.strip():
            words = self.processor.tokenizer([self.options.prompt.strip()] * len(batch), return_tensors="pt")
            given = {name: words[name].to(self.place.device) for name in ("input_ids", "attention_mask")}
            start = given["input_ids"].shape[1] - 1  # the last, which ends a sentence, is dropped
        with torch.inference_mode():
            how = self.how([one.name for one in batch], attempt)
            tokens = self.model.generate(pixel_values=self.stacked(batch), **given, **self.fitted(how, start))
        texts = self.processor.tokenizer.batch_decode(tokens[:, start:], skip_special_tokens=True)
        return [self.said(respaced(text)) for text in texts]

    def fitted(self, how: dict[str, Any], start: int) -> dict[str, Any]:
        """With no more tokens than the model has places for."""
        places = self.model.config.text_config.max_position_embeddings
        longest = max(1, min(how["max_new_tokens"], places - start))
        shortest = min(how["min_new_tokens"] or 0, longest - 1)
        return how | {"max_new_tokens": longest, "min_new_tokens": shortest or None}
