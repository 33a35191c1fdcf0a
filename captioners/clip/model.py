"""An open_clip model in a folder: pictures and texts as vectors of length 1, whose product is how well they fit.

Two things go wrong silently with CLIP, so both are checked: OpenAI's weights want QuickGELU, which open_clip only warns
about, and a text that is too long is cut without a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioners.base import CaptionerError
from jobs.failures import out_of_memory

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

CONFIG = "open_clip_config.json"
PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}
SMALLEST = 8  # texts at once; less memory than for these is too little


class Clip:
    """`encoded` counts the texts that went through the model. Raises CaptionerError where the folder holds none."""

    def __init__(self, folder: Path, name: str, device: str = "cpu", dtype: str = "float32", chunk: int = 256):
        import open_clip

        self.device, self.dtype, self.chunk = device, dtype, chunk
        self.encoded = 0
        place = f"local-dir:{folder}"
        quick = wants_quick_gelu(name, expected(folder))
        self.model, _, self._transform = open_clip.create_model_and_transforms(
            place, precision=PRECISION[dtype], device=device, force_quick_gelu=quick, require_pretrained=True
        )
        self.model.eval().requires_grad_(False)
        self.tokenizer = open_clip.get_tokenizer(place)
        assert_activation(self.model, quick)

    def prepare(self, image: Image.Image) -> Tensor:
        """[3, height, width], as the model wants its pictures."""
        return self._transform(image)

    def pictures(self, pixels: Tensor) -> np.ndarray:
        """Vectors [n, width] of prepared pictures [n, 3, height, width]."""
        import torch

        with torch.inference_mode():
            looked = self.model.encode_image(pixels.to(self.device, getattr(torch, self.dtype)), normalize=True)
        return looked.float().cpu().numpy()

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors [n, width] of texts, never more than `chunk` of them at once, and fewer where memory runs out."""
        import torch

        done: list[np.ndarray] = []
        count = 0
        while count < len(texts):
            words = self.tokenizer(list(texts[count : count + self.chunk]))
            try:
                with torch.inference_mode():
                    read = self.model.encode_text(words.to(self.device), normalize=True)
            except Exception as error:  # noqa: BLE001  by its name, as libraries differ; all others are raised
                if not out_of_memory(error) or self.chunk <= SMALLEST:
                    raise
                self.chunk = max(SMALLEST, self.chunk // 2)
                continue
            done.append(read.float().cpu().numpy())
            count += len(words)
        self.encoded += count
        return np.concatenate(done) if done else np.empty((0, 0), np.float32)

    def fits(self, texts: Sequence[str]) -> list[bool]:
        """Which texts the model sees whole. Asks for the tokens before they are cut and padded, because what stands
        for padding differs between tokenizers."""
        tokenizer, room = self.tokenizer, self.tokenizer.context_length
        if hasattr(tokenizer, "tokenizer"):  # one of transformers'
            cleaned = [tokenizer.clean_fn(text) for text in texts]
            rows = tokenizer.tokenizer(cleaned, padding=False, truncation=False, verbose=False) if cleaned else None
            return [len(row) <= room for row in rows.input_ids] if rows else []
        return [len(tokenizer.encode(text)) + 2 <= room for text in texts]


def expected(folder: Path) -> dict[str, Any]:
    """The model's own configuration. Raises CaptionerError where there is no open_clip model."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["model_cfg"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CaptionerError(f"{folder} holds no open_clip model: it has no {CONFIG} that can be read") from error
    if not any(folder.glob("*.safetensors")):
        raise CaptionerError(f"{folder} has no weights as safetensors; pickled ones could run code and are not loaded")
    return config


def wants_quick_gelu(name: str, config: dict[str, Any]) -> bool:
    """Whether the weights were trained with QuickGELU: the configuration says so, or else open_clip knows of the model
    by its name on the hub."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    if "quick_gelu" in config:
        return bool(config["quick_gelu"])
    known = (get_pretrained_cfg(*pair) for pair in open_clip.list_pretrained())
    if any(one.get("quick_gelu") for one in known if one.get("hf_hub", "").startswith(f"{name}/")):
        return True
    return name.rstrip("/").lower().endswith("openai")


def assert_activation(model: nn.Module, quick: bool) -> None:
    """Raises CaptionerError where open_clip has built the blocks of its own transformers otherwise than expected."""
    from open_clip.transformer import QuickGELU

    for tower in (model, getattr(model, "text", None), getattr(model, "visual", None)):
        for block in getattr(getattr(tower, "transformer", None), "resblocks", ()):
            if hasattr(block.mlp, "gelu") and isinstance(block.mlp.gelu, QuickGELU) is not quick:
                raise CaptionerError(f"open_clip has built the model {'without' if quick else 'with'} QuickGELU, so "
                                     "its answers would be wrong: check quick_gelu in its open_clip_config.json")
