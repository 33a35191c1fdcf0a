"""New words: only their rows learn, and what is written is what A1111, ComfyUI and diffusers read."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs import requests
from jobs.folder import Job
from settings.errors import SettingsError, check, warnings
from tests import models
from tests.models import clip_tokenizer, header_of, tiny_clip_text_model
from tests.trainer.reading import equal, events, newest
from trainer import command
from trainer.base_model.models import find
from trainer.config import NewWord, TrainSettings
from trainer.families import families
from trainer.inversion import embedding_file, new_words
from trainer.loop import train
from trainer.lora.keys import LoraError
from trainer.plan import plan
from trainer.run import Run

WORD = {"word": "sks", "initialiser": "dog", "vectors": 2, "learning_rate": 1e-2}
ALONE = {"denoiser": {"train": False}}
PROMPT = "photo of a sks, red star"


def trained(config: TrainSettings) -> Job:
    job = command.create(config)
    train(job.folder)
    return job


@pytest.fixture
def watched(monkeypatch):
    """The runs that are trained, each with copies of all weights that it held before its first step."""
    found, step = [], Run.one_step

    def watching(run: Run):
        if run.step == 0:
            held = {f"{name}.{key}": weight.clone() for name, part in run.parts.items()
                    for key, weight in part.state_dict().items()}
            found.append((run, held))
        return step(run)

    monkeypatch.setattr(Run, "one_step", watching)
    return found


def taught(**other):
    """(tokenizer, text encoder, number of the first new token) of a tiny CLIP that has just been told of a word."""
    tokenizer = clip_tokenizer()
    encoder, word = tiny_clip_text_model(tokenizer), NewWord(**{"word": "sks", "vectors": 3} | other)
    rows = new_words.beginning(encoder, tokenizer, word, 0)
    first = new_words.extend(tokenizer, [word])
    encoder.set_input_embeddings(new_words.Table(encoder.get_input_embeddings(), first, {word.bare: rows}))
    return tokenizer, encoder, first


def numbers(tokenizer, caption: str) -> list[int]:
    return tokenizer(caption, padding="max_length", max_length=77, truncation=True).input_ids


def test_p17_only_the_new_rows_move_and_all_of_them_do(configure, watched):
    """With weight decay and momentum, which move rows of a table that have no gradient, and with checkpointing."""
    job = trained(configure(
        words={"new": [WORD]}, lora=ALONE, optimizer={"weight_decay": 0.5}, memory={"gradient_checkpointing": True}
    ))
    run, before = watched[0]
    after = {f"{name}.{key}": weight for name, part in run.parts.items() for key, weight in part.state_dict().items()}
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    (rows,) = moved
    assert rows.startswith("text_encoder.") and (before[rows] != after[rows]).all() and before.keys() == after.keys()
    assert after[rows].dtype == torch.float32 and after[rows].shape == (2, 32)
    learning = {name for part in run.parts.values() for name, weight in part.named_parameters() if weight.requires_grad}
    assert len(learning) == 1 and set(newest(job).adapters) == {"text_encoder.words.sks"}
    assert not list(job.folder.glob("*.safetensors")), "nothing but the word was learnt, so there is no LoRA"


@pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl", "flux"])
def test_diffusers_reads_the_file_and_the_prompt_as_we_do(configure, tmp_path, watched, name):
    import diffusers

    base = getattr(models, f"tiny_{name}")(tmp_path / name)
    model = {"family": name, "base": str(base)}
    job = trained(configure(
        model=model, words={"new": [WORD]}, lora=ALONE, save={"precision": "float32"}, run={"max_steps": 2}
    ))
    (file,) = (job.folder / "embeddings").iterdir()
    assert file.name == "tiny-sks.safetensors" and header_of(file)["__metadata__"]["modelspec.title"] == "sks"
    rows, family = load_file(file), watched[0][0].family
    assert rows.keys() == set(families()[name].embedding_keys.values())
    ours = family.encode_captions([PROMPT])
    pipe = getattr(diffusers, family.pipeline).from_pretrained(base, safety_checker=None)
    for part, key in family.embedding_keys.items():
        tokenizer = getattr(pipe, part.replace("text_encoder", "tokenizer"))
        one = str(file) if len(rows) == 1 else {"sks": rows[key]}
        pipe.load_textual_inversion(one, token="sks", tokenizer=tokenizer, text_encoder=getattr(pipe, part))
    theirs = theirs_of(pipe, name)
    for said in theirs:
        assert torch.allclose(ours[said], theirs[said], atol=1e-5), said
    unlearnt = family.encode_captions([PROMPT.replace("sks", "dog dog")])
    assert any(not torch.allclose(ours[said], unlearnt[said], atol=1e-4) for said in theirs), "it was learnt"


def theirs_of(pipe, name: str) -> dict[str, torch.Tensor]:
    """The prompt as a pipeline encodes it, under our names."""
    with torch.no_grad():
        if name == "sdxl":
            words, _, pooled, _ = pipe.encode_prompt(PROMPT, do_classifier_free_guidance=False)
            return {"words": words, "pooled": pooled}
        if name == "flux":
            return {"pooled": pipe._get_clip_prompt_embeds(PROMPT)}
        return {"words": pipe.encode_prompt(PROMPT, "cpu", 1, do_classifier_free_guidance=False)[0]}


@pytest.mark.proves("words.stop_at", "words.new.learning_rate")
def test_p12_pivotal_tuning_goes_on_to_the_bit_and_words_rest_in_the_end(configure, monkeypatch):
    """Four steps, of which the words learn in the first two; stopped after the first, and after the third."""
    words = {"new": [WORD, {"word": "<red>", "learning_rate": 2e-3}], "stop_at": 0.5}
    config = configure(words=words, run={"max_steps": 4, "batch_size": 2}, optimizer={"ema_decay": 0.9},
                       save={"every_steps": 2, "every_epochs": 0}, schedule={"name": "constant"})
    whole, parted = trained(config), command.create(config)
    step = Run.one_step

    def stopping(run: Run):
        said = step(run)
        if said["step"] in (1, 3):
            requests.ask(parted.folder, "stop")
        return said

    monkeypatch.setattr(Run, "one_step", stopping)
    for _ in range(3):
        train(parted.folder)
    one, two = newest(whole), newest(parted)
    assert parted.state() == "finished" and equal(one.adapters, two.adapters) and equal(one.optimizer, two.optimizer)
    assert equal(one.average, two.average) and "text_encoder.words.sks" in one.average
    rates = [event["lrs"] for event in events(whole, "step")]
    assert [rate["text_encoder sks"] for rate in rates] == [1e-2, 1e-2, 0, 0]
    assert [rate["text_encoder red"] for rate in rates] == [2e-3, 2e-3, 0, 0]
    then, now = (load_file(whole.folder / where / "embeddings" / f"{name}.safetensors")["emb_params"]
                 for where, name in (("checkpoints", "tiny-step00000002-sks"), ("", "tiny-sks")))
    assert equal(then, now) and equal(now, one.adapters["text_encoder.words.sks"].half())
    names = {path.name for path in (whole.folder / "embeddings").iterdir()}
    assert names == {f"tiny-{word}{kind}.safetensors" for word in ("sks", "red") for kind in ("", "-ema")}
    loras = [load_file(path) for path in (whole.checkpoints / "tiny-step00000002.safetensors",
                                          whole.folder / "tiny.safetensors")]
    assert not equal(*loras), "the LoRA learnt on"
    assert not any("words" in key or "emb" in key for key in loras[1])


@pytest.mark.proves("words.keep_norm")
def test_vectors_keep_the_usual_length_where_that_is_asked_for(configure, watched):
    options = {"lora": ALONE, "schedule": {"name": "constant"}, "optimizer": {"ema_decay": 0.5}}
    free, kept = (trained(configure(words={"new": [WORD | {"learning_rate": 0.1}], "keep_norm": on}, **options))
                  for on in (False, True))
    usual = watched[1][0].parts["text_encoder"].get_input_embeddings().old.weight.norm(dim=1).median()
    rows = [newest(job).adapters["text_encoder.words.sks"] for job in (free, kept)]
    assert rows[1].norm(dim=1).tolist() == pytest.approx([usual.item()] * 2, rel=1e-5)
    assert (rows[0].norm(dim=1) > 1.5 * usual).all() and not torch.equal(rows[1][0], rows[1][1])
    schedule_free = {"optimizer": {"name": "schedulefree_adamw"}, "words": {"new": [WORD], "keep_norm": True}}
    with pytest.raises(SettingsError, match="words.keep_norm"):
        check(TrainSettings, schedule_free)


@pytest.mark.proves("words.bundle")
@pytest.mark.parametrize("name, keys", [("sd15", ["string_to_param.*"]), ("sdxl", ["clip_g", "clip_l"])])
def test_one_file_holds_the_lora_and_its_words(configure, tmp_path, name, keys):
    base = getattr(models, f"tiny_{name}")(tmp_path / name)
    new = [WORD, {"word": "<red>", "initialiser": "red"}]
    job = trained(configure(model={"base": str(base), "family": name}, words={"new": new, "bundle": True},
                            run={"max_steps": 1}, save={"folder": str(tmp_path / "out")}))
    whole, lora = (load_file(tmp_path / "out" / f"tiny{kind}.safetensors") for kind in ("-bundled", ""))
    bundled = {key: whole.pop(key) for key in list(whole) if key.startswith("bundle_emb.")}
    assert equal(whole, lora) and not any("emb" in key for key in lora)
    assert sorted(bundled) == sorted(f"bundle_emb.{word}.{key}" for word in ("<red>", "sks") for key in keys)
    alone = load_file(job.folder / "embeddings" / "tiny-sks.safetensors")
    for key in keys:
        assert torch.equal(bundled[f"bundle_emb.sks.{key}"], alone[key if key in alone else "emb_params"])
    one, other = (header_of(tmp_path / "out" / f"tiny{kind}.safetensors")["__metadata__"] for kind in ("-bundled", ""))
    assert one.keys() == other.keys() and one["sshs_model_hash"] != other["sshs_model_hash"]
    told = dict(warnings(check(TrainSettings, {"words": {"bundle": True, "keep_norm": True}})))
    assert {"words.bundle", "words.keep_norm"} <= told.keys()


@pytest.mark.proves("words.new.start_from")
def test_a_word_goes_on_from_a_file_and_is_drawn_as_it_is_now(configure, tmp_path):
    rows = torch.randn(2, 32, generator=torch.Generator().manual_seed(1))
    save_file({"emb_params": rows}, tmp_path / "mine.safetensors")
    word = WORD | {"start_from": str(tmp_path / "mine.safetensors"), "learning_rate": 0.5}
    job = trained(configure(words={"new": [word]}, lora=ALONE, run={"max_steps": 1}, schedule={"name": "constant"},
                            optimizer={"weight_decay": 0.0}, preview={"prompts": ["sks", "dog"], "steps": 2}))
    moved = (newest(job).adapters["text_encoder.words.sks"] - rows).abs()
    assert torch.allclose(moved, torch.full_like(moved, 0.5), atol=0.05), "one step of Adam from where the file was"
    first, last = ([job.folder / event["path"] for event in events(job, "sample") if event["step"] == step]
                   for step in (0, 1))
    assert first[0].read_bytes() != last[0].read_bytes(), "the word means something else now"
    assert first[1].read_bytes() == last[1].read_bytes(), "and nothing else does"
    (tmp_path / "mine.safetensors").unlink()
    command.extend(job, 2)
    train(job.folder)
    assert job.last_event["steps"] == 2, "what is only needed at the start may be gone"


@pytest.mark.parametrize("tensors, why", [
    ({"emb_params": torch.zeros(3, 32)}, "3 vectors and the word is to have 2"),
    ({"emb_params": torch.zeros(2, 16)}, "vectors of 16 numbers"),
    ({"clip_l": torch.zeros(2, 32), "clip_g": torch.zeros(2, 32)}, "no emb_params"),
    ({"unet.weight": torch.zeros(2, 3, 4)}, "no embedding file"),
])
def test_a_file_that_does_not_fit_is_named(configure, tmp_path, tensors, why):
    save_file(tensors, tmp_path / "other.safetensors")
    word = WORD | {"start_from": str(tmp_path / "other.safetensors")}
    job = command.create(configure(words={"new": [word]}, lora=ALONE))
    with pytest.raises(SettingsError, match=why) as error:
        train(job.folder)
    assert list(error.value.problems) == ["words.new.0.start_from"]


def test_what_is_no_file_is_refused_before_and_files_are_written_whole(configure, tmp_path):
    with pytest.raises(SettingsError, match="there is no"):
        command.create(configure(words={"new": [WORD | {"start_from": str(tmp_path / "gone.safetensors")}]}))
    (tmp_path / "sks.pt").write_bytes(b"PK\x03\x04 a pickle")
    with pytest.raises(LoraError, match="no whole .safetensors"):
        embedding_file.load(tmp_path / "sks.pt", {"text_encoder": "emb_params"})
    path = tmp_path / "embeddings" / "a-sks.safetensors"
    with pytest.raises(LoraError, match="NaN or infinity"):
        embedding_file.save(path, {"emb_params": torch.full((1, 4), 1e6)}, {}, torch.float16)
    assert not path.exists()
    embedding_file.save(path, {"anything": torch.arange(4.0)}, {}, torch.bfloat16)
    found = embedding_file.load(path, {"text_encoder": "emb_params"})
    assert equal(found, {"text_encoder": torch.arange(4.0)[None]})


def test_checkpoints_of_words_are_kept_as_many_as_asked_for(configure):
    words = {"new": [WORD, {"word": "big-sks"}]}
    job = trained(configure(words=words, lora=ALONE, save={"every_steps": 1, "keep_last": 2}, run={"max_steps": 4}))
    names = sorted(path.name for path in (job.checkpoints / "embeddings").iterdir())
    assert names == [f"tiny-step0000000{step}-{word}.safetensors" for step in (2, 3) for word in ("big-sks", "sks")]
    assert job.last_event["lora"] == str(job.folder / "embeddings" / "tiny-big-sks.safetensors")
    assert [event["path"] for event in events(job, "checkpoint")][-1].startswith("checkpoints/embeddings/")


@pytest.mark.proves("words.new.word", "words.new.vectors")
def test_the_word_stands_for_its_vectors_wherever_it_is_whole():
    tokenizer, encoder, first = taught()
    own, plain = [first, first + 1, first + 2], clip_tokenizer()
    for caption in ("a dog", "tasks, sks_1 and sks-dog", "sksdog", ""):
        assert numbers(tokenizer, caption) == numbers(plain, caption), caption
    dog = plain("dog", add_special_tokens=False).input_ids
    for caption in ("SKS dog", "sks  dog", " sks dog"):
        assert tokenizer(caption, add_special_tokens=False).input_ids == [*own, *dog], caption
    comma = plain(",", add_special_tokens=False).input_ids
    assert tokenizer("sks,sks", add_special_tokens=False).input_ids == [*own, *comma, *own]
    assert tokenizer.backend_tokenizer.to_str() != plain.backend_tokenizer.to_str(), "kept captions have another key"
    spoken = torch.tensor([numbers(plain, "a dog")])
    assert torch.equal(encoder(spoken).last_hidden_state, untaught(encoder)(spoken).last_hidden_state)


def untaught(encoder):
    from copy import deepcopy

    plain = deepcopy(encoder)
    plain.set_input_embeddings(plain.get_input_embeddings().old)
    return plain


def test_where_the_caption_is_full_the_word_is_cut_and_the_end_stays():
    tokenizer, encoder, first = taught()
    for words, left in ((72, 3), (74, 1), (75, 0)):
        found = numbers(tokenizer, " ".join(["dog"] * words) + " sks")
        assert len(found) == 77 and found[-1] == tokenizer.eos_token_id
        assert [number for number in found if number >= first] == [first, first + 1, first + 2][:left]
        assert encoder(torch.tensor([found])).last_hidden_state.isfinite().all()


@pytest.mark.proves("words.new.initialiser", "words.new.vectors")
@pytest.mark.parametrize("said, vectors, shares", [
    ("dog", 1, [[0]]), ("dog", 3, [[0], [0], [0]]), ("dog cat", 1, [[0, 1]]), ("dog cat red", 2, [[0], [1, 2]]),
    ("dog cat", 4, [[0], [0], [1], [1]]), ("dog cat red", 3, [[0], [1], [2]]),
])
@pytest.mark.proves("words.new.initialiser")
def test_a_word_begins_as_its_initialiser(said, vectors, shares):
    tokenizer = clip_tokenizer()
    encoder = tiny_clip_text_model(tokenizer)
    tokens = encoder.get_input_embeddings().weight[tokenizer(said, add_special_tokens=False).input_ids]
    found = new_words.beginning(encoder, tokenizer, NewWord(word="x", initialiser=said, vectors=vectors), 0)
    assert torch.equal(found, torch.stack([tokens[share].mean(0) for share in shares]))
    itself = new_words.beginning(encoder, tokenizer, NewWord(word="star"), 0)
    assert torch.equal(itself, encoder.get_input_embeddings().weight[
        tokenizer("star", add_special_tokens=False).input_ids].mean(0, keepdim=True)), "without one, what it was"


def test_a_caption_is_summed_up_at_its_end_whatever_the_config_says():
    """The first CLIPs' configs say that 2 ends a caption, and then the largest number counts: a new token's."""
    tokenizer, encoder, _ = taught()
    encoder.eos_token_id = 2
    spoken = torch.tensor([numbers(tokenizer, "a sks dog")])
    end = spoken[0].tolist().index(tokenizer.eos_token_id)
    assert not torch.equal(encoder(spoken).pooler_output[0], encoder(spoken).last_hidden_state[0, end])
    new_words.read_to_the_end(encoder, tokenizer)
    assert torch.equal(encoder(spoken).pooler_output[0], encoder(spoken).last_hidden_state[0, end])


def test_sd3_teaches_both_clips_and_not_t5(configure, tmp_path):
    model = {"family": "sd3", "base": str(models.tiny_sd3(tmp_path / "sd3"))}
    config = configure(model=model, words={"new": [WORD]}, lora=ALONE, run={"max_steps": 1})
    assert "T5" in plan(config).warnings["words.new"]
    family = families()["sd3"]()
    parts = family.load(find(model["base"]), torch.float32)
    t5 = family._pipe.tokenizer_3(PROMPT).input_ids
    groups = new_words.attach(config, family, parts)
    assert [group["name"] for group in groups] == ["text_encoder sks", "text_encoder_2 sks"]
    said = family.encode_captions([PROMPT])
    said["words"].sum().backward()
    assert all(group["params"][0].grad.any() for group in groups)
    assert family._pipe.tokenizer_3(PROMPT).input_ids == t5


def test_what_can_not_be_is_said_before(configure, tmp_path):
    def problems(**sections) -> dict[str, str]:
        with pytest.raises(SettingsError) as error:
            plan(configure(**sections))
        return error.value.problems

    assert "nothing would be trained" in problems(lora=ALONE)["lora.denoiser.train"]
    assert "one word" in problems(words={"new": ["two words"]})["words.new.0.word"]
    assert "two of sks" in problems(words={"new": ["sks", "<SKS>"]})["words.new.1.word"]
    assert "set it to 1" in problems(words={"new": ["sks"], "stop_at": 0.5}, lora=ALONE)["words.stop_at"]
    prodigy = {"optimizer": {"name": "prodigy"}, "lora": {"denoiser": {"learning_rate": 1.0}}}
    assert "set 1 here too" in problems(words={"new": ["sks"]}, **prodigy)["words.new.0.learning_rate"]
    chroma = {"family": "chroma", "base": str(models.tiny_chroma(tmp_path / "chroma"))}
    assert "without CLIP" in problems(words={"new": ["sks"]}, model=chroma)["words.new"]
    said = plan(configure(words={"new": ["sks", "cat"]})).warnings
    assert "stands in no caption" in said["words.new.1.word"] and "words.new.0.word" not in said
    assert "no effect" in said["memory.cache_captions"]
    prior = {"kind": "model", "class_prompt": "a dog"}
    assert "no effect" in plan(configure(words={"new": ["sks"]}, lora=ALONE, prior=prior)).warnings["prior.kind"]
    whole = problems(words={"new": ["sks"]}, lora=ALONE, full={"train": True}, accelerate={"mixed_precision": "no"})
    assert "beside a LoRA" in whole["words.new"]
    assert "no effect" in warnings(check(TrainSettings, {"words": {"stop_at": 0.5}}))["words.stop_at"]
    assert not configure(words={"new": ["sks"]}).captions_can_be_cached


def test_every_encoder_that_can_learn_has_a_name_in_the_files_of_new_words():
    for family in families().values():
        assert set(family.embedding_keys) == set(family.text_encoders), family.name
