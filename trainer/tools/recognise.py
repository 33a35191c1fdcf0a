"""Which family a LoRA file was made for, told from the file alone: from names, widths of layers and metadata."""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainer.families import families
from trainer.families.base import Family
from trainer.lora.adapter import Update
from trainer.lora.keys import LoraError, group, split
from trainer.lora.kinds import FIRST, inputs
from trainer.lora.reading import LoraFile, updates

Kind = type[Family]


@dataclass(frozen=True)
class Recognised:
    """A file and the family whose layers it changes."""

    file: LoraFile
    family: Kind
    adapters: dict[str, Update]
    """{our name: update}, in order."""
    unmatched: list[str]
    """Keys that fit no layer of the family."""


@dataclass(frozen=True)
class _Fit:
    """How a file fits a family, by its names and shapes alone."""

    family: Kind
    layers: list[str]
    """Our names of all layers that the file may mean."""
    matched: int
    left: int
    """Keys that fit none."""
    wide: bool
    """Its layers are as wide as those of the family's published models."""
    said: int
    """1: the file's metadata names this family; -1: another; 0: nothing."""


def recognised(file: LoraFile, wanted: str = "") -> Recognised:
    """The family of a file; LoraError when no family fits, or when it clearly is another than the one `wanted`."""
    fits = [fit for kind in families().values() if (fit := _fit(file, kind)).matched]
    if not fits:
        raise LoraError(f"{file.path.name}: none of its {len(file.tensors)} keys ({file.dialect} names, such as "
                        f"{next(iter(file.tensors))}) fits a family that is known here")
    best = max(fits, key=lambda fit: (fit.said, fit.matched - fit.left, fit.wide))
    if wanted and best.family.name != wanted:
        best = _insisted(file, wanted, best, fits)
    adapters, unmatched = updates(file, best.family.naming, best.layers)
    parts = [part.name for part in best.family.naming.parts]

    def place(name: str) -> list:
        part, *path = name.split(".")
        return [parts.index(part), *((0, int(word), "") if word.isdigit() else (1, 0, word) for word in path)]

    return Recognised(file, best.family, {name: adapters[name] for name in sorted(adapters, key=place)}, unmatched)


def _insisted(file: LoraFile, wanted: str, best: _Fit, fits: list[_Fit]) -> _Fit:
    """The family that a person says it is, where nothing speaks against it."""
    if wanted not in families():
        raise LoraError(f"there is no family {wanted!r}; choose one of {', '.join(families())}")
    ours = next((fit for fit in fits if fit.family.name == wanted), None)
    if ours is None or ours.matched < best.matched or ours.said < best.said or ours.wide < best.wide:
        raise LoraError(f"{file.path.name} is a LoRA for {best.family.label}, not for {families()[wanted].label}")
    return ours


def _fit(file: LoraFile, kind: Kind) -> _Fit:
    layers = list(dict.fromkeys(kind.naming.layers() + _without_blueprint(file, kind)))
    fused = kind.naming.fused(layers)
    named, left = group(file.tensors, kind.naming.index(layers) | {spelling: spelling for spelling in fused})
    seen = [width in allowed for name, keys in named.items()
            for pattern, allowed in kind.widths.items() if re.fullmatch(pattern, fused.get(name, [name])[0])
            if (width := inputs(file.tensors, keys))]
    wide = bool(seen) and all(seen)
    return _Fit(kind, layers, sum(len(keys) for keys in named.values()), len(left), wide, _said(file, kind))


def _said(file: LoraFile, kind: Kind) -> int:
    version = file.metadata.get("ss_base_model_version", "")
    architecture = file.metadata.get("modelspec.architecture", "").removesuffix("/lora")
    known = [name for name in (kind.base_version, kind.architecture) if isinstance(name, str)]
    if not known or not (version or architecture):
        return 0
    return 1 if version in known or any(architecture.startswith(name) for name in known) else -1


def _without_blueprint(file: LoraFile, kind: Kind) -> list[str]:
    """Layers of parts that have no blueprint, as the file names them, if the family trains such layers."""
    found = []
    for part in kind.naming.parts:
        pattern = kind.layers["all"] if part.name == "denoiser" else kind.text_layers
        prefixes = (part.diffusers, part.name, part.kohya, *part.also)
        before = re.compile(rf"(({'|'.join(map(re.escape, prefixes))})[._])?(base_model\.model\.)?({part.inner})?")
        for key in file.tensors if not part.blueprint else ():
            stem, role = split(key)
            path = dotted(stem[before.match(stem).end() :], pattern) if role in FIRST else ""
            found += [f"{part.name}.{path}"] if path else []
    return found


def dotted(path: str, pattern: str) -> str:
    """The path that matches `pattern`, where `path` may have underscores instead of its dots; "" if it can't match."""
    plain = re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)
    found = re.fullmatch(plain.replace(r"\.", "([._])"), path)
    dots = {start for start, _ in found.regs[1:]} if found else set()
    return "".join("." if place in dots else letter for place, letter in enumerate(path)) if found else ""
