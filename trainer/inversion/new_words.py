"""New words for CLIP's text encoders: textual inversion (Gal et al., arXiv 2208.01618), alone or beside a LoRA.

The tokenizer itself finds a word: its normaliser puts one private-use character for each of the word's vectors where
the word stood, and each of these is a token. So whatever reads captions need not know of new words. The table of the
base model's tokens is left as it is; the new rows are parameters of their own behind it, so that neither weight decay
nor an optimiser's memory can move an old one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import AddedToken, Regex, normalizers
from torch import Tensor, nn

from settings.errors import SettingsError
from settings.paths import absolute
from trainer.inversion import embedding_file
from trainer.lora.keys import LoraError

if TYPE_CHECKING:
    from trainer.config import NewWord, TrainSettings
    from trainer.families.base import Family

PRIVATE = 0xE000  # the first of the characters that Unicode leaves to everyone's own use; captions have none of them
_NAME = re.compile(r"(?P<part>text_encoder\w*)\.words\.(?P<word>.+)")


class Table(nn.Module):
    """A text encoder's token embedding with the rows of new words behind it."""

    def __init__(self, old: nn.Embedding, first: int, rows: Mapping[str, Tensor]):
        """`first`: the number of the first new token. `rows`: {word: [vectors, width]} in the order of the tokens."""
        super().__init__()
        self.old, self.first, self.words = old, first, tuple(rows)
        self.rows = nn.ParameterList(nn.Parameter(row.float().clone()) for row in rows.values())

    @cached_property
    def usual(self) -> Tensor:
        """The median length of the old vectors."""
        return self.old.weight.detach().float().norm(dim=1).median()

    def forward(self, numbers: Tensor) -> Tensor:
        """Numbers of tokens [...] -> embeddings [..., width], in the format of the old table."""
        old = self.old(numbers.clamp(max=self.first - 1))
        new = nn.functional.embedding((numbers - self.first).clamp(min=0), torch.cat(list(self.rows)))
        return torch.where((numbers >= self.first)[..., None], new.to(old.dtype), old)


def attach(config: TrainSettings, family: Family, parts: Mapping[str, nn.Module]) -> list[dict]:
    """Teach the family's tokenizers and text encoders the words; the optimiser's groups, each with the rate of its
    word."""
    groups = []
    for name in family.text_encoders if config.words.new else ():
        encoder, tokenizer = parts[name], family.tokenizer(name)
        rows = {word.bare: beginning(encoder, tokenizer, word, place) for place, word in enumerate(config.words.new)}
        first = extend(tokenizer, config.words.new)
        encoder.set_input_embeddings(Table(encoder.get_input_embeddings(), first, rows))
        read_to_the_end(encoder, tokenizer)
        groups += [{"params": [row], "lr": word.learning_rate, "name": f"{name} {word.bare}"}
                   for row, word in zip(table(encoder).rows, config.words.new)]
    return groups


def beginning(encoder: nn.Module, tokenizer: Any, word: NewWord, place: int) -> Tensor:
    """The word's first vectors, [vectors, width]: those of the initialiser's tokens in their order, some of them
    several times where there are fewer than vectors, the mean of neighbours where there are more."""
    said = word.initialiser.strip() or word.word
    numbers = tokenizer(said, add_special_tokens=False).input_ids
    if not numbers:
        raise SettingsError({f"words.new.{place}.initialiser": f"{said!r} has no tokens: write a word, such as dog"})
    tokens, count = encoder.get_input_embeddings().weight.detach()[numbers].float(), len(numbers)
    starts = [vector * count // word.vectors for vector in range(word.vectors + 1)]
    return torch.stack([tokens[start : max(end, start + 1)].mean(0) for start, end in zip(starts, starts[1:])])


def extend(tokenizer: Any, words: list[NewWord]) -> int:
    """Let a tokenizer know the words; the number of the first new token. The others follow it, word by word."""
    backend = tokenizer.backend_tokenizer
    steps, added = [backend.normalizer] if backend.normalizer else [], ""
    for word in words:
        own = "".join(chr(PRIVATE + len(added) + vector) for vector in range(word.vectors))
        steps.append(normalizers.Replace(Regex(word.pattern), own))
        added += own
    backend.normalizer = normalizers.Sequence(steps)
    tokenizer.add_tokens([AddedToken(token, normalized=True, special=False) for token in added])
    return tokenizer.convert_tokens_to_ids(added[0])


def read_to_the_end(encoder: nn.Module, tokenizer: Any) -> None:
    """Where a caption ends, CLIP sums it up. Configs of the first models have a wrong number for the end, and then the
    largest number is taken for it, which a new token would be."""
    for module in encoder.modules():
        if hasattr(module, "eos_token_id"):
            module.eos_token_id = tokenizer.eos_token_id


def start_from_files(config: TrainSettings, family: Family, trained: Mapping[str, nn.Module]) -> None:
    """Lay embedding files into the rows of words that go on from one. Raises SettingsError where one does not fit."""
    for place, word in enumerate(config.words.new):
        if not word.start_from:
            continue
        try:
            found = embedding_file.load(absolute(word.start_from), family.embedding_keys)
            for name, rows in found.items():
                part = table(trained[name])
                own = part.rows[part.words.index(word.bare)]
                embedding_file.fits(Path(word.start_from), rows, own)
                own.data.copy_(rows)
        except LoraError as error:
            raise SettingsError({f"words.new.{place}.start_from": str(error)}) from error


def learn(trained: Mapping[str, nn.Module], whether: bool) -> None:
    """From now on the words learn, or stay as they are."""
    for part in trained.values():
        if (own := table(part)) is not None:
            own.rows.requires_grad_(whether)


@torch.no_grad()
def keep_norm(trained: Mapping[str, nn.Module]) -> None:
    """Bring each vector that learns to the median length of the base model's own."""
    for part in trained.values():
        if (own := table(part)) is not None:
            for row in (row for row in own.rows if row.requires_grad):
                row *= own.usual / row.norm(dim=1, keepdim=True).clamp(min=1e-12)


def table(part: nn.Module) -> Table | None:
    """The table of a part that knows new words."""
    return next((module for module in part.modules() if isinstance(module, Table)), None)


def named_weights(name: str, part: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """("text_encoder.words.sks", its rows) for every word that a part has learnt."""
    if (own := table(part)) is not None:
        yield from ((f"{name}.words.{word}", row) for word, row in zip(own.words, own.rows))


def by_word(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """{word: {text encoder: rows}} of all among named weights that are words."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, rows in weights.items():
        if match := _NAME.fullmatch(name):
            found.setdefault(match["word"], {})[match["part"]] = rows
    return found
