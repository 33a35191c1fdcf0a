"""What the LoRA tests share: tiny parts of a model, adapters on them, and weights that are not zero."""

import torch

from tests.models import clip_tokenizer, tiny_clip_text_model, tiny_unet
from trainer.lora import inject, targets


def tiny_parts(seed: int = 0) -> dict[str, torch.nn.Module]:
    """{"denoiser": UNet, "text_encoder": CLIP}, random, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {"denoiser": tiny_unet(), "text_encoder": tiny_clip_text_model(clip_tokenizer())}


def attach(parts, *, layers="attention+ff", rank=4, alpha=4.0, dropout=0.0, seed=0) -> list[torch.nn.Parameter]:
    """Adapters on every part; the text encoder always gets its attention and feed-forward layers."""
    patterns = {"denoiser": targets.UNET[layers], "text_encoder": targets.CLIP}
    return [weight for part, module in parts.items() for weight in inject.inject(
        module, inject.AdapterSpec(part, patterns[part], rank, alpha, dropout, f"lora.{part}"), seed=seed)]


def scramble(parts, seed: int = 1) -> None:
    """Give every adapter random weights, as if it had been trained hard."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in inject.state(parts).values():
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.1)
