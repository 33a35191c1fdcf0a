"""Captioners that are asked in words, like a chat: the prompt is a template, and every picture has its own.

Models differ in how a picture is put into a conversation. Their own chat template knows; whether it did is checked by
counting the places for pictures in the text that it made.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from captioners.base import CaptionerError, Picture, Progress, Said
from captioners.writers.clean import cleaned, whole_sentences
from captioners.writers.local import LocalWriter

if TYPE_CHECKING:
    from PIL import Image

    from captioners.weights import Weights

NARROWEST = 20  # times as long as wide


@dataclass(frozen=True)
class Question:
    """A picture and what is asked about it."""

    name: str
    image: Image.Image
    prompt: str


class ChatWriter(LocalWriter):
    """Base of the captioners whose model is asked about a picture in a conversation."""

    forms: ClassVar[tuple[str, ...]] = ("parts", "text")  # how a message holds picture and words: tried in this order

    @abstractmethod
    def prompt_for(self, picture: Picture) -> str:
        """What is asked about one picture."""

    def load(self, weights: Weights | None, progress: Progress) -> None:
        super().load(weights, progress)
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"  # so that every answer begins in the same column
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.form = self.fitting_form(weights.model)

    def fitting_form(self, model: str) -> str:
        """The first form that the model's chat template puts exactly one picture into."""
        from jinja2 import TemplateError

        reasons = []
        for form in self.forms:
            try:
                text = self.conversation("what is it?", form)
            except (TemplateError, TypeError, ValueError, KeyError) as error:
                reasons.append(str(error).partition("\n")[0])
                continue
            mark = getattr(self.processor, "image_token", None)
            if mark is None or text.count(mark) == 1:
                return form
            reasons.append("its chat template has no place for a picture")
        raise CaptionerError(f"{model} can't be asked about pictures: {reasons[0]}; choose another model")

    def conversation(self, prompt: str, form: str) -> str:
        """The whole text up to where the model's answer begins."""
        system = getattr(self.options, "system", "").strip()
        if form == "text":
            messages = [{"role": "user", "content": prompt}]
            instruction: Any = system
        else:
            messages = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": prompt}]}]
            instruction = [{"type": "text", "text": system}]
        if system:
            messages.insert(0, {"role": "system", "content": instruction})
        return self.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def prepare(self, picture: Picture) -> Question:
        return Question(picture.path.name, self.fitted(picture.image), self.prompt_for(picture))

    def fitted(self, image: Image.Image) -> Image.Image:
        """The picture in the size in which the model gets it."""
        return image

    def say(self, batch: Sequence[Question], attempt: int = 0) -> list[Said]:
        import torch

        texts = [self.conversation(one.prompt, self.form) for one in batch]
        begin = self.processor.tokenizer.bos_token
        try:
            given = self.processor(
                text=texts, images=[[one.image] for one in batch], padding=True, return_tensors="pt",
                # Most templates begin the sentence themselves, and one beginning is enough.
                add_special_tokens=not (begin and texts[0].startswith(begin)),
            ).to(self.place.device)  # fmt: skip
        except ValueError as error:  # a picture of a shape that this model does not take
            raise CaptionerError(f"the model does not take it ({str(error).partition(chr(10))[0]})") from error
        given = {
            name: value.to(self.model.dtype) if torch.is_tensor(value) and value.is_floating_point() else value
            for name, value in given.items()
        }
        with torch.inference_mode():
            tokens = self.model.generate(**given, **self.how([one.name for one in batch], attempt))
        answers = tokens[:, given["input_ids"].shape[1] :]
        raws = self.processor.tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [self.told(text, answer.tolist()) for text, answer in zip(raws, answers)]

    def told(self, text: str, answer: list[int]) -> Said:
        ends = self.model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else set(ends or ())
        ends.add(self.processor.tokenizer.eos_token_id)
        whole = len(answer) < self.options.max_tokens or bool(ends & set(answer))
        clean = cleaned(text, self.options.clean)
        return Said(clean if whole else whole_sentences(clean), raw=text.strip())


def framed(image: Image.Image) -> Image.Image:
    """A strip on a white ground that is less narrow: models that keep proportions refuse very narrow ones."""
    least = -(-max(image.size) // NARROWEST)
    if min(image.size) >= least:
        return image
    from PIL import Image as Pillow

    ground = Pillow.new("RGB", (max(image.width, least), max(image.height, least)), "white")
    ground.paste(image, ((ground.width - image.width) // 2, (ground.height - image.height) // 2))
    return ground


def limited(image: Image.Image, megapixels: float) -> Image.Image:
    """The picture with at most so many pixels, in its own proportions."""
    scale = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    if scale >= 1:
        return image
    from PIL.Image import Resampling

    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Resampling.LANCZOS)
