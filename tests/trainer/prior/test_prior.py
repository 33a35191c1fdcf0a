"""Prior preservation without pictures: the LoRA leaves the model's answer to other captions as it was."""

import pytest
import torch

from settings.errors import SettingsError, check, warnings
from settings.toml import loads
from tests.models import tiny_sdxl
from tests.trainer.conftest import draw
from tests.trainer.reading import losses, newest
from trainer import command
from trainer.base_model.models import find
from trainer.beginning import attach
from trainer.config import TrainSettings
from trainer.families.sd15 import Sd15
from trainer.loop import begin, train
from trainer.lora.kinds import LAYERS
from trainer.plan import plan
from trainer.prior import asked as prior
from trainer.prior.preserving import Noised, asleep, encoded
from trainer.report import Report
from trainer.run import Run

DOG = {"kind": "model", "class_prompt": "a dog"}
WORD = {"kind": "class_word", "class_word": "cat", "trigger": "sks"}


def run(config):
    job = command.create(config)
    train(job.folder)
    return job


@pytest.fixture
def start(tmp_path):
    """start(config) -> a run before its first step."""
    from accelerate import PartialState

    from dataset.scan import scan

    def begun(config) -> Run:
        job = command.create(config)
        dataset = scan(config.dataset.folders)
        planned, place = plan(config, dataset), PartialState(cpu=True)
        return begin(job.folder, config, dataset, planned, place, Report(job, config, planned, place))[0]

    return begun


def shares(run: Run, turn: int = 0) -> list[float]:
    return [part.item() for part in run.losses(run.batches.of_step(run.step)[turn], turn)]


def unsettle(run: Run, by: float = 0.3) -> None:
    """As if something had been learnt."""
    random = torch.Generator().manual_seed(0)
    for weight in run.parameters:
        with torch.no_grad():
            weight.add_(by * torch.randn(weight.shape, generator=random))


@pytest.mark.proves("prior.class_prompt", "prior.class_word", "prior.trigger")
@pytest.mark.proves("prior.class_word", "prior.trigger", "prior.class_prompt")
def test_the_words_that_are_asked_with(configure):
    ask = prior.asked(configure(prior=WORD | {"trigger": "sks, sks dog"}))
    assert ask("sks, a tasks SKS dog (sks)") == "cat, a tasks cat (cat)"
    assert ask("a dog") is None and ask("") is None
    assert prior.asked(configure(prior=DOG))("anything") == "a dog"
    assert prior.asked(configure())("sks") is None
    own = configure(prior=WORD | {"trigger": ""}, metadata={"trigger": "sks"})
    assert prior.all_asked(own, {"sks, one", "two"}) == {"cat, one"}


def test_what_is_missing_is_said_before_anything_is_loaded(configure, pictures):
    for wrong, where in (
        ({"kind": "model"}, "prior.class_prompt"),
        ({"kind": "images"}, "prior.class_prompt"),
        (WORD | {"class_word": " "}, "prior.class_word"),
        (WORD | {"trigger": " ,"}, "prior.trigger"),
    ):
        with pytest.raises(SettingsError) as refused:
            configure(prior=wrong)
        assert list(refused.value.problems) == [where]
    with pytest.raises(SettingsError, match="no caption contains ohwx"):
        plan(configure(prior=WORD | {"trigger": "ohwx"}))
    assert plan(configure(prior=WORD | {"trigger": "ohwx"}, captions={"prefix": "ohwx,"})).total_steps
    (pictures / "00.txt").write_text("a dog")
    assert "1 of 6 captions" in plan(configure(prior=WORD)).warnings["prior.trigger"]
    assert "prior.weight" in warnings(configure(prior=DOG | {"weight": 0}))
    sks = configure(prior=DOG | {"class_prompt": "a sks dog"}, metadata={"trigger": "sks"})
    assert "prior.class_prompt" in warnings(sks)


def test_files_and_presets_of_before_keep_their_weight():
    values = loads(TrainSettings, "[noise]\nprior_loss_weight = 0.25\n[model]\nbase = 'a/b'\n")
    assert check(TrainSettings, values).prior.weight == 0.25


@pytest.mark.parametrize("wanted", [DOG, WORD], ids=["model", "class word"])
def test_nothing_is_lost_where_nothing_was_learnt(configure, start, wanted):
    lora = {"denoiser": {"rank": 2}, "text_encoder": {"train": True, "rank": 2}}
    first = start(configure(prior=wanted, lora=lora, run={"batch_size": 2}))
    found = shares(first)
    assert len(found) == 2 and found[0] > 0 and found[1] == 0.0
    unsettle(first)
    assert shares(first)[1] > 1e-6


@pytest.mark.proves("prior.kind", "prior.weight")
@pytest.mark.proves("prior.kind", "prior.weight")
def test_a_weight_of_zero_is_off(configure):
    off, zero, on = (run(configure(prior=wanted)) for wanted in ({}, DOG | {"weight": 0}, DOG))
    assert losses(zero) == losses(off) != losses(on)
    assert newest(zero).adapters.keys() == newest(on).adapters.keys()


@pytest.mark.parametrize("kind", LAYERS)
def test_asleep_is_the_base_model(configure, kind):
    """Of every kind of adapter, on linear layers and convolutions of both parts: against a model without adapters."""
    config = configure(lora={"kind": kind, "denoiser": {"layers": "all"}, "text_encoder": {"train": True}})
    (plain, _), (family, parts) = (loaded(config) for _ in range(2))
    trained, groups = attach(config, family, parts)
    learning = [weight for group in groups for weight in group["params"]]
    noisy, timesteps, said = torch.randn(2, 4, 8, 8), torch.tensor([3, 800]), ["a dog", "a cat"]
    with torch.no_grad():
        for weight in learning:
            weight.add_(0.3 * torch.randn(weight.shape))
        wanted = plain.predict(noisy, timesteps, plain.encode_captions(said))
        with asleep(trained):
            found = family.predict(noisy, timesteps, family.encode_captions(said))
        awake = family.predict(noisy, timesteps, family.encode_captions(said))
    assert torch.equal(found, wanted) and not torch.allclose(awake, wanted, atol=1e-4)
    assert all(weight.requires_grad for weight in learning)


def loaded(config) -> tuple[Sd15, dict]:
    family = Sd15()
    return family, family.load(find(config.model.base), torch.float32)


def test_what_can_not_sleep_is_refused(configure):
    with pytest.raises(SettingsError) as refused:
        configure(prior=DOG, full={"train": True}, lora={"denoiser": {"train": False}})
    assert "prior.kind" in refused.value.problems


def test_each_row_has_its_own_prompt_sizes_and_weight_at_batch_3(configure, start, tmp_path, monkeypatch):
    """P6, P7 and P8, with the two encoders and the sizes of SDXL: row by row the same as each alone, and the whole as
    its closed form says."""
    folder = draw(tmp_path / "three", [(64, 64), (80, 80), (96, 96)])
    folders = [{"path": str(folder), "loss_weight": 0.5}]
    config = configure(
        model={"base": str(tiny_sdxl(tmp_path / "sdxl")), "family": "sdxl"}, dataset={"folders": folders},
        run={"batch_size": 3}, prior=WORD | {"weight": 0.25}, noise={"min_snr_gamma": 5.0},
    )  # fmt: skip
    begun = start(config)
    unsettle(begun)
    asked, seen = [], []
    of, predict = begun.captions.of, begun.family.predict
    monkeypatch.setattr(begun.captions, "of", lambda captions: (asked.append(captions), of(captions))[1])
    monkeypatch.setattr(
        begun.family, "predict", lambda *given: (seen.append((given, out := predict(*given))), out)[1]
    )
    samples = begun.batches.of_step(0)[0]
    first, kept = begun.losses(samples, 0)
    assert [s.caption.replace("sks", "cat") for s in samples] == asked[1] and len(set(asked[1])) == 3
    (_, target), (given, prediction) = seen[1:]
    noisy, timesteps, text = given
    for row, sample in enumerate(samples):
        own = of([asked[1][row]])
        assert torch.equal(text["words"][row], own["words"][0]) and torch.equal(text["pooled"][row], own["pooled"][0])
        width, height = sample.item.width, sample.item.height
        assert text["time_ids"][row].tolist() == [height, width, 0, 0, 32, 32]
        with torch.no_grad():
            one = {name: part[row : row + 1] for name, part in text.items()}
            alone = predict(noisy[row : row + 1], timesteps[row : row + 1], one)
        assert torch.allclose(alone[0], prediction[row], atol=1e-5)
    alphas = begun.family.alphas_cumprod()[timesteps]
    weights = 0.5 * (5 / (alphas / (1 - alphas))).clamp(max=1)
    apart = (prediction.double() - target.double()).square().mean((1, 2, 3))
    assert kept.item() == pytest.approx(0.25 * (weights * apart).sum().item() / 3, rel=1e-5)
    assert not target.requires_grad and first.item() > 0


def test_regularisation_pictures_preserve_by_themselves(configure, start, tmp_path, pictures):
    other = draw(tmp_path / "reg", [(64, 64)], words="a dog")
    folders = [{"path": str(pictures)}, {"path": str(other), "regularisation": True}]
    begun = start(configure(dataset={"folders": folders}, prior=DOG, run={"batch_size": 1}))
    for step in range(begun.plan.steps_per_epoch):
        samples = begun.batches.of_step(step)[0]
        assert len(list(begun.losses(samples, 0))) == 1 + (not samples[0].item.regularisation)


def test_captions_without_the_trigger_are_left_out(configure, start, pictures):
    for path in sorted(pictures.glob("*.txt"))[1:]:
        path.write_text("a dog")
    begun = start(configure(dataset={"buckets": False}, prior=WORD, run={"batch_size": 6}))
    unsettle(begun)
    samples = begun.batches.of_step(0)[0]
    row = next(row for row, sample in enumerate(samples) if "sks" in sample.caption)
    noisy, timesteps = torch.randn(6, 4, 16, 16), torch.arange(6) * 100
    batch = Noised(samples, noisy, timesteps, torch.ones(6))
    alone = begun.preservation.loss(begun, batch.of([row]), 0).item()
    assert begun.preservation.loss(begun, batch, 0).item() == pytest.approx(alone, rel=1e-5)
    assert begun.preservation.loss(begun, batch.of([r for r in range(6) if r != row]), 0) is None


def gradients(begun: Run) -> list[torch.Tensor]:
    for turn, samples in enumerate(begun.batches.of_step(0)):
        for part in begun.losses(samples, turn):
            part.backward()
    found = [weight.grad.clone() for weight in begun.parameters]
    begun.optimizer.zero_grad()
    return found


def test_however_a_step_is_put_together_it_counts_the_same(configure, start, pictures):
    """P21: two, two and one are one batch of five, where the pictures come in the same order."""
    (pictures / "05.png").unlink()
    draw(pictures, [(64, 64)] * 5)
    whole, uneven = (
        start(configure(prior=WORD, run={"batch_size": size, "gradient_accumulation": turns}))
        for size, turns in ((5, 1), (2, 3))
    )
    for begun in (whole, uneven):
        unsettle(begun)
    order = {sample.place: sample for sample in whole.batches.of_step(0)[0]}
    uneven.batches.of_step = lambda step, process=0: [[order[0], order[1]], [order[2], order[3]], [order[4]]]
    for one, two in zip(gradients(whole), gradients(uneven)):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-6)


def test_it_brings_the_lora_back_to_the_base_model(configure, start):
    """With nothing else to learn, a LoRA that has wandered off comes back."""
    config = configure(prior=DOG, optimizer={"name": "adamw"}, run={"batch_size": 4})
    begun = start(config)
    unsettle(begun, 0.1)
    noisy, timesteps = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(4) * 250
    samples = begun.batches.distinct()[:2] * 2
    batch, found = Noised(samples, noisy, timesteps, torch.ones(4)), []
    optimizer = torch.optim.Adam(begun.parameters, lr=5e-3)
    for _ in range(30):
        loss = begun.preservation.loss(begun, batch, 0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    assert found[-1] < 0.2 * found[0]


def test_what_is_asked_at_every_step_is_read_once(configure, start, monkeypatch):
    begun = start(configure(prior=DOG, captions={"shuffle": True}))
    read = []
    encode = begun.family.encode_captions
    monkeypatch.setattr(begun.family, "encode_captions", lambda captions: (read.append(captions), encode(captions))[1])
    for _ in range(3):
        shares(begun)
    assert read.count(["a dog"]) == 1
    words = encoded(begun, ["one", "two", "one"])
    assert torch.equal(words["words"][0], words["words"][2]) and read[-1] == ["one", "two"]
