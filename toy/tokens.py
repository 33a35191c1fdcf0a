"""The toy world's CLIP tokenizer, built offline by byte-pair merging the world's own words.

Words that captions use become one token each, so a caption is about nine tokens; any other word still works, spelt out
in smaller pieces. The trigger word is one token as "sks" is in the real CLIP vocabulary, and no caption ever uses it.
"""

from __future__ import annotations

from collections import Counter

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from toy.draw import CHARACTER, COLOURS, THINGS

MAX_LENGTH = 32
_FILLERS = "a an and on the of with in background picture drawing photo cat style , ."
_END = "</w>"


def world_words() -> list[str]:
    """Every word that gets a token of its own, in a fixed order."""
    return sorted({*_FILLERS.split(), *CHARACTER.split(), *THINGS, *COLOURS})


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Merge the commonest neighbouring pair until every word is one piece (Sennrich et al., arXiv:1508.07909)."""
    pieces = [[*word[:-1], word[-1] + _END] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in pieces):
        pairs = Counter(pair for word in pieces for pair in zip(word, word[1:]))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = [_merged(word, best) for word in pieces]
    return merges


def _merged(word: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for piece in word:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def build_tokenizer() -> CLIPTokenizer:
    """A `CLIPTokenizer` of about 750 tokens with a maximum length of `MAX_LENGTH`."""
    letters = sorted(ByteLevel.alphabet())
    merges = learn_merges(world_words())
    entries = [*letters, *(letter + _END for letter in letters), *("".join(pair) for pair in merges)]
    entries += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=MAX_LENGTH)
