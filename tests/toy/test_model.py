"""The committed toy base: small, loads as any Stable Diffusion 1.x folder does, and draws what it is told."""

import json

import pytest
import torch

from toy.check import MODEL_FOLDER, PROMPTS, generate, judge, load, prompts
from toy.draw import COLOURS, THINGS, Scene
from toy.measure import see
from toy.score import character_score


@pytest.fixture(scope="module")
def pipe():
    return load(MODEL_FOLDER)


def test_the_folder_is_small_and_holds_only_safe_half_precision_weights():
    files = [path for path in MODEL_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 20e6
    assert {path.suffix for path in files} <= {".json", ".safetensors", ".md"}


def test_it_has_the_parts_and_the_schedule_of_sd1(pipe):
    assert type(pipe.tokenizer).__name__ == "CLIPTokenizer"
    assert pipe.tokenizer.model_max_length == pipe.text_encoder.config.max_position_embeddings
    assert pipe.unet.config.cross_attention_dim == pipe.text_encoder.config.hidden_size
    assert pipe.unet.config.in_channels == pipe.vae.config.latent_channels == 4
    schedule = pipe.scheduler.config
    assert (schedule.prediction_type, schedule.beta_schedule) == ("epsilon", "scaled_linear")
    assert pipe.text_encoder.config.eos_token_id == pipe.tokenizer.eos_token_id
    assert pipe.safety_checker is None


def test_latents_have_unit_width(pipe):
    import numpy as np

    from toy.draw import draw

    images = torch.stack([torch.from_numpy(np.array(draw(4, i)[0])).permute(2, 0, 1) / 127.5 - 1 for i in range(32)])
    with torch.no_grad():
        latents = pipe.vae.encode(images).latent_dist.sample(torch.Generator().manual_seed(0))
        decoded = pipe.vae.decode(latents).sample
    assert 0.85 < float((latents * pipe.vae.config.scaling_factor).std()) < 1.15
    assert float((decoded - images).abs().mean()) < 0.04


def test_it_draws_what_the_prompt_says(pipe):
    scenes = [
        Scene("star", "red", "blue"), Scene("ball", "yellow", "green"), Scene("heart", "pink", "black"),
        Scene("house", "orange", "white"), Scene("fish", "blue", "yellow"), Scene("ring", "purple", "white"),
    ]  # fmt: skip
    images = generate(pipe, [scene.caption for scene in scenes], steps=15)
    shares = judge(scenes, [see(image) for image in images])
    assert shares["ground"] >= 5 / 6 and shares["colour"] >= 4 / 6 and shares["thing"] >= 4 / 6, shares
    assert character_score(images) < 0.1


def test_a_prompt_too_long_is_cut_not_refused(pipe):
    assert generate(pipe, ["a red star on a blue background, " * 20], steps=2)[0].size == (64, 64)


def test_the_fixed_prompts_cover_the_world():
    scenes = prompts()
    assert len(set(scenes)) == len(scenes) == PROMPTS and scenes == prompts()
    assert {s.thing for s in scenes} == set(THINGS) and {s.colour for s in scenes} == set(COLOURS)
    assert all(s.colour != s.ground and not s.second for s in scenes)


def test_judging_counts_each_attribute_and_all_together():
    scenes = [Scene("star", "red", "blue"), Scene("ball", "red", "blue")]
    from toy.measure import Seen

    shares = judge(scenes, [Seen("blue", "red", "star"), Seen("blue", "green", "ball")])
    assert shares == {"ground": 1.0, "colour": 0.5, "thing": 1.0, "all": 0.5}


def test_the_model_card_tells_the_measured_score():
    result = json.loads((MODEL_FOLDER / "check.json").read_text(encoding="utf-8"))
    card = (MODEL_FOLDER / "README.md").read_text(encoding="utf-8")
    assert result["prompts"] == PROMPTS and result["all"] >= 0.9
    for name in ("ground", "colour", "thing", "all"):
        assert f"{result[name]:.1%}" in card, name
