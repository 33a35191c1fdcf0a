"""Rules for what FLUX alone has: ranks, rates and switches by block, by kind of layer and by regular expressions over
kohya's names of layers. All become rows of the block table, which names ours."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from trainer.imports.translation import Translation
from trainer.imports.values import number, numbers
from trainer.lora.layers import known

Row = tuple[int, float]  # rank, what multiplies the rate

# argument -> what stands in the names of the layers that it is the rank of, the first that fits counting
KINDS = {"img_attn_dim": ("img_attn",), "txt_attn_dim": ("txt_attn",), "img_mlp_dim": ("img_mlp",),
         "txt_mlp_dim": ("txt_mlp",), "img_mod_dim": ("img_mod",), "txt_mod_dim": ("txt_mod",),
         "single_dim": ("single_blocks", "linear"), "single_mod_dim": ("modulation",)}
INDICES = {"train_double_block_indices": "double_blocks", "train_single_block_indices": "single_blocks"}
PATTERNS = ("network_reg_dims", "network_reg_lrs")
BEFORE = ("x_embedder", r"time_text_embed\.timestep_embedder", r"time_text_embed\.text_embedder",
          r"time_text_embed\.guidance_embedder", "context_embedder")  # as `in_dims` has them
STACKS = ["^transformer_blocks", "^single_transformer_blocks"]
_LAYER = re.compile(r"(.*blocks)\.(\d+)\.(.+)")


def table(t: Translation) -> None:
    """Ranks and rates of single layers, as rows where they differ from the others."""
    told = [name for name in (*KINDS, *PATTERNS, "in_dims") if t.has(name)] + [name for name in INDICES if name in t]
    if not told or t.family.name != "flux":
        return
    usual = int(t.values.get("lora.denoiser.rank", 4))
    rank, rate = ranks(t, usual), rates(t)
    layers = {path: name for path in known("flux") if _LAYER.fullmatch(path) and (name := kohya_name(t, path))}
    sizes = {path: (rank(name), rate(name)) for path, name in layers.items()}
    alpha = t.values.get("lora.denoiser.alpha", 1)
    differ = {path: size for path, size in sizes.items() if size != (usual, 1.0)}
    found = [{"block": block} | ({"rank": size, "alpha": alpha, "rate": times} if size and times else {"rank": 0})
             for block, (size, times) in rows(differ, list(layers))]
    found += before_the_blocks(t, alpha)
    if found:
        t.put(told[0], "lora.denoiser.blocks", found, "a row for the layers that differ")


def kohya_name(t: Translation, path: str) -> str:
    """As `lora_unet_double_blocks_0_img_attn_qkv`; "" for what is no layer there."""
    piece = t.family.naming.piece(f"denoiser.{path}")
    return f"lora_unet_{piece.name}".replace(".", "_") if piece else ""


def ranks(t: Translation, usual: int) -> Callable[[str], int]:
    """What gives a layer its rank: the first pattern that is found in its name, else its kind; 0 for a block that is
    not among those that learn."""
    patterns = pairs(t, "network_reg_dims")
    kinds = {words: int(value) for name, words in KINDS.items() if (value := number(t.take(name))) is not None}
    chosen = {stack: numbered(t.word(name)) for name, stack in INDICES.items()}

    def rank(name: str) -> int:
        for pattern, value in patterns.items():
            if re.search(pattern, name):
                return int(value)
        stack, place = re.search(r"((?:double|single)_blocks)_(\d+)", name).groups()
        if chosen[stack] is not None and int(place) not in chosen[stack]:
            return 0
        return next((value for words, value in kinds.items() if all(word in name for word in words)), usual)

    return rank


def rates(t: Translation) -> Callable[[str], float]:
    """What multiplies a layer's rate. There it is a rate of its own."""
    base = t.values.get("lora.denoiser.learning_rate")
    patterns = {pattern: value / base for pattern, value in pairs(t, "network_reg_lrs").items()} if base else {}
    return lambda name: next((float(f"{times:.6g}") for pattern, times in patterns.items() if re.search(pattern, name)),
                             1.0)


def pairs(t: Translation, name: str) -> dict[str, float]:
    """{pattern: number} of `single_blocks=4,double_blocks_1_=8`; what is no pattern is left."""
    found = {}
    for pair in t.text(name).split(","):
        pattern, _, value = pair.rpartition("=")
        try:
            re.compile(pattern)
        except re.error as error:
            t.leave(name, f"{pattern!r} is no regular expression ({error})")
            continue
        if pattern.strip() and number(value) is not None:
            found[pattern.strip()] = number(value)
    return found


def numbered(text: str) -> set[int] | None:
    """The blocks of `0,3-5`, or of `none`; None for all."""
    found: set[int] = set()
    for part in text.split(",") if text != "none" else ():
        first, _, last = part.partition("-")
        if not first.strip().isdigit():
            return None
        found |= set(range(int(first), int(last or first) + 1))
    return found


def rows(sizes: Mapping[str, Row], every: list[str]) -> list[tuple[str, Row]]:
    """(pattern, size) that cover exactly these layers among `every`, as few as numbers and names can be put together.
    """
    whole = names_by_number(every)
    found = []
    for size in dict.fromkeys(sizes.values()):
        for stack, by_number in names_by_number([path for path, own in sizes.items() if own == size]).items():
            alike: dict[tuple[str, ...], list[str]] = defaultdict(list)
            for place, names in by_number.items():
                alike[tuple(names)].append(place)
            found += [(pattern(stack, places, names, whole[stack]), size) for names, places in alike.items()]
    return found


def names_by_number(paths: list[str]) -> dict[str, dict[str, list[str]]]:
    """{stack: {number: names of layers in that block}}."""
    found: dict[str, dict[str, list[str]]] = {}
    for path in paths:
        stack, place, name = _LAYER.fullmatch(path).groups()
        found.setdefault(stack, {}).setdefault(place, []).append(name)
    return found


def pattern(stack: str, places: list[str], names: tuple[str, ...], whole: Mapping[str, list[str]]) -> str:
    where = r"\d+" if len(places) == len(whole) else f"({'|'.join(places)})"
    if len(names) == len(whole[places[0]]):
        return stack if where == r"\d+" else rf"{stack}\.{where}"
    return rf"{stack}\.{where}\.({'|'.join(map(re.escape, names))})"


def before_the_blocks(t: Translation, alpha: float) -> list[dict[str, Any]]:
    """Rows for the layers through which picture, time, pooled words, guidance and words come in; they are chosen beside
    the blocks."""
    given = numbers(t.text("in_dims"))
    found = [{"block": block, "rank": int(rank), "alpha": alpha} for block, rank in zip(BEFORE, given) if rank]
    if found:
        t.put("in_dims", "lora.denoiser.layers", "any", "with the layers before the blocks")
        only = [*t.values.get("lora.denoiser.only", STACKS), *(f"^{row['block']}" for row in found)]
        t.put("in_dims", "lora.denoiser.only", only, "the blocks, and the layers before them")
    return found


RULES: list[Callable[[Translation], Any]] = [table]
