"""A model on this machine that writes: finding out whether it is the right kind, loading it, choosing words."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from captioners.base import Captioner, CaptionerError, Picture, Progress, Said
from captioners.writers.clean import cleaned

if TYPE_CHECKING:
    from torch import Tensor

    from captioners.weights import Weights

FILES = ("*.j[si]*", "*.safetensors")
"""Of a hub folder: .json and .jinja, and the weights. Pickled weights could run code, and are never taken."""

Thing = TypeVar("Thing")
RETRY_NGRAM = 3  # a second attempt may not say three tokens in a row twice


@dataclass(frozen=True)
class Prepared:
    """A picture as a model with one fixed question takes it."""

    name: str
    pixels: Tensor  # [3, height, width], normalised
    size: tuple[int, int]  # of the picture itself: width, height


class LocalWriter(Captioner):
    """Base of the captioners that load a transformers model. None of them runs code that comes with a model."""

    says = "caption"
    kinds: ClassVar[tuple[str, ...]]  # model_type in the config.json of the models that it can load

    def load(self, weights: Weights | None, progress: Progress) -> None:
        if weights is None or weights.folder is None:
            raise CaptionerError(f"{self.label} has no model")
        import torch
        import transformers

        transformers.utils.logging.disable_progress_bar()
        if self.place.threads:
            torch.set_num_threads(self.place.threads)
        progress("load model", 0, 1)
        self.expect(weights.folder)
        self.processor, self.model = loaded(weights.model, lambda: self.read(weights.folder))
        self.model.eval().requires_grad_(False)
        if not getattr(self.model, "is_quantized", False):
            self.model.to(self.place.device)
        progress("load model", 1, 1)

    @abstractmethod
    def read(self, folder: Path) -> tuple[Any, Any]:
        """The processor and the model in `folder`, on the CPU."""

    def expect(self, folder: Path) -> None:
        """Raises CaptionerError where another kind of model lies there."""
        kind = config_of(folder)["model_type"]
        if self.kinds and kind not in self.kinds:
            raise CaptionerError(f"{folder} holds a model of the kind {kind!r}, and {self.label} takes "
                                 f"{' or '.join(self.kinds)}: choose another model, or the captioner for this one")

    def weights_of(self, kind: type, folder: Path, **more: Any) -> Any:
        """The model of the class `kind` in the number format of this place."""
        import torch

        model, report = kind.from_pretrained(
            folder, dtype=getattr(torch, self.place.dtype), local_files_only=True, use_safetensors=True,
            output_loading_info=True, **more,
        )  # fmt: skip
        missing = sorted(report["missing_keys"])
        # transformers fills what is missing with random numbers, and such a model says anything.
        if len(missing) > 0.05 * len(model.state_dict()):
            raise CaptionerError(f"{len(missing)} weights are not in the files (first: {missing[0]})")
        if missing:
            self.notes.append(f"{len(missing)} weights of the model are not in its files, and are random: {missing[0]}")
        return model

    def four_bits(self) -> dict[str, Any]:
        """What `weights_of` is told for a model in 4 bits: a quarter of the memory, on CUDA only."""
        if not self.options.four_bit:
            return {}
        if not self.place.device.startswith("cuda"):
            self.notes.append("4 bits need an NVIDIA graphics card: the model is loaded in full")
            return {}
        import torch
        from transformers import BitsAndBytesConfig

        # Pictures suffer first: what looks at them stays whole, and SigLIP's pooling head can't be quantised at all.
        keep = ["vision_tower", "vision_model", "visual", "multi_modal_projector", "connector", "qformer",
                "language_projection", "lm_head"]  # fmt: skip
        plan = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=getattr(torch, self.place.dtype),
            llm_int8_skip_modules=keep,
        )  # fmt: skip
        return {"quantization_config": plan, "device_map": {"": self.place.device}}

    def prepare(self, picture: Picture) -> Any:
        pixels = self.processor.image_processor(images=picture.image, return_tensors="pt")["pixel_values"][0]
        return Prepared(picture.path.name, pixels, picture.image.size)

    def stacked(self, batch: Sequence[Prepared]) -> Tensor:
        """[n, 3, height, width] where the model is, in its number format."""
        import torch

        return torch.stack([one.pixels for one in batch]).to(self.place.device, self.model.dtype)

    def how(self, names: Sequence[str], attempt: int) -> dict[str, Any]:
        """What `generate` is told. A second attempt draws at random even where the first did not: the same search
        would only say the same again."""
        options = self.options
        draws = options.sample or attempt > 0
        told: dict[str, Any] = {
            "do_sample": False, "temperature": None, "top_p": None, "top_k": None,  # models bring their own
            "num_beams": 1 if draws else options.beams, "repetition_penalty": options.repetition_penalty,
            "max_new_tokens": options.max_tokens, "min_new_tokens": options.min_tokens or None, "max_length": None,
            "min_length": None,
        }  # fmt: skip
        if attempt:
            told["no_repeat_ngram_size"] = RETRY_NGRAM
        if draws:
            from transformers import LogitsProcessorList

            from captioners.writers.chance import Chance, seed_of

            seeds = [seed_of(self.place.seed, attempt, name) for name in names]
            chance = Chance(seeds, options.temperature, options.top_p, self.place.device)
            told["logits_processor"] = LogitsProcessorList([chance])
        return told

    def said(self, raw: str) -> Said:
        return Said(cleaned(raw, self.options.clean), raw=raw.strip())

    def close(self) -> None:
        self.model = self.processor = None


def loaded(model: str, read: Callable[[], Thing]) -> Thing:
    """What `read` gives; every way in which files can be wrong becomes a CaptionerError."""
    from safetensors import SafetensorError

    try:
        return read()
    except MemoryError:
        raise
    except (CaptionerError, SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, ImportError,
            RuntimeError) as error:
        if "out of memory" in str(error).lower():
            raise
        why = " ".join(str(error).partition("\n")[0].split()) or type(error).__name__
        raise CaptionerError(f"{model} can't be loaded: {why}; choose another model, or delete its folder and "
                             "download it again") from error


def config_of(folder: Path) -> dict[str, Any]:
    """What the config.json in a folder says. Raises CaptionerError where there is no model."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CaptionerError(f"{folder} holds no model: it has no config.json that can be read") from error
    if not isinstance(config, dict) or "model_type" not in config:
        raise CaptionerError(f"{folder} holds no model of this kind: its config.json does not tell the kind")
    return config
