"""Long captions, other layers and weighted words, against sd-scripts' cutting written out here, and diffusers."""

import pytest
import torch
from diffusers import StableDiffusionPipeline

from settings.errors import SettingsError
from tests import models
from tests.trainer.reading import events
from trainer import command
from trainer.base_model.models import find
from trainer.families.sd2 import Sd2
from trainer.families.sd15 import Sd15
from trainer.families.sdxl import Sdxl
from trainer.families.words import Reading
from trainer.loop import train
from trainer.plan import plan

FAMILIES = {"sd15": Sd15, "sd2": Sd2, "sdxl": Sdxl}
LENGTHS = (0, 10, 74, 75, 76, 149, 150, 151, 225, 300)


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    """One of each kind, in float64."""
    folder = getattr(models, f"tiny_{request.param}")(tmp_path_factory.mktemp("models") / request.param)
    found = FAMILIES[request.param]()
    for part in found.load(find(str(folder)), torch.float32).values():
        part.double()
    return found


@pytest.fixture
def family(loaded):
    loaded.reading = Reading()
    return loaded


def caption(tokens: int) -> str:
    """Of so many tokens, none like its neighbours."""
    return " ".join(("dog", "cat", "sks", "red")[number % 7 % 4] for number in range(tokens))


def readers(family):
    pipe = family._pipe
    both = [(pipe.tokenizer, pipe.text_encoder)]
    return both + ([(pipe.tokenizer_2, pipe.text_encoder_2)] if isinstance(family, Sdxl) else [])


def in_pieces(tokenizer, text: str, pieces: int) -> list[torch.Tensor]:
    """sd-scripts' rule: one row of all tokens, filled up, from which windows of 75 are cut; each gets the row's first
    and last number around it, and where the filling is not the end mark, the end mark where it is missing."""
    row = tokenizer(text, padding="max_length", truncation=True, max_length=75 * pieces + 2).input_ids
    found = []
    for start in range(1, 75 * pieces, 75):
        window = [row[0], *row[start : start + 75], row[-1]]
        if tokenizer.pad_token_id != tokenizer.eos_token_id:
            if window[-2] not in (tokenizer.eos_token_id, tokenizer.pad_token_id):
                window[-1] = tokenizer.eos_token_id
            if window[1] == tokenizer.pad_token_id:
                window[1] = tokenizer.eos_token_id
        found.append(torch.tensor([window]))
    return found


def expected(family, text: str, pieces: int) -> dict[str, torch.Tensor]:
    columns = []
    for tokenizer, encoder in readers(family):
        said = [encoder(window, output_hidden_states=True) for window in in_pieces(tokenizer, text, pieces)]
        states = [one.hidden_states[-2] if isinstance(family, Sdxl) else one.last_hidden_state for one in said]
        middle = [state[0, 1:76] for state in states]
        columns.append(torch.cat([states[0][0, :1], *middle, states[-1][0, -1:]]))
    words = {"words": torch.cat(columns, dim=-1)[None]}
    return words | ({"pooled": said[0].text_embeds} if isinstance(family, Sdxl) else {})


@pytest.mark.parametrize("pieces", [1, 2, 3])
@torch.no_grad()
def test_long_captions_are_read_piece_by_piece(family, pieces):
    family.reading = Reading(pieces)
    captions = [caption(tokens) for tokens in LENGTHS]
    together = family.encode_captions(captions)
    assert together["words"].shape[:2] == (len(LENGTHS), 75 * pieces + 2)
    for place, text in enumerate(captions):
        for name, tensor in expected(family, text, pieces).items():
            torch.testing.assert_close(together[name][place : place + 1], tensor, rtol=0, atol=1e-12)


@torch.no_grad()
def test_words_beyond_the_pieces_are_not_read(family):
    family.reading = Reading(2)
    inside, beyond, changed = (family.encode_captions([text])["words"] for text in (
        caption(150), caption(150) + " dog cat", caption(149) + " star"))
    assert torch.equal(inside, beyond) and not torch.equal(inside, changed)


@pytest.mark.parametrize("skip", [2, 3])
@torch.no_grad()
def test_clip_skip_is_that_of_diffusers(tiny, skip):
    family = Sd15()
    family.load(find(str(tiny)), torch.float32)
    family.reading = Reading(layer=skip)
    pipe = StableDiffusionPipeline.from_pretrained(tiny)
    pipe.text_encoder.__dict__["text_model"] = pipe.text_encoder  # as transformers had it before 5.6
    wanted, _ = pipe.encode_prompt("a red dog", "cpu", 1, False, clip_skip=skip - 1)  # it counts from 0
    torch.testing.assert_close(family.encode_captions(["a red dog"])["words"], wanted)
    family.reading = Reading()
    assert not torch.allclose(family.encode_captions(["a red dog"])["words"], wanted, atol=1e-2)


@pytest.mark.parametrize("pieces", [1, 2])
@torch.no_grad()
def test_a_weight_multiplies_what_is_said_of_its_words_alone(family, pieces):
    """The reference writes the weight of each token down by hand; the words before and behind are not touched."""
    family.reading = Reading(pieces)
    plain = family.encode_captions([f"red {caption(80)} cat dog star", "cat"])
    family.reading = Reading(pieces, weighted=True)
    weighted = family.encode_captions([f"red ({caption(80)}:1.5) [cat] (dog:0.2) star", "cat"])
    factors = [1.0, 1.0, *[1.5] * 80, 1 / 1.1, 0.2, 1.0]
    factors = torch.tensor((factors + [1.0] * 160)[: 75 * pieces + 1] + [1.0], dtype=torch.float64)
    torch.testing.assert_close(weighted["words"][0], plain["words"][0] * factors[:, None], rtol=1e-6, atol=0)
    assert torch.equal(weighted["words"][1], plain["words"][1])
    if "pooled" in plain:
        assert torch.equal(weighted["pooled"], plain["pooled"])


@torch.no_grad()
def test_brackets_behind_backslashes_are_words(family):
    plain = family.encode_captions(["dog (red)"])["words"]
    family.reading = Reading(weighted=True)
    assert torch.equal(family.encode_captions([r"dog \(red\)"])["words"], plain)
    assert not torch.equal(family.encode_captions(["dog (red)"])["words"], plain)


def test_another_reading_is_another_key_of_the_cache(family):
    marks = {Reading(pieces, layer, weighted).mark for pieces in (1, 2, 3) for layer in (1, 2) for weighted in (0, 1)}
    assert len(marks) == 12 and Reading().mark == "", "what was cached before these settings stays good"
    plain = family.tokenizer_id()
    family.reading = Reading(2)
    assert family.tokenizer_id() != plain


@pytest.mark.proves("captions.length", "captions.clip_skip", "captions.weighted")
def test_samples_are_read_as_captions_are(configure, monkeypatch):
    given = []
    draw = Sd15.draw

    def drawn(self, text, negative, how):
        given.append((self.reading, text["words"], negative["words"]))
        return draw(self, text, negative, how)

    monkeypatch.setattr(Sd15, "draw", drawn)
    job = command.create(configure(
        captions={"length": 150, "clip_skip": 2, "weighted": True},
        preview={"prompts": ["a (red:1.4) dog"], "steps": 1, "at_start": False},
    ))  # fmt: skip
    train(job.folder)
    (reading, text, negative), = given
    assert reading == Reading(2, 2, True) and text.shape == negative.shape == (1, 152, 32)
    assert len(events(job, "sample")) == 1


def test_what_a_model_can_not_do_is_refused_before_it_is_loaded(configure, tmp_path):
    def refused(family, **captions):
        base = str(getattr(models, f"tiny_{family}")(tmp_path / family)) if family != "sd15" else None
        model = {"family": family, "base": base} if base else {}
        with pytest.raises(SettingsError) as error:
            plan(configure(model=model, captions=captions))
        return error.value.problems

    assert refused("flux", length=150, weighted=True) == {
        "captions.length": "FLUX.1 reads captions at its own length: set it back to 75",
        "captions.weighted": "FLUX.1 can't weigh single words: switch it off",
    }
    for family in ("sd2", "sdxl"):
        assert "the same layer" in refused(family, clip_skip=2)["captions.clip_skip"]
    assert refused("sd15", clip_skip=3) == {"captions.clip_skip": "this model's text encoder has only 2 layers"}


def test_weights_of_several_tags_and_shuffling_are_warned_of(configure):
    assert "captions.weighted" in plan(configure(captions={"weighted": True, "shuffle": True})).warnings
    assert "captions.weighted" not in plan(configure(captions={"weighted": True})).warnings
