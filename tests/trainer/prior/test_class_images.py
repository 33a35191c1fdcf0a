"""Class images: drawn by the base model before a run, the same ones each time, and never again when they are there."""

import json
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from dataset.scan import scan
from jobs import requests
from jobs.folder import Job
from settings.errors import SettingsError
from tests.models import tiny_sd15
from tests.trainer.conftest import draw
from tests.trainer.reading import events, losses
from trainer import command, preflight
from trainer.base_model.models import find
from trainer.batches import Batches
from trainer.failures import moment_of
from trainer.families.sd15 import Sd15
from trainer.loop import train
from trainer.needs import memory
from trainer.needs.remedies import remedies
from trainer.plan import plan
from trainer.prior.class_images import MANIFEST, ClassImages, with_class_images

WANTED = {"kind": "images", "class_prompt": "a dog", "images": 4, "steps": 2}


@pytest.fixture
def few(configure, pictures):
    """few(images=3, ...) -> settings over two pictures, shown twice each, with other wishes for class images."""
    for path in sorted(pictures.glob("*.png"))[2:]:
        path.unlink()

    def build(sections=None, **prior):
        sections = {"dataset": {"folders": [{"path": str(pictures), "repeats": 2}]}} | (sections or {})
        return configure(prior=WANTED | prior, **sections)

    return build


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """The seeds of what is drawn."""
    found, real = [], Sd15.draw
    monkeypatch.setattr(Sd15, "draw", lambda self, *given: (found.append(given[2].seed), real(self, *given))[1])
    return found


def run(config) -> Job:
    job = command.create(config)
    train(job.folder)
    return job


def contents(config) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(ClassImages(config).folder.glob("*.png"))}


@pytest.mark.proves("prior.images", "prior.seed")
def test_they_are_drawn_once_kept_and_topped_up(few, drawn):
    config = few(seed=7)
    assert plan(config).to_draw == 4
    first = run(config)
    made, folder = contents(config), ClassImages(config).folder
    assert drawn == [7, 8, 9, 10] and list(made) == [f"{number:05d}.png" for number in range(4)]
    assert len(set(made.values())) == 4, "each has a seed of its own"
    assert Image.open(folder / "00000.png").size == (32, 32)
    assert "Seed: 7" in Image.open(folder / "00000.png").info["parameters"]
    assert json.loads((folder / MANIFEST).read_text())["prompt"] == "a dog"
    phases = [(event["done"], event["total"]) for event in events(first, "phase") if "class" in event["name"]]
    assert phases[0] == (0, 4) and phases[-1] == (4, 4)
    assert losses(run(config)) == losses(first) and drawn == [7, 8, 9, 10], "nothing is drawn again"
    (folder / "00002.png").unlink()
    assert plan(config).to_draw == 1
    assert losses(run(config)) == losses(first) and contents(config) == made, "what was lost is the same again"
    more = few(seed=7, images=3)
    assert ClassImages(more).folder == folder and plan(more).to_draw == 0
    assert not list(folder.glob(".*"))


def test_a_run_that_was_stopped_or_killed_goes_on(few, monkeypatch):
    config, job = few(), command.create(few())
    real, calls = Sd15.decode, []

    def killed(self, latents):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, latents)

    monkeypatch.setattr(Sd15, "decode", killed)
    with pytest.raises(KeyboardInterrupt):
        train(job.folder)
    assert list(contents(config)) == ["00000.png", "00001.png"]
    requests.ask(job.folder, "pause")
    train(job.folder)
    assert job.state() == "paused" and len(calls) == 3, "it gives way before the next"
    train(job.folder)
    assert job.state() == "finished" and len(contents(config)) == 4
    whole = contents(config)
    for path in ClassImages(config).folder.glob("*.png"):
        path.unlink()
    run(config)
    assert contents(config) == whole, "an interrupted drawing changes nothing"


@pytest.mark.proves(
    "prior.class_prompt", "prior.negative_prompt", "prior.steps", "prior.guidance", "prior.sampler", "prior.seed"
)
def test_each_of_these_draws_another_picture(few, tiny):
    """By a model with weights that mean nothing, but not the same nothing."""
    from accelerate import PartialState

    from trainer.prior.class_drawing import draw_class_images

    report = SimpleNamespace(phase=print, class_images=print, wish=str)
    family, place = Sd15(), PartialState(cpu=True)
    parts = family.load(find(str(tiny)), torch.float32)
    found = []
    changes = {}, {"class_prompt": "a cat"}, {"negative_prompt": "red"}, {"steps": 3}, {"guidance": 2.0}, {"seed": 9}
    for change in (*changes, {"sampler": "euler_a"}):
        config = few(**{"images": 1} | change)
        draw_class_images(config, family, parts, ClassImages(config).items(), place, report)
        found.append(ClassImages(config).path(0).read_bytes())
    assert len(set(found)) == len(found) == 7


def test_others_are_drawn_into_another_folder(few, tmp_path, tiny):
    config = few()
    other = tiny_sd15(tmp_path / "other", seed=3)
    kinds = [
        few(class_prompt="a cat"), few(seed=2), few(steps=3), few(sampler="euler"),
        few(guidance=3.0), few(negative_prompt="red"),
        few({"dataset": {"resolution": 40}}), few({"model": {"base": str(other)}}), few({"captions": {"clip_skip": 2}}),
    ]  # fmt: skip
    folders = {ClassImages(one).folder for one in [config, *kinds]}
    assert len(folders) == 10
    same = tiny_sd15(tmp_path / "elsewhere" / "tiny")
    assert ClassImages(few({"model": {"base": str(same)}})).folder == ClassImages(config).folder, "wherever it lies"


def test_a_folder_that_holds_others_is_not_touched(few):
    images = ClassImages(few())
    images.folder.mkdir(parents=True)
    (images.folder / MANIFEST).write_text(json.dumps(images.manifest | {"prompt": "a cat"}))
    with pytest.raises(SettingsError, match="move it away"):
        run(few())
    assert [path.name for path in images.folder.iterdir()] == [MANIFEST]


def test_they_count_as_regularisation_folders_do(few, tmp_path):
    """The plan knows them before they exist, and is the plan of the same pictures in a regularisation folder."""
    config = few()
    before = plan(config)
    assert (before.regularisation, before.regularisation_repeated, before.steps_per_epoch) == (4, 4, 8)
    assert ("Class images", "4, 4 to be drawn first") in before.table and "+ 4 regularisation" in before.sentence
    reg = draw(tmp_path / "reg", [(32, 32)] * 4, caption=False)
    folders = [*config.dataset.model_dump()["folders"], {"path": str(reg), "regularisation": True}]
    asked = plan(few({"dataset": {"folders": folders}}, kind="off"))
    assert (asked.buckets, asked.total_steps, asked.saves) == (before.buckets, before.total_steps, before.saves)
    data = with_class_images(config, scan(config.dataset.folders))
    assert [item.caption for item in data.regularisation] == ["a dog"] * 4
    job = run(config)
    notes = json.loads(_metadata(job)["ss_reg_dataset_dirs"])
    assert notes == {ClassImages(config).folder.name: {"n_repeats": 1, "img_count": 4}}
    assert _metadata(job)["ss_num_reg_images"] == "4"


def _metadata(job: Job) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(job.folder / "tiny.safetensors", "pt") as file:
        return file.metadata()


def test_no_more_are_drawn_than_a_run_has_use_for(few, drawn):
    config = few(images=50)
    assert plan(config).class_images == 4
    run(config)
    assert len(drawn) == 4
    assert plan(few(weight=0)).class_images == 0, "with a weight of 0 they would teach nothing"


def test_they_are_shown_with_their_prompt_and_weight(few):
    """P6: never with the words that call up the subject, whatever is done to captions."""
    config = few({"captions": {"prefix": "sks,", "shuffle": True, "wildcards": True}}, weight=0.5)
    data = with_class_images(config, scan(config.dataset.folders))
    from dataset.turns import lay_out

    batches = Batches(config, plan(config), lay_out(config.dataset, data.items), data.items)
    shown = [sample for step in range(8) for batch in batches.of_step(step) for sample in batch]
    said = {(sample.item.drawn, sample.weight, "sks" in sample.caption) for sample in shown}
    assert said == {(True, 0.5, False), (False, 1.0, True)}
    assert {sample.caption for sample in shown if sample.item.drawn} == {"a dog"} <= batches.wordings
    assert batches.seen, "told before they are drawn"


def test_too_little_memory_while_drawing_is_told_as_such(few, monkeypatch):
    def full(self, latents):
        raise MemoryError

    monkeypatch.setattr(Sd15, "decode", full)
    with pytest.raises(MemoryError) as failed:
        run(few())
    assert moment_of(failed.value) == "class images"
    helps = [remedy.settings for remedy in remedies(few(), lacking=100.0, moment="class images")]
    assert {"prior.kind": "model"} in helps


def test_the_plan_has_room_for_drawing_them(few):
    config = few({"model": {"base": "stable-diffusion-v1-5/stable-diffusion-v1-5"}})
    assert memory.moments(config)["class images"].total > 2


def test_a_check_draws_only_what_it_shows(few):
    assert preflight.shortened(few(images=40)).prior.images == preflight.STEPS
