"""Florence-2: a small model with a fixed list of tasks, from one sentence to a paragraph, objects, or the text seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from captioners.base import CaptionerError, Said
from captioners.weights import Published
from captioners.writers.clean import whole_sentences
from captioners.writers.local import FILES, LocalWriter, Prepared, config_of
from captioners.writers.options import Words
from settings.section import Ui

Task = Literal["sentence", "sentences", "paragraph", "objects", "regions", "text"]
TOKENS: dict[Task, str] = {
    "sentence": "<CAPTION>",
    "sentences": "<DETAILED_CAPTION>",
    "paragraph": "<MORE_DETAILED_CAPTION>",
    "objects": "<OD>",
    "regions": "<DENSE_REGION_CAPTION>",
    "text": "<OCR>",
}
"""A prompt is one of these and nothing else: any other word beside it is refused."""
LISTS = ("objects", "regions")


class Florence2Settings(Words):
    """The best of the small ones: from a sentence to a paragraph, quick, also on a CPU."""

    model: Annotated[str, Ui(level="quick", kind="model")] = "florence-community/Florence-2-base-ft"
    """base is quick, large is better. The models of microsoft/ need code of their own, and can't be loaded."""

    task: Annotated[Task, Ui(level="quick")] = "sentences"
    """sentence, sentences, paragraph: how much is told. objects, regions: a list of what is there. text: what is
    written in the picture, for finding watermarks."""

    beams: Annotated[int, Field(ge=1, le=16), Ui(level="expert")] = 3
    """How many beginnings of a sentence are followed at once. More: better sentences, slower."""

    max_tokens: Annotated[int, Field(ge=1, le=1000), Ui()] = 300
    """At most so many tokens; three of them are about two words. A sentence that is cut off is left out."""


class Florence2(LocalWriter):
    """Florence2ForConditionalGeneration, which came late into transformers: models made for it say `florence2` and
    have their own processor; the original ones look alike and bring code instead."""

    name = "florence2"
    label = "Florence-2"
    order = 25
    batch_size = 4
    kinds = ("florence2",)
    settings = Florence2Settings
    published = {
        "florence-community/Florence-2-base-ft": Published("mit", 550_000_000, FILES, "0.23 billion weights"),
        "florence-community/Florence-2-large-ft": Published("mit", 1_650_000_000, FILES, "0.77 billion weights"),
        "florence-community/Florence-2-base": Published("mit", 550_000_000, FILES, "before fine-tuning"),
        "florence-community/Florence-2-large": Published("mit", 1_650_000_000, FILES, "before fine-tuning"),
    }

    def expect(self, folder: Path) -> None:
        super().expect(folder)
        if "auto_map" in config_of(folder):
            raise CaptionerError(
                f"{folder} holds a Florence-2 that brings code of its own, which is never run: choose the same model "
                "from florence-community, such as florence-community/Florence-2-base-ft"
            )

    def read(self, folder: Path) -> tuple[Any, Any]:
        from transformers import Florence2ForConditionalGeneration, Florence2Processor

        processor = Florence2Processor.from_pretrained(folder, local_files_only=True)
        return processor, self.weights_of(Florence2ForConditionalGeneration, folder)

    def say(self, batch: Sequence[Prepared], attempt: int = 0) -> list[Said]:
        import torch
        from PIL import Image

        task = TOKENS[self.options.task]
        asked = self.processor(images=Image.new("RGB", (8, 8)), text=[task], return_tensors="pt")
        given = {
            name: asked[name].expand(len(batch), -1).to(self.place.device) for name in ("input_ids", "attention_mask")
        }
        with torch.inference_mode():
            how = self.how([one.name for one in batch], attempt)
            tokens = self.model.generate(pixel_values=self.stacked(batch), **given, **how)
        # Places of objects are special tokens, which the processor's own reading needs.
        texts = self.processor.tokenizer.batch_decode(tokens, skip_special_tokens=False)
        return [self.told(text, one) for text, one in zip(texts, batch)]

    def told(self, text: str, picture: Prepared) -> Said:
        tokenizer, task = self.processor.tokenizer, TOKENS[self.options.task]
        whole = tokenizer.eos_token in text.removeprefix(tokenizer.eos_token)  # which begins every answer, too
        text = text.replace(tokenizer.pad_token, "")
        found = self.processor.post_process_generation(text, task=task, image_size=picture.size)[task]
        if self.options.task in LISTS:
            return self.said(", ".join(dict.fromkeys(label.strip() for label in found["labels"] if label.strip())))
        return self.said(found if whole or self.options.task == "text" else whole_sentences(found))
