"""Attaches adapters to a frozen part of a model, and takes their weights out and puts them back by name.

PEFT supplies the layers of LoRA, kinds/ those of the others. What PEFT leaves to chance is settled here: adapters are
float32 whatever the base (PEFT follows the base, and Adam on bfloat16 weights loses small steps), and each starts from
(seed, its name) alone, so that neither the order of layers nor anything drawn before can change a run.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from trainer.inversion import new_words
from trainer.lora.dropping import Dropping
from trainer.lora.keys import LoraError, canonical
from trainer.lora.kinds import LAYERS, kind_of
from trainer.lora.kinds.base import AdapterLayer
from trainer.lora.sizes import Size

ADAPTER = "default"
Layer = LoraLayer | AdapterLayer
_LEARNABLE = (nn.Linear, nn.Conv2d)


@dataclass(frozen=True)
class AdapterSpec:
    """What to attach to one part of a model."""

    part: str
    """Our name of the part ("denoiser"); all names of its layers begin with it."""
    sizes: Mapping[str, Size]
    """{path of a layer: how large its update is} of those that learn (sizes.py)."""
    dropout: float = 0.0
    """Drops inputs of the update while training, drawn from torch's global generator: seed that before a step."""
    kind: str = "lora"
    """As kinds.LAYERS has it."""
    factor: int | None = None
    """Of LoKr: the most that either side of the small matrix has; None: as square as can be."""
    dropping: Dropping = Dropping()
    """Ranks and whole updates that are left out, drawn in the same way."""

    def patterns(self, paths: Mapping[str, str]) -> dict[str, Any]:
        """The ranks and alphas as PEFT's configs take them: those of most layers, and patterns over whole names for the
        others, one for each size. `paths`: {name in the module: path}."""
        grouped: dict[Size, list[str]] = {}
        for name, path in paths.items():
            grouped.setdefault(replace(self.sizes[path], rate=1.0), []).append(name)
        usual, *others = sorted(grouped, key=lambda size: -len(grouped[size]))
        called = {size: f"^({'|'.join(map(re.escape, grouped[size]))})" for size in others}
        return {
            "r": usual.rank,
            "lora_alpha": usual.alpha,
            "rank_pattern": {called[size]: size.rank for size in others},
            "alpha_pattern": {called[size]: size.alpha for size in others},
        }


def inject(module: nn.Module, spec: AdapterSpec, *, seed: int) -> list[nn.Parameter]:
    """Freeze `module`, attach adapters where `spec` says, and return their parameters (float32, layer by layer).

    Until the first step the module computes exactly what it did before. The global random generator is left as it was.
    """
    paths = {name: path for name, layer in module.named_modules()
             if isinstance(layer, _LEARNABLE) and (path := canonical(name)) in spec.sizes}
    module.requires_grad_(False)
    (_inject_ours if LAYERS[spec.kind] else _inject_lora)(module, spec, paths)
    for path, layer in layers(module).items():
        _initialise(layer, f"{seed}:{spec.part}.{path}")
        if isinstance(layer, AdapterLayer):
            layer.dropping = spec.dropping
        elif spec.dropping:
            layer.lora_A[ADAPTER].register_forward_hook(spec.dropping.after_down)
    return parameters(module)


def _inject_lora(module: nn.Module, spec: AdapterSpec, paths: Mapping[str, str]) -> None:
    """PEFT's layers; rank-stabilised (arXiv 2312.03732) ones are scaled by alpha / sqrt(rank)."""
    config = LoraConfig(
        **spec.patterns(paths),
        lora_dropout=spec.dropout,
        target_modules="|".join(map(re.escape, paths)),
        init_lora_weights=False,
        use_rslora=spec.kind == "rslora",
    )
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, module, ADAPTER)


def _inject_ours(module: nn.Module, spec: AdapterSpec, paths: Mapping[str, str]) -> None:
    own = {"factor": spec.factor} if spec.kind == "lokr" else {}
    for name, path in paths.items():
        parent, _, child = name.rpartition(".")
        layer = LAYERS[spec.kind](module.get_submodule(name), spec.sizes[path], spec.dropout, **own)
        setattr(module.get_submodule(parent), child, layer.train(module.training))


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """{path: shape of the weight} of every layer that could learn, before adapters are attached."""
    return {canonical(name): tuple(layer.weight.shape) for name, layer in module.named_modules()
            if isinstance(layer, _LEARNABLE)}


def layers(module: nn.Module) -> dict[str, Layer]:
    """{path: layer with an adapter} of a part, in the model's order; empty without adapters."""
    return {canonical(name): layer for name, layer in module.named_modules() if isinstance(layer, Layer)}


def parameters(module: nn.Module) -> list[nn.Parameter]:
    """The trained parameters of a part, in the model's order."""
    return [weight for layer in layers(module).values() for weight in weights(layer).values()]


def learnable(parts: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """{our name: linear or convolution layer} of all that a LoRA could change, with or without adapters attached."""
    found: dict[str, nn.Module] = {}
    for part, module in parts.items():
        for name, layer in module.named_modules():
            if isinstance(layer, _LEARNABLE) and ".lora_" not in name:
                found[f"{part}.{canonical(name.removesuffix('.base_layer'))}"] = layer
    return found


def state(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """{"denoiser.<path>.lora_A.weight": tensor} over all parts: the live weights, not copies."""
    return {key: weight.detach() for key, weight in named_weights(parts)}


def alphas(parts: Mapping[str, nn.Module]) -> dict[str, float]:
    """{our name: alpha} such that what reads it does what the layer does: for LoRA, alpha / rank is the factor that the
    layer really applies."""
    return {f"{part}.{path}": _alpha(layer) for part, module in parts.items() for path, layer in layers(module).items()}


def kept(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """What stands still and yet belongs to the updates, beside state(): where PiSSA started from."""
    return {f"{part}.{path}.{name}": tensor for part, module in parts.items() for path, layer in layers(module).items()
            if isinstance(layer, AdapterLayer) for name, tensor in layer.kept().items()}


def load_state(parts: Mapping[str, nn.Module], saved: Mapping[str, Tensor]) -> None:
    """Copy `saved` (as state() gives it) into the adapters; LoraError when names or shapes differ in any way."""
    weights = dict(named_weights(parts))
    missing, extra = sorted(weights.keys() - saved.keys()), sorted(saved.keys() - weights.keys())
    refuse_other_kind(weights, saved)
    if missing or extra:
        example = (missing or extra)[0]
        raise LoraError(f"the saved adapter does not fit this run: {len(missing)} of {len(weights)} tensors missing "
                        f"and {len(extra)} not known (such as {example}); were the trained layers changed?")
    for key, weight in weights.items():
        if weight.shape != saved[key].shape:
            raise LoraError(f"the saved adapter does not fit this run: {key} is {tuple(saved[key].shape)}, expected "
                            f"{tuple(weight.shape)}; was the rank changed?")
    with torch.no_grad():
        for key, weight in weights.items():
            weight.copy_(saved[key])


def refuse_other_kind(ours: Iterable[str], theirs: Iterable[str]) -> None:
    """LoraError where the names of weights are those of different kinds of adapter."""
    kinds = [{kind for name in names if (kind := kind_of(name))} for names in (ours, theirs)]
    if all(kinds) and kinds[0] != kinds[1]:
        raise LoraError(f"what is saved is {' and '.join(sorted(kinds[1]))}, this run trains "
                        f"{' and '.join(sorted(kinds[0]))}: set lora.kind to what it was")


def trust_autocast(module: nn.Module) -> None:
    """Spare the float32 copy of every layer's input that PEFT makes: autocast casts anyway.

    From then on the part may only run inside autocast; outside it a bfloat16 input would meet float32 adapters. It
    holds for the backward pass too, where gradient checkpointing runs the forward again and must find it unchanged.
    """
    for layer in layers(module).values():
        layer.cast_input_dtype_enabled = False


def named_weights(parts: Mapping[str, nn.Module]) -> Iterator[tuple[str, nn.Parameter]]:
    """Every weight that learns, with the name that state() gives it; of a part without adapters, that is all it has."""
    for part, module in parts.items():
        attached, words = layers(module), dict(new_words.named_weights(part, module))
        yield from words.items()
        if not attached and not words:
            yield from ((f"{part}.{name}", weight) for name, weight in module.named_parameters())
        for path, layer in attached.items():
            for name, weight in weights(layer).items():
                yield f"{part}.{path}.{name}", weight


def weights(layer: Layer) -> dict[str, nn.Parameter]:
    """What of a layer learns, by name."""
    if isinstance(layer, AdapterLayer):
        return layer.learnt()
    return {"lora_A.weight": layer.lora_A[ADAPTER].weight, "lora_B.weight": layer.lora_B[ADAPTER].weight}


def _alpha(layer: Layer) -> float:
    return layer.told_alpha if isinstance(layer, AdapterLayer) else layer.scaling[ADAPTER] * layer.r[ADAPTER]


def _initialise(layer: Layer, name: str) -> None:
    """A as nn.Linear draws its weights, B zero: the update starts at nothing (LoRA, arXiv 2106.09685, section 4.1)."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
    generator = torch.Generator().manual_seed(seed)
    if isinstance(layer, AdapterLayer):
        return layer.start(generator)
    layer.lora_A[ADAPTER].float()
    layer.lora_B[ADAPTER].float()
    down, up = weights(layer).values()
    drawn = torch.empty(down.shape, dtype=torch.float32)
    nn.init.kaiming_uniform_(drawn, a=math.sqrt(5), generator=generator)
    with torch.no_grad():
        down.copy_(drawn)
        up.zero_()
