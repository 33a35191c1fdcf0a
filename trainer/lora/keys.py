"""What a layer is called in LoRA files: our name <-> kohya, diffusers and PEFT names, one small table per family.

kohya's names join a path with underscores, which can't be undone by rule (`to_out_0`, `up_blocks`). So names are never
parsed: every layer of the model is spelled in every dialect, and a key of a file is looked up in that list.

Text encoders are always written with `text_model.` in the path, whatever the installed transformers calls its layers:
other programs know only that name (transformers 5.6 dropped it from CLIPTextModel).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from trainer.lora import blueprints, native

INNER = "text_model."

DIALECTS = {
    "comfyui": "ComfyUI, A1111, Forge: the names in which training writes, with an alpha for each layer",
    "kohya": "kohya's names joined by underscores; of transformers, OneTrainer's",
    "blocks": "the original's block names, as kohya's own trainers write them for SDXL, SD 3 and FLUX",
    "diffusers": "diffusers: pytorch_lora_weights.safetensors in a folder",
    "diffusers-old": "diffusers before PEFT: lora.down and lora.up",
    "peft": "PEFT: a folder for each part, for PeftModel.from_pretrained",
}
"""What each is for."""
FOLDERS = ("diffusers", "diffusers-old", "peft")
"""Those that are folders, not files."""

_ROLES = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora.up.weight": "up",
    ".alpha": "alpha",
}
_KINDS = re.compile(
    r"\.(dora_scale|lora_magnitude_vector|hada_w[12]_[ab]|hada_t[12]|lokr_w[12]|lokr_w[12]_[ab]|lokr_t2|oft_blocks)"
    r"(?:(?:\.default)?(?:\.weight)?)$"
)
_FOREIGN = re.compile(
    r"\.(lora_mid\.weight|oft_\w+(\.\w+)*|rescale|on_input|[ab][12]\.weight|diff|diff_b|w_norm|b_norm|lora_[AB]\.bias"
    r"|lora_(down|up)\.bias)$"
)
_ORIGINAL = re.compile(r"lora_unet_(input_blocks|middle_block|output_blocks|double_blocks|single_blocks|joint_blocks)_")


class LoraError(ValueError):
    """A LoRA file or adapter that can't be used; the message says what it is, what was expected and what to do."""


@dataclass(frozen=True)
class Part:
    """One part of a model that a LoRA can change, and how files call it."""

    name: str
    """Ours: "denoiser", "text_encoder", "text_encoder_2"."""
    kohya: str
    """Prefix of kohya's names, without the trailing underscore: "lora_unet"."""
    diffusers: str
    """Prefix of diffusers' names and of PEFT's folders: "unet"."""
    inner: str = ""
    """What files put between prefix and path: `text_model.` for CLIP."""
    also: tuple[str, ...] = ()
    """Other prefixes that files in the wild use for this part; only read."""
    original: native.Original = lambda path: None
    """What the original implementation calls a layer, by which kohya's own trainers and OneTrainer name it."""
    blueprint: tuple[str, ...] = ()
    """Every layer that such a part may have (blueprints.py); with none, only dotted names are read without a model."""

    def spellings(self, path: str) -> Iterator[str]:
        """Every way in which a file may call the layer at `path` of this part."""
        for full in {path, self.inner + path}:
            yield from self._prefixed(full)
        if piece := self.original(path):
            yield from self._prefixed(piece.name if piece.alone else f"{piece.name}.{piece.number}")

    def fused(self, path: str) -> Iterator[str]:
        """Every way in which a file may call the original layer of which the one at `path` is only a piece."""
        if (piece := self.original(path)) and not piece.alone:
            yield from self._prefixed(piece.name)

    def _prefixed(self, full: str) -> Iterator[str]:
        for prefix in (self.name, self.diffusers, f"{self.diffusers}.base_model.model", "base_model.model"):
            yield f"{prefix}.{full}"
        for prefix in (self.kohya, *self.also):
            yield f"{prefix}.{full}"
            yield f"{prefix}_{full}".replace(".", "_")


@dataclass(frozen=True)
class Naming:
    """The names of one family: its parts, and the dialect in which its files are written."""

    parts: tuple[Part, ...]
    style: Literal["kohya", "diffusers"] = "kohya"
    """Transformer families are written as `transformer.<path>.lora_A.weight`, as ComfyUI takes them."""
    alphas: bool = True
    """Whether a file holds alphas. Else the weights of "up" are scaled by alpha / rank: the same update at the alpha
    that every reader takes where none is given, the rank."""

    def part(self, name: str) -> Part:
        """The part that we call `name`; KeyError without one."""
        for part in self.parts:
            if part.name == name:
                return part
        raise KeyError(f"no part called {name} in {[part.name for part in self.parts]}")

    def stem(self, name: str) -> str:
        """What files call the layer that we call `name` ("denoiser.<path>"), up to `.lora_down.weight` and the like."""
        prefix, path = name.split(".", 1)
        part = self.part(prefix)
        if self.style == "kohya":
            return f"{part.kohya}_{part.inner}{path}".replace(".", "_")
        return f"{part.diffusers}.{part.inner}{path}"

    def keys(self, name: str) -> dict[str, str]:
        """The keys of a layer in a file: {"down": ..., "up": ...} and, if it holds alphas, "alpha"."""
        stem = self.stem(name)
        down, up = ("lora_down", "lora_up") if self.style == "kohya" else ("lora_A", "lora_B")
        found = {"down": f"{stem}.{down}.weight", "up": f"{stem}.{up}.weight"}
        return found | {"alpha": f"{stem}.alpha"} if self.alphas else found

    def key(self, name: str, weight: str) -> str:
        """The key in a file of a weight ("lora_A.weight", "hada_w1_a") of the layer that we call `name`."""
        role = split(f".{weight}")[1]
        return self.keys(name)[role] if role in ("down", "up") else f"{self.stem(name)}.{weight}"

    def index(self, layers: Iterable[str]) -> dict[str, str]:
        """{every spelling in every dialect: our name} over `layers`, which are our names.

        A spelling that two layers share (PEFT's bare `base_model.model.` for two text encoders) is left out: a guess
        could load one encoder's weights into the other.
        """
        found: dict[str, str] = {}
        shared: set[str] = set()
        for name in layers:
            prefix, path = name.split(".", 1)
            for spelling in self.part(prefix).spellings(path):
                if found.setdefault(spelling, name) != name:
                    shared.add(spelling)
        return {spelling: name for spelling, name in found.items() if spelling not in shared}

    def fused(self, layers: Iterable[str]) -> dict[str, list[str]]:
        """{every spelling of an original layer: our layers that it is made of, from the top} over `layers`."""
        found: dict[str, list[str]] = {}
        for name in layers:
            prefix, path = name.split(".", 1)
            for spelling in self.part(prefix).fused(path):
                found.setdefault(spelling, []).append(name)
        return found

    def piece(self, name: str) -> native.Piece | None:
        """Where the layer that we call `name` is in the original."""
        prefix, path = name.split(".", 1)
        return self.part(prefix).original(path)

    def layers(self) -> list[str]:
        """Our names of all layers that a model of the family may have."""
        return [f"{part.name}.{path}" for part in self.parts for path in blueprints.expanded(part.blueprint)]



def _clip(name: str, kohya: str, *also: str) -> Part:
    return Part(name, kohya, name, INNER, also, blueprint=blueprints.CLIP)


STABLE_DIFFUSION = Naming(
    (
        Part("denoiser", "lora_unet", "unet", original=native.sd_blocks, blueprint=blueprints.UNET),
        _clip("text_encoder", "lora_te", "lora_te1", "clip_l"),
    )
)
"""SD 1.x and SD 2.x."""
SDXL = Naming(
    (
        Part("denoiser", "lora_unet", "unet", original=native.sdxl_blocks, blueprint=blueprints.UNET_DEEP),
        _clip("text_encoder", "lora_te1", "lora_te", "clip_l"),
        _clip("text_encoder_2", "lora_te2", "clip_g"),
    )
)

_TRANSFORMER = ("lora_unet", "lycoris", "diffusion_model", "model.diffusion_model")
SD3 = Naming(
    (
        Part("denoiser", "lora_transformer", "transformer", "", _TRANSFORMER, native.sd3, blueprints.SD3),
        _clip("text_encoder", "lora_te1", "clip_l"),
        _clip("text_encoder_2", "lora_te2", "clip_g"),
    ),
    style="diffusers",
    alphas=False,  # diffusers 0.42 refuses an SD 3 file with a key that has no "lora" in its name
)
FLUX = Naming(
    (
        Part("denoiser", "lora_transformer", "transformer", "", _TRANSFORMER, native.flux, blueprints.FLUX),
        _clip("text_encoder", "lora_te1", "clip_l"),
    ),
    style="diffusers",
)


def canonical(path: str) -> str:
    """The path of a layer, the same under every version of transformers."""
    return path.removeprefix(INNER)


def split(key: str) -> tuple[str, str]:
    """(stem, role) of a key in a file.

    The role is "down", "up" or "alpha", or the tensor's name in the other kinds of adapter that are known here
    ("hada_w1_a"); "foreign" for those that are not, and "unknown" for what is no adapter tensor at all.
    """
    for suffix, role in _ROLES.items():
        if key.endswith(suffix):
            return key.removesuffix(suffix), role
    if match := _KINDS.search(key):
        return key[: match.start()], match.group(1)
    if match := _FOREIGN.search(key):
        return key[: match.start()], "foreign"
    return key, "unknown"


def dialect(keys: Iterable[str]) -> str:
    """Which program's names these are: one of dialects.DIALECTS, "onetrainer" or "unknown"; only for messages."""
    keys = [key for key in keys if split(key)[1] != "unknown"]
    if any("base_model.model." in key for key in keys):
        return "peft"
    if any(key.startswith(("lora_transformer", "lora_unet.", "clip_l.", "clip_g.")) for key in keys):
        return "onetrainer"
    if any(key.startswith("lora_") for key in keys):
        return "blocks" if any(_ORIGINAL.match(key) for key in keys) else "kohya"
    if any(key.endswith((".down.weight", ".up.weight")) for key in keys):
        return "diffusers-old"
    if any(split(key)[1] not in ("alpha", "foreign") for key in keys):
        return "comfyui" if any(key.endswith(".alpha") for key in keys) else "diffusers"
    return "unknown"


def group(keys: Iterable[str], index: Mapping[str, str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """({our name: {role: key}}, keys that fit no layer) of a file's keys, by an `index` from Naming.index."""
    layers: dict[str, dict[str, str]] = {}
    unmatched = []
    for key in keys:
        stem, role = split(key)
        if role == "unknown" or stem not in index:
            unmatched.append(key)
        else:
            layers.setdefault(index[stem], {})[role] = key
    return layers, unmatched
