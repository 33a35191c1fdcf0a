"""The published sizes of the transformers, built without memory, and how many of their layers learn."""

import re

import pytest
import torch

from trainer.families import families
from trainer.lora import inject
from trainer.lora.layers import known

# (family, millions of weights, class, arguments that differ from its defaults)
PUBLISHED = {
    "sd3.5 medium": ("sd3", 2243, "SD3Transformer2DModel", {
        "sample_size": 128, "num_layers": 24, "num_attention_heads": 24, "dual_attention_layers": tuple(range(13)),
        "qk_norm": "rms_norm", "pos_embed_max_size": 384, "caption_projection_dim": 1536}),
    "sd3.5 large": ("sd3", 8057, "SD3Transformer2DModel", {
        "sample_size": 128, "num_layers": 38, "num_attention_heads": 38, "qk_norm": "rms_norm",
        "pos_embed_max_size": 192, "caption_projection_dim": 2432}),
    "flux": ("flux", 11901, "FluxTransformer2DModel", {"guidance_embeds": True}),
    "chroma": ("chroma", 8900, "ChromaTransformer2DModel", {}),
    "z-image": ("z_image", 6155, "ZImageTransformer2DModel", {}),
    "qwen-image": ("qwen_image", 20430, "QwenImageTransformer2DModel", {}),
    "klein 9B": ("flux2_klein", 9079, "Flux2Transformer2DModel", {
        "num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288,
        "guidance_embeds": False}),
    "klein 4B": ("flux2_klein", 3876, "Flux2Transformer2DModel", {
        "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680,
        "guidance_embeds": False}),
    "lumina 2": ("lumina2", 2610, "Lumina2Transformer2DModel", {"cap_feat_dim": 2304}),
    "sana 1.6B": ("sana", 1604, "SanaTransformer2DModel", {}),
}
JOINT, SINGLE = 8, 3  # layers of attention in a block
LEARNING = {  # (attention, attention+ff, all): counted by hand from the blocks
    # The last block of SD 3 says nothing more about words, so it has no way out for them.
    "sd3.5 large": (38 * JOINT - 1, 38 * (JOINT + 4) - 3, 38 * (JOINT + 6) - 3),
    "flux": (19 * JOINT + 38 * SINGLE, 19 * 12 + 38 * 5, 19 * 14 + 38 * 6),
    "chroma": (19 * JOINT + 38 * SINGLE, 19 * 12 + 38 * 5, 19 * 12 + 38 * 5 + 2 + 5 * 2),
    "z-image": (34 * 4, 34 * 7, 34 * 7 + 32),  # 30 blocks and 2 + 2 refiners, 2 of which know no timestep
    "qwen-image": (60 * 4, 60 * 12, 60 * 14),
    "klein 9B": (8 * JOINT + 24 * 2, 8 * 12 + 24 * 2, 8 * 12 + 24 * 2 + 3),
    "klein 4B": (5 * JOINT + 20 * 2, 5 * 12 + 20 * 2, 5 * 12 + 20 * 2 + 3),
    "lumina 2": (30 * 4, 30 * 7, 30 * 7 + 28),  # 26 blocks and 2 + 2 refiners
    "sana 1.6B": (20 * 8, 20 * 10, 20 * 10 + 1),
}


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request):
    import diffusers

    family, millions, kind, different = PUBLISHED[request.param]
    with torch.device("meta"):
        return request.param, families()[family], millions, getattr(diffusers, kind)(**different)


def test_the_full_size_is_the_published_one(published):
    _, _, millions, transformer = published
    found = sum(weight.numel() for weight in transformer.parameters()) / 1e6
    assert round(found) == pytest.approx(millions, rel=0.002)


def test_as_many_layers_learn_as_there_are_in_its_blocks(published):
    name, family, _, transformer = published
    if name not in LEARNING:
        pytest.skip("as its larger kin")
    paths = [path.removeprefix("denoiser.") for path in inject.learnable({"denoiser": transformer})]
    counts = [sum(bool(re.fullmatch(family.layers[choice], path)) for path in paths)
              for choice in ("attention", "attention+ff", "all")]
    assert tuple(counts) == LEARNING[name]


def test_its_layers_are_in_the_familys_table(published):
    """docs/make_layers.py writes it. Of several sizes the last says the shapes."""
    name, family, _, transformer = published
    found, table = inject.shapes(transformer), known(family.name)
    last = [size for size, (kind, *_) in PUBLISHED.items() if kind == family.name][-1] == name
    assert found.items() <= table.items() if last else found.keys() <= table.keys(), "run docs/make_layers.py"


def test_its_footprint_counts_what_learns(published):
    """Millions of weights at rank 1: each layer's inputs and outputs."""
    from trainer.base_model.models import BaseModel

    _, family, _, transformer = published
    model = BaseModel("model", "folder", family.pipeline, {"transformer": dict(transformer.config)})
    found = family.footprint_of(model)
    sides = {path.removeprefix("denoiser."): layer.weight.shape[0] + layer.weight[0].numel()
             for path, layer in inject.learnable({"denoiser": transformer}).items()}
    for choice, millions in found.learnt.items():
        counted = sum(size for path, size in sides.items() if re.fullmatch(family.layers[choice], path))
        assert counted / 1e6 == pytest.approx(millions, abs=0.001)
    assert set(found.learnt) == set(family.layers) and found.readers


def test_its_footprint_counts_its_weights(published):
    """GB of the frozen parts in 16 bit: the transformer, and at most 1 GB for the VAE beside it."""
    from trainer.base_model.models import BaseModel

    _, family, _, transformer = published
    model = BaseModel("model", "folder", family.pipeline, {"transformer": dict(transformer.config)})
    weights = sum(weight.numel() for weight in transformer.parameters()) * 2 / 1e9
    assert weights - 0.2 <= family.footprint_of(model).weights <= weights + 1
