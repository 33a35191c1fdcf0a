"""How CLIP's text encoders read captions that are longer than they can see, or that weigh their own words.

An encoder sees 75 tokens between a mark for the start and one for the end. Of a longer caption it reads one piece after
the other, each between marks of its own, and what it says is joined to one text again, with the first piece's start and
the last one's end. Every caption of a run, and every prompt, has the same number of pieces: batches stay whole, and the
negative prompt is as long as the prompt. Both are as sd-scripts has it, so that LoRAs and their prompts mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataset import emphasis, tokens
from dataset.settings import CaptionSettings

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Reading:
    """`pieces`: how many a caption has. `layer`: whose words are taken, counted from the last, which is 1. `weighted`:
    whether brackets are weights."""

    pieces: int = 1
    layer: int = 1
    weighted: bool = False

    @classmethod
    def of(cls, said: CaptionSettings) -> Reading:
        return cls(said.length // tokens.LIMIT, said.clip_skip, said.weighted)

    @property
    def mark(self) -> str:
        """For keys of caches: empty for what has always been read so."""
        return "" if self == Reading() else repr(self)


@dataclass(frozen=True)
class Read:
    """Captions as numbers. `numbers`: of tokens, [B * pieces, seen]; `weights`: of the words once they are joined,
    [B, words], None where all are 1."""

    numbers: Tensor
    weights: Tensor | None
    pieces: int

    def joined(self, said: Tensor) -> Tensor:
        """What an encoder said of all pieces [B * pieces, seen, width] -> of the captions [B, words, width].

        A word's weight multiplies what was said of it, and nothing is done about the others, as sd-scripts does it
        while training. A1111 then restores the mean over the whole prompt; so the weight of one word would change all
        others a little, and with it what a LoRA has learnt about them."""
        import torch

        if self.pieces > 1:
            said = said.unflatten(0, (-1, self.pieces))
            said = torch.cat([said[:, 0, :1], said[:, :, 1:-1].flatten(1, 2), said[:, -1, -1:]], dim=1)
        return said if self.weights is None else said * self.weights[..., None].to(said)


def read(tokenizer: Any, captions: Sequence[str], how: Reading, encoder: nn.Module) -> Read:
    """Captions cut into tokens and pieces, where the encoder is."""
    import torch

    room = tokenizer.model_max_length - 2
    rows, weights = [], []
    for caption in captions:
        numbers, heavy = numbered(tokenizer, caption, how, room * how.pieces)
        rows += [between_marks(tokenizer, numbers[at : at + room], room) for at in range(0, room * how.pieces, room)]
        weights.append([1.0, *heavy, *[1.0] * (room * how.pieces - len(heavy) + 1)])
    return Read(
        torch.tensor(rows, device=encoder.device),
        torch.tensor(weights, device=encoder.device) if how.weighted else None,
        how.pieces,
    )


def numbered(tokenizer: Any, caption: str, how: Reading, most: int) -> tuple[list[int], list[float]]:
    """The tokens of a caption, without marks, and the weight of each: no more than `most` of them."""
    numbers, weights = [], []
    parts = [(part.text, part.weight) for part in emphasis.parts(caption)] if how.weighted else [(caption, 1.0)]
    for text, weight in parts:
        numbers += tokenizer(text, add_special_tokens=False, truncation=True, max_length=most).input_ids
        weights += [weight] * (len(numbers) - len(weights))
    return numbers[:most], weights[:most]


def between_marks(tokenizer: Any, numbers: list[int], room: int) -> list[int]:
    """A piece as the encoder takes it: start, tokens, end, and filled up."""
    return [tokenizer.bos_token_id, *numbers, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * (room - len(numbers))]
