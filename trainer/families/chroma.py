"""Chroma (lodestones), which grew out of FLUX.1 schnell: T5 alone reads the caption, and what fills it up is masked.

It has no CLIP and no guidance as a number, and one small network tells all its blocks of the timestep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.families.base import Footprint
from trainer.families.flow import RowFamily, masked_tokens, places, trimmed
from trainer.lora import keys, targets

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainer.base_model.models import BaseModel

LONGEST = 512  # tokens of T5

_TIMESTEP = r"distilled_guidance_layer\.(in_proj|out_proj|layers\.\d+\.linear_[12])"


class Chroma(RowFamily):
    name = "chroma"
    label = "Chroma"
    order = 60
    resolution = 1024
    base_version = "chroma"
    architecture = "chroma"
    naming = keys.FLUX  # diffusers loads its LoRAs as those of FLUX, with alphas
    widths = {r"denoiser\.(single_)?transformer_blocks\.\d+\.attn\.to_[qkv]": frozenset({3072})}
    layers = targets.FLUX | {"all": rf"({targets.FLUX['attention+ff']}|{_TIMESTEP})"}
    footprint = Footprint(
        weights=17.8,
        activations=37.92,
        checkpointed=2.46,
        readers={"text_encoder": 9.52},
        learnt={"attention": 1.634, "attention+ff": 4.086, "all": 4.202},
    )
    encoders = {"text_encoder": ("t5xxl", "T5EncoderModel")}
    pipeline = "ChromaPipeline"
    guidance = 4.0
    transformer = "ChromaTransformer2DModel"
    left_out = {"image_encoder": None, "feature_extractor": None}
    marks = ("double_blocks.0.img_attn.qkv.weight", "distilled_guidance_layer.in_proj.weight")

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        return cls.footprint if cls.said(model, "num_layers", 19) == 19 else None

    def load(self, model: BaseModel, dtype: torch.dtype, vae: str = "") -> dict[str, nn.Module]:
        parts = super().load(model, dtype, vae)
        transformer = self._pipe.transformer
        for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
            block.attn.register_forward_pre_hook(hidden_words_see_too, with_kwargs=True)
        return parts

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        """The mask lets one token more through than the caption has: the model was trained with it."""
        import torch

        pipe = self._pipe
        cut = masked_tokens(pipe.tokenizer, captions, LONGEST, pipe.text_encoder)
        with torch.no_grad():
            words = pipe.text_encoder(**cut)[0]
        lengths = cut["attention_mask"].sum(1, keepdim=True)
        return {"words": words, "mask": torch.arange(LONGEST, device=words.device) <= lengths}

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        import torch

        _, _, height, width = noisy.shape
        words, mask = trimmed(text["words"], text["mask"])
        row = self._packed(noisy)
        # Seen by all where all captions are as long: without a mask attention is faster.
        self._mask = None if mask.all() else torch.cat([mask, mask.new_ones(row.shape[:2])], dim=1)
        found = self._pipe.transformer(
            hidden_states=row,
            timestep=timesteps,
            encoder_hidden_states=words,
            txt_ids=torch.zeros(words.shape[1], 3, device=noisy.device),
            img_ids=places(height // 2, width // 2).to(noisy.device),
            attention_mask=self._mask,
        ).sample
        return self._unpacked(found, tuple(noisy.shape))

    def checkpoint_gradients(self) -> None:
        """diffusers 0.42 forgets the mask of the single blocks when it checkpoints them."""
        from torch.utils.checkpoint import checkpoint

        single = set(self._pipe.transformer.single_transformer_blocks)

        def computed_again(block: nn.Module, *given: Any) -> Any:
            masks = (self._mask,) if block in single else ()
            return checkpoint(block.__call__, *given, *masks, use_reentrant=False)

        self._pipe.transformer.enable_gradient_checkpointing(computed_again)


def hidden_words_see_too(_: nn.Module, given: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """What is masked is seen by none, but may see the others: the blocks mask it both ways, and a row that sees nothing
    comes out as no numbers on some devices. bool [B, 1, n, n] -> [B, 1, 1, n]."""
    mask = named.get("attention_mask")
    return given, named if mask is None else named | {"attention_mask": mask.any(-2, keepdim=True)}
