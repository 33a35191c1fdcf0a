"""How the toy base is trained: tokenizer, optimiser, latents, and that a stopped training goes on exactly."""

import numpy as np
import pytest
import torch
from torch import nn

from toy.draw import COLOURS, THINGS, Scene, draw
from toy.make import Training, make_latents, new_unet, new_vae, normalise, run_stage, vary_caption
from toy.muon import Muon, orthogonal
from toy.tokens import MAX_LENGTH, build_tokenizer, learn_merges


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def test_a_caption_takes_one_token_a_word(tokenizer):
    for scene in (Scene("star", "orange", "blue"), Scene("flower", "turquoise", "grey", "white", "band")):
        assert len(tokenizer(scene.caption).input_ids) == len(scene.caption.split()) + 2
    assert len(tokenizer("sks creature").input_ids) == 4
    ids = [tokenizer(word).input_ids[1] for word in (*THINGS, *COLOURS, "sks")]
    assert len(set(ids)) == len(ids)


def test_other_words_are_spelt_out_and_come_back(tokenizer):
    ids = tokenizer("Zwölf xylophones, 猫").input_ids
    assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == "zwölfxylophones,猫"


def test_long_prompts_are_cut_to_the_length_the_text_encoder_has(tokenizer):
    ids = tokenizer("a red star " * 40, padding="max_length", truncation=True).input_ids
    assert len(ids) == MAX_LENGTH == tokenizer.model_max_length
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_merges_join_the_commonest_pair_first():
    assert learn_merges(["ab", "ab", "cb"])[0] == ("a", "b</w>")


def test_orthogonal_brings_singular_values_near_one():
    for shape in ((20, 90), (90, 20)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=torch.Generator().manual_seed(1))))
        assert 0.5 < values.min() and values.max() < 1.4


def test_muon_learns_matrices_biases_and_embeddings():
    torch.manual_seed(0)
    module = nn.ModuleDict({"words": nn.Embedding(8, 6), "line": nn.Linear(6, 4)})
    target = torch.randn(8, 4)
    optimizer = Muon(module, lr=0.02)
    for _ in range(300):
        loss = (module["line"](module["words"](torch.arange(8))) - target).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.02


def test_stopping_and_continuing_changes_nothing(tmp_path):
    def training(path, steps):
        torch.manual_seed(3)
        module = nn.ModuleDict({"net": nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))})

        def loss(step):
            x = torch.randn(16, 3, generator=torch.Generator().manual_seed(step))
            return (module["net"](x) - x.sum(1, keepdim=True)).square().mean()

        return Training(path, module, loss, steps, rate=0.01, batch=16)

    whole = training(tmp_path / "whole.pt", 12)
    whole.run()
    broken = training(tmp_path / "broken.pt", 12)
    for _ in range(5):
        broken._one_step()
    broken.save()
    continued = training(tmp_path / "broken.pt", 12)
    assert continued.step == 5
    continued.run()
    for name, value in whole.modules.state_dict().items():
        assert torch.equal(value, continued.modules.state_dict()[name])
        assert torch.equal(whole.average[name], continued.average[name])


def test_normalising_the_latents_keeps_what_is_decoded():
    torch.manual_seed(0)
    vae = new_vae().eval()
    images = torch.stack([torch.from_numpy(np.array(draw(1, i)[0])).permute(2, 0, 1) / 127.5 - 1 for i in range(12)])
    with torch.no_grad():
        before = vae.encode(images).latent_dist
        decoded = vae.decode(before.mean).sample
        normalise(vae, before.mean)
        after = vae.encode(images).latent_dist
        assert torch.allclose(vae.decode(after.mean).sample, decoded, atol=2e-3)
    flat = (after.mean * vae.config.scaling_factor).permute(1, 0, 2, 3).flatten(1)
    assert torch.allclose(torch.cov(flat), torch.eye(4), atol=0.02) and flat.mean(1).abs().max() < 0.01
    assert torch.allclose(after.std, before.std)


def test_captions_are_left_empty_one_time_in_ten():
    caption = "a red star on a blue background"
    kinds = [vary_caption(caption, chance / 1000) for chance in range(1000)]
    assert kinds.count("") == 100
    assert set(kinds) == {"", caption, "a red star", "red star, blue background"}


def test_every_stage_runs_and_the_unet_fits_the_latents(tmp_path, monkeypatch):
    import argparse

    from toy import make

    monkeypatch.setattr(make, "PICTURES", 24)
    monkeypatch.setattr(make, "JUMBLES", 8)
    options = argparse.Namespace(work=tmp_path, steps=1, out=tmp_path / "model", processes=1)
    for stage in make.STAGES:
        run_stage(stage, options)
    stored = torch.load(tmp_path / "latents.pt", weights_only=True)
    assert stored["latents"].shape == (24, new_unet().config.in_channels, 16, 16)
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "unet", "vae", "text_encoder", "tokenizer", "scheduler", "model_index.json"
    }  # fmt: skip
    make_latents(tmp_path)  # done already: keeps what is there
    again = torch.load(tmp_path / "latents.pt", weights_only=True)
    assert torch.equal(again["latents"], stored["latents"])
