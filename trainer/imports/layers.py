"""Rules for which layers learn and how strongly: ranks of convolutions, tables of blocks, LoRAs under the base model.

kohya numbers the blocks of the original U-Net: 25 of SD 1.x and 2.x, where the first is no layer that learns, and 23 of
SDXL. Ours have diffusers' names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from trainer.config import DenoiserLora
from trainer.imports.translation import Translation
from trainer.imports.values import number, numbers, same

ATTENTION_ONLY = {"attn-only", "unet-transformer-only"}
CONVOLUTIONS = r"(\..*)?\.conv[12]?"  # behind a block's name: those of more than one pixel
MAIN = ("lora.denoiser.rank", "lora.denoiser.alpha")
SIZES = ("block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas")
RATES = ("down_lr_weight", "mid_lr_weight", "up_lr_weight")
WHOLE_BLOCKS = {"sd3", "flux", "chroma"}  # families of which a plain LoRA there teaches all linear layers of the blocks
FLUX_BLOCKS = {"single": "^single_transformer_blocks", "double": "^transformer_blocks"}


def layers(t: Translation) -> None:
    """LoCon is a rank for the 3 x 3 convolutions; the form has such a rank for every kind, which says nothing."""
    rank, alpha, preset = number(t.take("conv_dim")), number(t.take("conv_alpha")), t.text("preset")
    preset = preset or t.text("LyCORIS_preset")
    if preset in ATTENTION_ONLY:
        return t.put("preset", "lora.denoiser.layers", "attention", "the nearest choice")
    if t.family.name in WHOLE_BLOCKS and "algo" not in t:
        source = "network_module" if "network_module" in t else "LoRA_type"
        t.put(source, "lora.denoiser.layers", "all", "there all linear layers of the blocks learn")
    if not rank or t.convolutions is False:
        if rank:
            t.off("conv_dim", "this type has no convolutions")
        return None
    t.put("conv_dim", "lora.denoiser.layers", "all", "the convolutions learn too")
    main, its = (t.values.get(path) for path in MAIN)
    alpha = alpha or (rank if alpha == 0 else its if "algo" in t else 1)
    if not (same(rank, main) and same(alpha, its)):
        t.put("conv_dim", "lora.denoiser.conv_rank", rank)
        t.put("conv_alpha", "lora.denoiser.conv_alpha", alpha)
    return None


def ratios(t: Translation) -> None:
    """LoRA+ of one part alone."""
    if (unet := number(t.take("loraplus_unet_lr_ratio"))) is not None:
        t.put("loraplus_unet_lr_ratio", "lora.denoiser.plus_ratio", unet)
    if (text := number(t.take("loraplus_text_encoder_lr_ratio"))) is not None:
        t.put("loraplus_text_encoder_lr_ratio", [f"lora.{name}.plus_ratio" for name in t.family.text_encoders], text)


def blocks(t: Translation) -> None:
    """Ranks, alphas and rates by block, as rows of the table where they differ from the others."""
    told = next((name for name in (*SIZES, *RATES) if t.has(name)), "")
    if not told or t.family.name not in ("sd15", "sd2", "sdxl"):
        return
    named = sdxl_blocks() if t.family.name == "sdxl" else sd_blocks()
    lists = {name: numbers(t.take(name)) for name in SIZES}
    rates = block_rates(t, len(named))
    if wrong := {name for name, found in lists.items() if found and len(found) != len(named)}:
        for name in wrong:
            t.leave(name, f"{t.family.label} has {len(named)} blocks there, not {len(lists[name])}")
        return
    lists = {name: found for name, found in lists.items() if found}
    rows = [row for place, block in enumerate(named) if block
            for row in rows_of(t, block, {name: found[place] for name, found in lists.items()}, rates[place])]
    if rows:
        t.put(told, "lora.denoiser.blocks", rows, "a row for each block that differs")


def rows_of(t: Translation, block: str, said: dict[str, float], rate: float) -> list[dict[str, Any]]:
    """The row of one block, after one for its convolutions where they have another size."""
    usual = DenoiserLora()
    rank, alpha = t.values.get(MAIN[0], usual.rank), t.values.get(MAIN[1], usual.alpha)
    own = {"rank": int(said.get("block_dims", rank)), "alpha": said.get("block_alphas", alpha), "rate": rate}
    if rate == 0 or own["rank"] == 0:
        return [{"block": block, "rank": 0}]
    alike = same(own["rank"], rank) and same(own["alpha"], alpha)
    found = [] if alike and rate == 1 else [{"block": block} | ({"rate": rate} if alike else own)]
    if t.values.get("lora.denoiser.layers") == "all":
        wide = t.values.get("lora.denoiser.conv_rank", rank), t.values.get("lora.denoiser.conv_alpha", alpha)
        size = int(said.get("conv_block_dims", wide[0])), said.get("conv_block_alphas", wide[1])
        if size != wide or (found and not alike and size != (own["rank"], own["alpha"])):
            found.insert(0, {"block": block + CONVOLUTIONS, "rank": size[0], "alpha": size[1], "rate": rate})
    return found


def block_rates(t: Translation, count: int) -> list[float]:
    """What multiplies the learning rate of each block; 0: it does not learn."""
    ends, middle = (9, 3) if count == 23 else (12, 1)
    least = number(t.take("block_lr_zero_threshold")) or 0
    found = [weight if weight > least else 0.0
             for name, length in zip(RATES, (ends, middle, ends))
             for weight in weights(t.text(name), length)]
    return [1.0, *found, 1.0] if count == 23 else found


def weights(text: str, length: int) -> list[float]:
    """`1,0.5,...`, or a curve by its name with what is added to it (`cosine+.25`), as long as it must be."""
    name, _, added = text.strip("[]() ").partition("+")
    rising = [place / max(1, length - 1) for place in range(length)]
    curves = {"linear": rising, "sine": [math.sin(share * math.pi / 2) for share in rising], "zeros": [0.0] * length}
    curves |= {"reverse_linear": curves["linear"][::-1], "cosine": curves["sine"][::-1]}
    if name in curves:
        return [value + float(number(added) or 0) for value in curves[name]]
    given = numbers(text)
    return [*given, *[1.0] * length][:length]


def sd_blocks() -> list[str]:
    """Patterns of the 25 blocks of SD 1.x and 2.x: IN00 to IN11, M00, OUT00 to OUT11; "": nothing in it learns."""
    inside = [pattern for level in range(4) for pattern in (*pair("down_blocks", level), down(level))]
    return ["", *inside[:11], "mid_block", *(up(level, place) for level in range(4) for place in range(3))]


def sdxl_blocks() -> list[str]:
    """Patterns of the 23 of SDXL: time and size, input_blocks 0 to 8, middle_block 0 to 2, output_blocks, out."""
    inside = [pattern for level in range(3) for pattern in (*pair("down_blocks", level), down(level))]
    middle = [rf"mid_block\.{name}" for name in (r"resnets\.0", r"attentions\.0", r"resnets\.1")]
    return ["", "", *inside[:8], *middle, *(up(level, place) for level in range(3) for place in range(3)), ""]


def pair(stack: str, level: int) -> list[str]:
    return [rf"{stack}\.{level}\.(resnets|attentions)\.{place}" for place in (0, 1)]


def down(level: int) -> str:
    return rf"down_blocks\.{level}\.downsamplers"


def up(level: int, place: int) -> str:
    last = "|upsamplers" if place == 2 else ""
    return rf"up_blocks\.{level}\.((resnets|attentions)\.{place}{last})"


def flux_blocks(t: Translation) -> None:
    """Only the double or only the single blocks of FLUX."""
    which = t.text("train_blocks")
    if which in FLUX_BLOCKS:
        t.put("train_blocks", "lora.denoiser.only", [FLUX_BLOCKS[which]], "the layers of these blocks")
    elif which not in ("", "all"):
        t.leave("train_blocks", "should be all, single or double")


def under(t: Translation) -> None:
    """LoRAs merged into the base model before training; one strength for each, 1 where there is none."""
    given, strengths = t.look("base_weights"), numbers(t.take("base_weights_multiplier"))
    t.text("base_weights")
    files = [str(one) for one in given] if isinstance(given, list) else [given] if isinstance(given, str) else []
    if files:
        every = zip(files, [*strengths, *[1.0] * len(files)])
        t.put("base_weights", "model.merge", [{"file": file, "strength": strength} for file, strength in every])


RULES: list[Callable[[Translation], Any]] = [layers, ratios, blocks, flux_blocks, under]
