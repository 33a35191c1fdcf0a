"""Every layer that a part of a model may have, so that a file's names can be looked up without the model.

Written with braces, as shells expand them: `attn{1,2}.to_{q,k,v}` is six names, `{0..3}` four numbers. A list may hold
more than one model has (the largest of a family counts); the tests compare it with the real architectures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

_RANGE = re.compile(r"(\d+)\.\.(\d+)")

CLIP = ("encoder.layers.{0..31}.{self_attn.{q,k,v,out}_proj,mlp.fc{1,2}}", "text_projection")

_RESNET = "{{down,up}_blocks.{0..3}.resnets.{0..2},mid_block.resnets.{0,1}}"
_ATTENTION = "{{down,up}_blocks.{0..3}.attentions.{0..2},mid_block.attentions.0}"
_UNET = (
    "{conv_in,conv_out,{time,add}_embedding.linear_{1,2}}",
    "{down_blocks.{0..3}.down,up_blocks.{0..3}.up}samplers.0.conv",
    f"{_RESNET}.{{conv1,conv2,conv_shortcut,time_emb_proj}}",
    f"{_ATTENTION}.proj_{{in,out}}",
)
_IN_ATTENTION = "{attn{1,2}.{to_{q,k,v},to_out.0},ff.net.{0.proj,2}}"
UNET = (*_UNET, f"{_ATTENTION}.transformer_blocks.0.{_IN_ATTENTION}")
UNET_DEEP = (*_UNET, f"{_ATTENTION}.transformer_blocks.{{0..9}}.{_IN_ATTENTION}")

_TIME_AND_TEXT = "time_text_embed.{timestep,guidance,text}_embedder.linear_{1,2}"
_JOINT = "{attn.{to_{q,k,v},to_out.0,add_{q,k,v}_proj,to_add_out},ff{,_context}.net.{0.proj,2},norm1{,_context}.linear}"
_ENDS = "{context_embedder,norm_out.linear,proj_out}"
SD3 = (
    f"transformer_blocks.{{0..37}}.{_JOINT}",
    "transformer_blocks.{0..37}.attn2.{to_{q,k,v},to_out.0}",
    "pos_embed.proj", _TIME_AND_TEXT, _ENDS,
)
FLUX = (
    f"transformer_blocks.{{0..18}}.{_JOINT}",
    "single_transformer_blocks.{0..37}.{attn.to_{q,k,v},proj_mlp,proj_out,norm.linear}",
    "x_embedder", _TIME_AND_TEXT, _ENDS,
    "distilled_guidance_layer.{in_proj,out_proj,layers.{0..4}.linear_{1,2}}",  # of Chroma alone
)


@cache
def expanded(templates: tuple[str, ...]) -> tuple[str, ...]:
    """All names that the templates stand for, each once."""
    return tuple(dict.fromkeys(name for template in templates for name in _expand(template)))


def _expand(template: str) -> Iterator[str]:
    start = template.find("{")
    if start < 0:
        yield template
        return
    choices, end = _choices(template, start)
    for rest in list(_expand(template[end:])):
        for choice in choices:
            for middle in _expand(choice):
                yield template[:start] + middle + rest


def _choices(template: str, start: int) -> tuple[list[str], int]:
    """What stands between the brace at `start` and its end, cut at the commas of its own level; and where it ends."""
    depth, found, begin = 0, [], start + 1
    for place in range(start, len(template)):
        letter = template[place]
        depth += (letter == "{") - (letter == "}")
        if (letter == "," and depth == 1) or (letter == "}" and depth == 0):
            found.append(template[begin:place])
            begin = place + 1
        if depth == 0:
            break
    if len(found) == 1 and (numbers := _RANGE.fullmatch(found[0])):
        first, last = map(int, numbers.groups())
        found = [str(number) for number in range(first, last + 1)]
    return found, begin
