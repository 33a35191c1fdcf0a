"""What the LoRA tests share: tiny parts of a model, adapters on them, and weights that are not zero."""

import random
from pathlib import Path

import torch

from tests.models import clip_tokenizer, golden_lines, tiny_clip_text_model, tiny_unet
from trainer.config import PartLora
from trainer.lora import inject, targets
from trainer.lora.adapter import Adapter
from trainer.lora.reading import LoraFile
from trainer.lora.sizes import sizes
from trainer.tools.recognise import recognised


def tiny_parts(seed: int = 0) -> dict[str, torch.nn.Module]:
    """{"denoiser": UNet, "text_encoder": CLIP}, random, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {"denoiser": tiny_unet(), "text_encoder": tiny_clip_text_model(clip_tokenizer())}


def attach(parts, *, layers="attention+ff", rank=4, alpha=4.0, dropout=0.0, seed=0) -> list[torch.nn.Parameter]:
    """Adapters on every part; the text encoder always gets its attention and feed-forward layers."""
    patterns = {"denoiser": targets.UNET[layers], "text_encoder": targets.CLIP}
    return [weight for part, module in parts.items() for weight in inject.inject(
        module, spec(module, part, patterns[part], rank, alpha, dropout), seed=seed)]


def spec(module, part: str, pattern: str, rank: int, alpha: float, dropout: float = 0.0) -> inject.AdapterSpec:
    """The same size for all layers whose path the pattern matches."""
    chosen = sizes(PartLora(rank=rank, alpha=alpha), pattern, inject.shapes(module), f"lora.{part}")
    return inject.AdapterSpec(part, chosen, dropout)


def scramble(parts, seed: int = 1) -> None:
    """Give every adapter random weights, as if it had been trained hard."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in inject.state(parts).values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)


def random_lora(family: str, seed: int = 0, dtype=torch.float16, alike: bool = False) -> dict[str, Adapter]:
    """An update for every layer in the family's golden list, of random weights, and of random rank and alpha unless
    they are to be `alike`."""
    draw, generator = random.Random(seed), torch.Generator().manual_seed(seed)
    lines = [line.split() for line in golden_lines(f"keys/{family}_tiny.txt")]
    shapes = {key: torch.zeros([int(side) for side in shape.split("x")]) for key, shape in lines if shape != "scalar"}
    empty = recognised(LoraFile(Path("golden"), shapes, {}, ""), family).adapters
    assert len(empty) * 2 == len(shapes)
    found = {}
    for name, adapter in empty.items():
        if family == "sd3" and name.endswith("norm1_context.linear"):
            continue  # the original has its halves the other way round in the last block
        rank, alpha = (4, 3.0) if alike else (draw.choice([1, 2, 3, 4, 8]), draw.choice([0.5, 1.0, 3.0, 8.0, 27.0]))
        down, up = (rank, *adapter.down.shape[1:]), (adapter.up.shape[0], rank, *adapter.up.shape[2:])
        found[name] = Adapter(*(torch.randn(shape, generator=generator).to(dtype) for shape in (down, up)), alpha)
    return found
