"""CLIP interrogate: describes a picture by the phrases that CLIP finds closest to it, behind a sentence by BLIP.

The idea is clip-interrogator's (pharmapsychotic, 2022): prompts that a CLIP finds similar to a picture are those that
make a model which reads CLIP's texts draw something like it. Which phrases there are is a matter of lists.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from captioners.base import Captioner, CaptionerError, Picture, Progress, Said
from captioners.blip import Blip, BlipSettings
from captioners.clip import lists, published, rank, table
from captioners.clip.rank import Chain, Phrases, fitting, joined
from captioners.weights import Published, Weights, find
from captioners.writers.local import loaded
from settings.paths import absolute
from settings.section import Section, Ui

if TYPE_CHECKING:
    from torch import Tensor

FILES = ("open_clip_config.json", "open_clip_model.safetensors")
SIGLIP_FILES = (*FILES, "tokenizer.json", "tokenizer_config.json")
ALIASES = {  # names by which these models go in open_clip and clip-interrogator
    "ViT-L-14/openai": "timm/vit_large_patch14_clip_224.openai",
    "ViT-H-14/laion2b_s32b_b79k": "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "ViT-bigG-14/laion2b_s39b_b160k": "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k",
    "ViT-B-32/laion2b_s34b_b79k": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    "ViT-SO400M-14-SigLIP-384/webli": "timm/ViT-SO400M-14-SigLIP-384",
}
USED_BY = {  # settings that matter in some modes only
    "phrases": ("fast", "best"), "least": ("best", "negative"), "most": ("best", "negative"),
    "candidates": ("best", "negative"), "filter": ("best", "negative"), "diversity": ("fast", "best", "negative"),
    "caption_model": ("caption", "fast", "classic", "best"),
}  # fmt: skip


class ClipInterrogateSettings(Section):
    """A sentence and the phrases that fit best, such as "a cat on a sofa, a photograph, window light, cosy"."""

    model: Annotated[str, Ui(level="quick", kind="model")] = "timm/vit_large_patch14_clip_224.openai"
    """Best the CLIP by which the model to be trained reads: ViT-L/14 for SD 1.5, H/14 for SD 2, bigG/14 for SDXL."""

    mode: Annotated[Literal["caption", "fast", "classic", "best", "negative"], Ui(level="quick")] = "fast"
    """caption: the sentence alone. fast: and phrases that fit and differ. classic: and the best of each list. best:
    and phrases chosen one after the other so that the whole fits; the best of all these. negative: what fits least,
    with defects, for a negative prompt."""

    caption_model: Annotated[str, Ui("Sentence by", kind="model")] = "Salesforce/blip-image-captioning-base"
    """A BLIP that writes the sentence where no captioner before this one did. Empty: then there is none."""

    lists: list[str] = ["mediums", "styles", "lighting", "composition", "colours", "materials"]
    """Which of our own lists the phrases come from; classic takes them in this order. None: an empty name."""

    folder: Annotated[str, Ui("Your own lists", kind="folder")] = ""
    """A folder with text files, a phrase a line. Of moods.top3.txt classic takes three, of others one."""

    tags_of: Annotated[str, Ui("Tags of a data set", kind="folder")] = ""
    """A folder with captioned pictures: their tags are a list, too."""

    published_lists: Annotated[bool, Ui("Download clip-interrogator's lists, too", level="expert")] = False
    """100,000 phrases, collected by others, not all of them nice, without its artists. On: you agree to download
    them once (0.8 MB, licence MIT) from files.pythonhosted.org. CLIP needs long for them without a graphics card."""

    phrases: Annotated[int, Field(ge=1, le=64)] = 8
    """fast: how many phrases."""

    diversity: Annotated[float, Field(ge=0, le=1), Ui(level="expert", step=0.05)] = 0.2
    """How much phrases may not say the same: 0 takes what fits best, however alike; 1 only looks for differences."""

    least: Annotated[int, Field(ge=0, le=32), Ui("At least so many phrases", level="expert")] = 8
    """best, negative: so many phrases even if the whole does not fit better with each."""

    most: Annotated[int, Field(ge=1, le=64), Ui("At most so many phrases", level="expert")] = 32
    """best, negative: no more phrases than these; the model's room for text may end it before."""

    candidates: Annotated[int, Field(ge=1, le=100_000), Ui(level="expert")] = 2048
    """best, negative: only the phrases that fit best (or least) by themselves are tried in the whole."""

    filter: Annotated[int, Field(ge=0, le=100_000), Ui("Tried at each step", level="expert")] = 48
    """best, negative: how many of the candidates are read as part of the whole at each step. 0: all, and slow."""

    chunk: Annotated[int, Field(ge=1, le=8192), Ui("Texts at once", level="expert")] = 256
    """Fewer need less memory."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for name in filter(None, self.lists):
            if name not in lists.known():
                yield "lists", f"there is no list {name!r}; known are {', '.join(lists.known())}"
        for name in ("folder", "tags_of"):
            if getattr(self, name) and not absolute(getattr(self, name)).is_dir():
                yield name, f"there is no folder at {getattr(self, name)}"
        if self.mode == "caption" and not self.caption_model:
            yield "caption_model", "choose who writes the sentence, or a mode other than caption"
        if self.mode not in ("caption", "negative") and not self._has_lists():
            yield "lists", "choose at least one list, or a folder of your own"
        if self.least > self.most:
            yield "least", f"must not be above most ({self.most})"

    def warnings(self) -> Iterator[tuple[str, str]]:
        for name, modes in USED_BY.items():
            if self.mode not in modes and getattr(self, name) != type(self).model_fields[name].default:
                yield name, f"has no effect in the mode {self.mode}"
        if self.mode == "best" and self.filter == 0:
            yield "filter", "0 reads every candidate at every step: minutes a picture without a graphics card"

    def _has_lists(self) -> bool:
        return bool(any(self.lists) or self.folder or self.tags_of or self.published_lists)


@dataclass(frozen=True)
class Seen:
    """A picture on its way: its pixels for CLIP, and what BLIP needs where it is to write the sentence."""

    pixels: Tensor
    caption: str
    picture: Picture


class ClipInterrogate(Captioner):
    """Loads the BLIP for the sentence only when there is a picture that has none yet."""

    name = "clip_interrogate"
    label = "CLIP interrogate"
    toy = "clip"
    order = 40
    says = "caption"
    settings = ClipInterrogateSettings
    published = {
        "timm/vit_large_patch14_clip_224.openai": Published("apache-2.0", 1_710_000_000, FILES, "for SD 1.5"),
        "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": Published("mit", 3_940_000_000, FILES, "for SD 2"),
        "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": Published("mit", 10_160_000_000, FILES, "for SDXL"),
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": Published("mit", 605_000_000, FILES, "small"),
        "timm/ViT-SO400M-14-SigLIP-384": Published("apache-2.0", 3_510_000_000, SIGLIP_FILES, "most exact"),
    }

    @classmethod
    def weights(cls, settings: Section) -> Weights:
        return find(ALIASES.get(settings.model, settings.model), cls.published)

    @classmethod
    def further(cls, settings: Section) -> list[Weights]:
        if not settings.caption_model or settings.mode == "negative":
            return []
        return [find(settings.caption_model, Blip.published)]

    def load(self, weights: Weights | None, progress: Progress) -> None:
        if weights is None or weights.folder is None:
            raise CaptionerError(f"{self.label} has no model")
        import torch

        from captioners.clip.model import Clip

        place, options = self.place, self.options
        if place.threads:
            torch.set_num_threads(place.threads)
        self.writer: Blip | None = None
        self.writing = threading.Lock()
        progress("load model", 0, 1)
        self.clip = loaded(
            weights.model, lambda: Clip(weights.folder, weights.model, place.device, place.dtype, options.chunk)
        )
        progress("load model", 1, 1)
        self.lists: list[tuple[Phrases, int]] = []  # of each list its phrases, and how many of them classic takes
        if options.mode != "caption":
            self._read_lists(table.key_of(weights.folder), progress)

    def _read_lists(self, model: str, progress: Progress) -> None:
        options = self.options
        chosen, spoiling = lists.ours(filter(None, options.lists)), lists.ours([lists.DEFECTS])
        if options.folder:
            chosen += lists.in_folder(absolute(options.folder))
        if options.tags_of:
            chosen.append(lists.tags_of(absolute(options.tags_of)))
        if options.published_lists:
            more, negative = published.lists(progress)
            chosen, spoiling = chosen + more, [*spoiling, negative]

        def embedded(one: lists.Phrases) -> Phrases:
            named = f"read list {one.name}"
            return Phrases(one.labels, table.table(
                one.labels, model, self.clip.texts, lambda done, total: progress(named, done, total)
            ))  # fmt: skip

        self.lists = [(embedded(one), one.take) for one in chosen if one.labels]
        self.all = together([phrases for phrases, _ in self.lists])
        self.spoiling = together([embedded(one) for one in spoiling if options.mode == "negative"])

    def prepare(self, picture: Picture) -> Seen:
        return Seen(self.clip.prepare(picture.image), picture.caption, picture)

    def say(self, batch: Sequence[Seen], attempt: int = 0) -> list[Said]:
        import torch

        captions = self.sentences(batch, attempt)
        if self.options.mode == "caption":
            return [Said(caption) for caption in captions]
        looked = self.clip.pictures(torch.stack([one.pixels for one in batch]))
        modes = {"fast": self.fast, "classic": self.classic, "best": self.best, "negative": self.negative}
        return [Said(modes[self.options.mode](image, caption), raw=caption)
                for image, caption in zip(looked, captions)]  # fmt: skip

    def sentences(self, batch: Sequence[Seen], attempt: int) -> list[str]:
        """What each picture's text begins with; "" where nobody wrote a sentence."""
        captions = [one.caption.strip() for one in batch]
        bare = [number for number, caption in enumerate(captions) if not caption]
        if bare and self.options.caption_model and self.options.mode != "negative":
            writer = self._writer()
            said = writer.say([writer.prepare(batch[number].picture) for number in bare], attempt)
            for number, one in zip(bare, said):
                captions[number] = one.text
        return captions

    def _writer(self) -> Blip:
        with self.writing:
            if self.writer is None:
                weights = find(self.options.caption_model, Blip.published)
                writer = Blip(BlipSettings(model=self.options.caption_model), self.place)
                writer.load(weights, lambda *_: None)
                self.notes += writer.notes
                self.writer = writer
        return self.writer

    def fast(self, image: np.ndarray, caption: str) -> str:
        """Some phrases of all lists that fit well, and differ from each other."""
        phrases = without(self.all, caption)
        close = phrases.some(rank.rank(image, phrases.table, self.options.candidates))
        fit = close.table.astype(np.float32) @ image
        chosen = rank.diverse(fit, close.table, self.options.phrases, self.options.diversity)
        return fitting(caption, [close.labels[index] for index in chosen], self.clip.fits)

    def classic(self, image: np.ndarray, caption: str) -> str:
        """The best of each list, in the order of the lists."""
        chosen = []
        for phrases, take in self.lists:
            fresh = without(phrases, joined(caption, ", ".join(chosen)))
            chosen += [fresh.labels[index] for index in rank.rank(image, fresh.table, take)]
        return fitting(caption, chosen, self.clip.fits)

    def best(self, image: np.ndarray, caption: str) -> str:
        """Of the sentence alone, classic, fast and a chain the one that fits best."""
        caption = fitting(caption, [], self.clip.fits)
        phrases = without(self.all, caption)
        close = phrases.some(rank.rank(image, phrases.table, self.options.candidates))
        chain = self._chain(reverse=False)
        grown = chain.grow(image, close, caption)
        others = [text for text in (caption, self.classic(image, caption), self.fast(image, caption)) if text]
        fit = self.clip.texts(others) @ image
        return others[int(fit.argmax())] if len(fit) and fit.max() > chain.score else grown

    def negative(self, image: np.ndarray, caption: str) -> str:
        """A chain of what fits least, out of all lists and of defects. The sentence has no part in it."""
        far = self.all.some(rank.rank(image, self.all.table, self.options.candidates, reverse=True))
        return self._chain(reverse=True).grow(image, together([far, self.spoiling]))

    def _chain(self, reverse: bool) -> Chain:
        options = self.options
        return Chain(self.clip.texts, self.clip.fits, options.least, options.most, options.filter, options.diversity,
                     reverse)  # fmt: skip

    def close(self) -> None:
        if getattr(self, "writer", None):
            self.writer.close()
        self.clip = self.writer = None


NONE = np.empty((0, 0), np.float16)


def together(parts: Sequence[Phrases]) -> Phrases:
    """All phrases of these, each once."""
    rows: dict[str, tuple[str, Any]] = {}
    for part in parts:
        for label, vector in zip(part.labels, part.table):
            rows.setdefault(lists.key(label), (label, vector))
    return Phrases([label for label, _ in rows.values()], np.array([row for _, row in rows.values()]) if rows else NONE)


def without(phrases: Phrases, text: str) -> Phrases:
    """Those that the text does not say already, word for word; an article in front of them does not matter."""
    said = f" {' '.join(text.replace(',', ' ').casefold().split())} "
    new = [index for index, label in enumerate(phrases.labels) if f" {bare(label)} " not in said]
    return phrases.some(new)


def bare(label: str) -> str:
    words = lists.key(label).replace(",", " ").split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
