"""Measures what one training step of the published models needs, with nothing computed and no memory taken, and holds
the plan's estimate against it.

    .venv/bin/python -m benchmarks.memory [sd15 sdxl sd3.5-large flux z-image ...]

A step runs through the family's own `predict` on fake tensors, which have shapes and no contents; every storage that
comes into being or goes is counted. Norms run in float32, as under CUDA's autocast, and attention is of the kind that
keeps no matrix of weights. What a graphics card adds (its context, workspaces, fragments) is not in it.
"""

from __future__ import annotations

import argparse
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402  after the path
from torch import Tensor, nn  # noqa: E402
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

from trainer.base_model.models import BaseModel  # noqa: E402
from trainer.config import PartLora  # noqa: E402
from trainer.families import configs, families  # noqa: E402
from trainer.families.base import Family  # noqa: E402
from trainer.lora import inject  # noqa: E402
from trainer.lora.sizes import sizes  # noqa: E402

GB = 1e9
RANK = 16
LAYERS = ("attention", "attention+ff", "all")


def unet(config: dict) -> Callable[[], nn.Module]:
    from diffusers import UNet2DConditionModel

    return lambda: UNet2DConditionModel(**config)


def sd3(**sizes) -> Callable[[], nn.Module]:
    from diffusers import SD3Transformer2DModel

    usual = {"sample_size": 128, "in_channels": 16, "out_channels": 16, "joint_attention_dim": 4096}
    usual |= {"caption_projection_dim": 64 * sizes["num_layers"], "num_attention_heads": sizes["num_layers"]}
    return lambda: SD3Transformer2DModel(**usual | {"pooled_projection_dim": 2048, "pos_embed_max_size": 384} | sizes)


def transformer(kind: str, **sizes) -> Callable[[], nn.Module]:
    """One whose published sizes are the defaults of its class, but for these."""
    import diffusers

    return lambda: getattr(diffusers, kind)(**sizes)


def klein(double: int, single: int, heads: int, words: int) -> Callable[[], nn.Module]:
    return transformer("Flux2Transformer2DModel", num_layers=double, num_single_layers=single,
                       num_attention_heads=heads, joint_attention_dim=words, guidance_embeds=False)


# label: (family, denoiser, channels of the latents, what it reads of a caption). Captions are as long as can be, though
# most families leave out what fills a short one up: Sana's are 300 tokens, Lumina's 256, the others' 512.
PUBLISHED = {
    "sd15": ("sd15", unet(configs.UNET_SD1), 4, {"words": (77, 768)}),
    "sd2": ("sd2", unet(configs.UNET_SD2), 4, {"words": (77, 1024)}),
    "sdxl": ("sdxl", unet(configs.UNET_SDXL), 4, {"words": (77, 2048), "pooled": (1280,), "time_ids": (6,)}),
    "sd3-medium": ("sd3", sd3(num_layers=24, pos_embed_max_size=192), 16, {"words": (333, 4096), "pooled": (2048,)}),
    "sd3.5-medium": (
        "sd3",
        sd3(num_layers=24, qk_norm="rms_norm", dual_attention_layers=tuple(range(13))),
        16,
        {"words": (333, 4096), "pooled": (2048,)},
    ),
    "sd3.5-large": (
        "sd3", sd3(num_layers=38, qk_norm="rms_norm", pos_embed_max_size=192), 16,
        {"words": (333, 4096), "pooled": (2048,)},
    ),
    "flux": (
        "flux", transformer("FluxTransformer2DModel", guidance_embeds=True), 16,
        {"words": (512, 4096), "pooled": (768,)},
    ),
    "chroma": ("chroma", transformer("ChromaTransformer2DModel"), 16, {"words": (512, 4096), "mask": (512,)}),
    "z-image": ("z_image", transformer("ZImageTransformer2DModel"), 16, {"words": (512, 2560), "mask": (512,)}),
    "qwen-image": (
        "qwen_image", transformer("QwenImageTransformer2DModel"), 16, {"words": (512, 3584), "mask": (512,)}),
    "klein-4b": ("flux2_klein", klein(5, 20, 24, 7680), 128, {"words": (512, 7680)}),
    "klein-9b": ("flux2_klein", klein(8, 24, 32, 12288), 128, {"words": (512, 12288)}),
    "lumina2": (
        "lumina2", transformer("Lumina2Transformer2DModel", cap_feat_dim=2304), 16,
        {"words": (256, 2304), "mask": (256,)},
    ),
    "sana": ("sana", transformer("SanaTransformer2DModel"), 32, {"words": (300, 2304), "mask": (300,)}),
}
SHRINKS = {"flux2_klein": 16, "sana": 32}  # pixels a side of what the denoiser is given; 8 where nothing is said


class Live(TorchDispatchMode):
    """Bytes of all tensors that live, and the most there ever were."""

    def __init__(self, *known: nn.Module):
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakKeyDictionary()
        for module in known:
            for weight in [*module.parameters(), *module.buffers()]:
                self._known[weight.untyped_storage()] = True

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, Tensor) and tensor.untyped_storage() not in self._known:
                self._take(tensor.untyped_storage())
        return found

    def _take(self, storage: torch.UntypedStorage) -> None:
        self._known[storage] = True
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self.now -= size


@contextmanager
def norms_in_float32() -> Iterator[None]:
    """As CUDA's autocast has them; the processor's leaves them in 16 bit."""
    layer, group = functional.layer_norm, functional.group_norm

    def wide(norm):
        return lambda x, size, weight=None, bias=None, eps=1e-5: norm(
            x.float(), size, *(part.float() if part is not None else None for part in (weight, bias)), eps
        )

    functional.layer_norm, functional.group_norm = wide(layer), wide(group)
    try:
        yield
    finally:
        functional.layer_norm, functional.group_norm = layer, group


def built(make: Callable[[], nn.Module], targets: str, rank: int) -> tuple[nn.Module, list[nn.Parameter]]:
    """A denoiser in bfloat16 with its adapters, on the meta device."""
    start, inject._initialise = inject._initialise, as_float32
    try:
        with torch.device("meta"):
            model = make().bfloat16()
            chosen = sizes(PartLora(rank=rank, alpha=rank), targets, inject.shapes(model), "lora.denoiser")
            learnt = inject.inject(model, inject.AdapterSpec("denoiser", chosen), seed=0)
    finally:
        inject._initialise = start
    inject.trust_autocast(model)
    return model.train(), learnt


def as_float32(layer, name: str) -> None:
    """Adapters as they are in a run, without numbers in them: meta tensors can hold none."""
    layer.lora_A[inject.ADAPTER].float()
    layer.lora_B[inject.ADAPTER].float()


def imagined(model: nn.Module) -> None:
    """The weights as fake tensors of the processor. `to` would have to swap them, which fake tensors refuse."""
    for module in model.modules():
        for name, weight in list(module._parameters.items()):
            if weight is not None:
                fake = torch.empty(weight.shape, dtype=weight.dtype)
                module._parameters[name] = nn.Parameter(fake, requires_grad=weight.requires_grad)
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)
        for name, kept in list(vars(module).items()):  # places in turns, which some keep as no buffers
            several = isinstance(kept, list) and kept and all(isinstance(part, Tensor) for part in kept)
            if isinstance(kept, Tensor) or several:
                fakes = [torch.empty(part.shape, dtype=part.dtype) for part in (kept if several else [kept])]
                vars(module)[name] = fakes if several else fakes[0]


def every_word(length: int) -> Tensor:
    """A mask that leaves out nothing. Of a tensor without contents nobody can ask how much, so this one knows it."""
    mask = torch.ones(1, length, dtype=torch.bool)
    mask.all = lambda: True
    mask.sum = lambda *_, **__: SimpleNamespace(tolist=lambda: [length], max=lambda: length)
    return mask


@contextmanager
def every_word_counts(kind: type[Family]) -> Iterator[None]:
    """The family takes captions as they are: to leave out what fills them up it would have to look into them."""
    module = sys.modules[kind.__module__]
    whole = {"trimmed": lambda words, mask: (words, mask)} if hasattr(module, "trimmed") else {}
    with patch.multiple(module, **whole) if whole else nullcontext():
        with patch.object(kind, "_each", lambda _, text: list(text["words"]), create=True):
            yield


def step(label: str, checkpointed: bool) -> float:
    """Bytes of one step at batch 1 beyond the weights: activations, and gradients of the adapters."""
    name, make, channels, reads = PUBLISHED[label]
    kind = families()[name]
    model, _ = built(make, kind.layers["attention+ff"], RANK)
    family = kind.__new__(kind)
    family._pipe = SimpleNamespace(unet=model, transformer=model)
    if checkpointed:
        family.checkpoint_gradients()
    side = kind.resolution // SHRINKS.get(name, 8)
    with FakeTensorMode(), norms_in_float32(), every_word_counts(kind), torch.autocast("cpu", torch.bfloat16):
        imagined(model)
        text = {key: every_word(*shape) if key == "mask" else torch.zeros(1, *shape, dtype=torch.bfloat16)
                for key, shape in reads.items()}
        noisy = torch.zeros(1, channels, side, side, dtype=torch.bfloat16)
        timesteps = torch.zeros(1) if "flow" in kind.traits else torch.zeros(1, dtype=torch.int64)
        with Live(model) as live:
            family.predict(noisy, timesteps, text).float().square().mean().backward()
    return live.peak


def vae(side: int, decode: bool) -> float:
    """Bytes that one picture takes on its way through the VAE that SD and FLUX share in shape, in float32."""
    from diffusers import AutoencoderKL

    with torch.device("meta"):
        model = AutoencoderKL(**configs.VAE_SD).requires_grad_(False).eval()
    with FakeTensorMode(), torch.no_grad():
        imagined(model)
        model.requires_grad_(False)
        given = torch.zeros(1, 4, side // 8, side // 8) if decode else torch.zeros(1, 3, side, side)
        with Live(model) as live:
            (model.decode if decode else model.encode)(given)
    return live.peak


def adapters(label: str) -> tuple[float, ...]:
    """Millions of weights that learn at rank 1, by the choice of layers."""
    name, make, _, _ = PUBLISHED[label]
    sizes = (sum(weight.numel() for weight in built(make, families()[name].layers[kind], 1)[1]) for kind in LAYERS)
    return tuple(round(size / 1e6, 3) for size in sizes)


def estimated(label: str) -> tuple[float, float]:
    """GB of the frozen denoiser with a step's activations, without and with checkpointing, as the plan has them."""
    name, make, _, _ = PUBLISHED[label]
    with torch.device("meta"):
        config = dict(make().config)
    model = BaseModel(label, "folder", configs={"unet": config, "transformer": config})
    shape = families()[name].footprint_of(model)
    return shape.weights + shape.activations, shape.weights + shape.checkpointed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=list(PUBLISHED), help=", ".join(PUBLISHED))
    for label in parser.parse_args().models:
        start = time.monotonic()
        with torch.device("meta"):
            weights = sum(weight.numel() for weight in PUBLISHED[label][1]().parameters())
        learnt = adapters(label)
        gradients = 4 * RANK * learnt[1] * 1e6
        plain, thrifty = ((step(label, checkpointed) - gradients) / GB for checkpointed in (False, True))
        print(
            f"{label}: denoiser {2 * weights / GB:.2f} GB, activations {plain:.2f}, checkpointed {thrifty:.2f}, "
            f"adapters {dict(zip(LAYERS, learnt))} million a rank ({time.monotonic() - start:.0f} s)"
        )
        ratios = (told / (2 * weights / GB + found) for told, found in zip(estimated(label), (plain, thrifty)))
        print("  the plan's estimate against this: {:.2f}, checkpointed {:.2f}".format(*ratios), flush=True)
    for side in (512, 1024):
        print(f"VAE at {side}: encode {vae(side, False) / GB:.2f} GB, decode {vae(side, True) / GB:.2f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
