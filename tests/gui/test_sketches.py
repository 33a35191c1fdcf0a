"""What the form draws is what the trainer does: a run's rates, and the timesteps that are really drawn."""

import pytest
import torch

from gui import sketches
from jobs.events import read_events
from settings.errors import check
from tests import models
from tests.trainer.conftest import draw
from trainer import command
from trainer.base_model.models import find
from trainer.config import NoiseSettings, TrainSettings
from trainer.families import families
from trainer.families.base import Diffusion, Flow
from trainer.loop import train
from trainer.loss.objective import objective
from trainer.loss.shares import alphas_cumprod

BINS = 10


def values(**sections):
    """A form's complete values, with these sections changed."""
    return check(TrainSettings, sections).model_dump(mode="json")


@pytest.mark.parametrize("schedule", [{"name": "cosine_restarts", "cycles": 2, "warmup": 0.2}, {"name": "linear"}])
def test_the_drawn_rates_are_those_of_the_run(tmp_path, schedule):
    settings = {
        "model": {"base": str(models.tiny_sd15(tmp_path / "tiny"))},
        "dataset": {"folders": [{"path": str(draw(tmp_path / "pictures"))}], "resolution": 32, "bucket_step": 8,
                    "bucket_min": 16, "bucket_max": 64},
        "lora": {"denoiser": {"rank": 1, "learning_rate": 1e-3, "plus_ratio": 4,
                              "blocks": [{"block": "mid_block", "rate": 0.5}]},
                 "text_encoder": {"train": True, "rank": 1}},
        "words": {"new": [{"word": "sks"}]},
        "accelerate": {"cpu": True, "mixed_precision": "no"},
        "run": {"max_steps": 9},
        "schedule": schedule,
    }
    job = command.create(check(TrainSettings, settings))
    train(job.folder)
    steps = [event for event in read_events(job.events_path)[0] if event["kind"] == "step"]
    drawn = sketches.rate(values(**settings), 9)
    assert drawn["end"] == 9 and len(drawn["curves"]) == 5  # the word learns as fast as the block
    peaks = sorted({max(event["lrs"][part] for event in steps) for part in steps[0]["lrs"]})
    assert sorted(max(curve["mean"]) for curve in drawn["curves"]) == pytest.approx(peaks)
    for curve in drawn["curves"]:
        if part := next((part for part in steps[0]["lrs"] if part.replace("_", " ") == curve["name"]), ""):
            assert dict(zip(curve["steps"], curve["mean"], strict=True)) == pytest.approx(
                {event["step"]: event["lrs"][part] for event in steps}
            )


def test_a_long_curve_keeps_its_turns_and_says_its_highest():
    restarts = {"name": "cosine_restarts", "cycles": 3, "warmup": 0.1, "minimum": 0.1}
    drawn = sketches.rate(values(schedule=restarts), 100_000)
    (curve,) = drawn["curves"]
    assert len(curve["steps"]) < 300 and max(curve["mean"]) == 1e-4
    assert sum(after - before > 5e-5 for before, after in zip(curve["mean"], curve["mean"][1:])) == 2, "two jumps up"
    assert "Highest 0.0001 at step 10,001 of 100,000; at the last step 10% of it is left." == drawn["said"]
    assert sketches.rate(values(), None)["unit"] == "%"


def test_parts_of_one_rate_are_one_curve():
    lora = {"denoiser": {"learning_rate": 1e-4}, "text_encoder": {"train": True, "learning_rate": 1e-4}}
    assert [curve["name"] for curve in sketches.rate(values(lora=lora), 10)["curves"]] == ["denoiser and text encoder"]


def histogram(process, settings, weighted=False) -> list[float]:
    """Of timesteps that the trainer draws, each tenth's share."""
    asked, random = objective(process, settings), torch.Generator().manual_seed(1)
    drawn = torch.stack([asked.timestep(random, (16, 8, 8)) for _ in range(6000)])
    counts = asked.weights(drawn).double() if weighted else torch.ones(len(drawn), dtype=torch.float64)
    tenth = (asked.share(drawn) * BINS).long().clamp(max=BINS - 1)
    return torch.zeros(BINS, dtype=torch.float64).index_add(0, tenth, counts).div(counts.sum()).tolist()


def tenths(curve) -> list[float]:
    """The same of a drawn curve."""
    each = len(curve["mean"]) // BINS
    return [sum(curve["mean"][n * each : (n + 1) * each]) / len(curve["mean"]) for n in range(BINS)]


FLOWS = [
    {"timesteps": "logit_normal"},
    {"timesteps": "logit_normal", "spread": 0.6, "bias": -1.0, "shift": 3.0},
    {"timesteps": "uniform", "shift": 2.5},
    {"timesteps": "uniform", "bias": 0.5, "timestep_min": 200, "timestep_max": 900},
    {"timesteps": "mode", "mode_scale": 1.29},
    {"timesteps": "mode", "mode_scale": -0.8, "shift": 0.5},
]


@pytest.mark.parametrize("options", FLOWS)
def test_the_drawn_density_of_a_flow_is_that_of_what_is_drawn(options):
    drawn = sketches.noise(values(model={"family": "flux"}, noise=options))
    (curve,) = drawn["curves"]
    wanted = histogram(Flow(lambda shape: 1.0), NoiseSettings(**options))
    assert tenths(curve) == pytest.approx(wanted, abs=0.025) and sum(tenths(curve)) == pytest.approx(1)


@pytest.mark.parametrize("kind, options", [
    ("epsilon", {}),
    ("epsilon", {"timestep_min": 300, "timestep_max": 650}),
    ("epsilon", {"min_snr_gamma": 5.0}),
    ("v_prediction", {"min_snr_gamma": 5.0, "min_snr_soft": True}),
    ("epsilon", {"debiased": True}),
    ("v_prediction", {"zero_terminal_snr": True, "min_snr_gamma": 1.0, "scale_v_prediction": True}),
])
def test_the_drawn_density_of_ddpm_is_that_of_what_is_drawn_and_weighed(kind, options):
    drawn = sketches.noise(values(model={"prediction_type": kind}, noise=options))
    said = families()["sd15"].configs["scheduler"] | {"rescale_betas_zero_snr": options.get("zero_terminal_snr")}
    process = Diffusion(torch.tensor(alphas_cumprod(said), dtype=torch.float64), kind)
    often, counted = drawn["curves"][0], drawn["curves"][-1]
    assert tenths(often) == pytest.approx(histogram(process, NoiseSettings(**options)), abs=0.025)
    assert tenths(counted) == pytest.approx(histogram(process, NoiseSettings(**options), weighted=True), abs=0.03)
    assert len(drawn["curves"]) == (2 if any("timestep" not in name for name in options) else 1)


@pytest.mark.parametrize("kind, resolution", [("flux", 512), ("flux", 1024), ("flux2_klein", 768), ("sana", 1024)])
def test_the_shift_is_that_of_the_loaded_model_at_this_resolution(tmp_path, kind, resolution):
    family = families()[kind]
    folder = getattr(models, f"tiny_{kind}")(tmp_path / kind)
    loaded, model = family(), find(str(folder))
    loaded.load(model, torch.float32)
    chosen = {"model": {"family": kind, "base": str(folder)}, "dataset": {"resolution": resolution}}
    config = check(TrainSettings, chosen)
    pixels = torch.zeros(1, 3, 64, 64)
    channels, height, width = loaded.encode_pictures(pixels)[0].shape[1:]
    shape = (channels, height * resolution // 64, width * resolution // 64)
    assert sketches.shifts_of(config, family, model)[resolution] == pytest.approx(loaded.process().shift(shape))


def test_each_resolution_has_a_density_where_the_shift_grows_with_it(tmp_path):
    folder = models.tiny_flux(tmp_path / "flux")
    chosen = {"model": {"family": "flux", "base": str(folder)}, "dataset": {"resolution": 1024,
                                                                            "more_resolutions": [512]}}
    drawn = sketches.noise(values(**chosen))
    assert [curve["name"] for curve in drawn["curves"]] == ["how often, 1024 px", "how often, 512 px"]
    shifts = sketches.shifts_of(check(TrainSettings, chosen), families()["flux"], find(str(folder)))
    assert shifts[1024] > shifts[512] and "at 1024 px" in drawn["said"] and "at 512 px" in drawn["said"]
    for curve, shift in zip(drawn["curves"], shifts.values()):
        assert tenths(curve) == pytest.approx(histogram(Flow(lambda _, own=shift: own), NoiseSettings()), abs=0.025)
    one = sketches.noise(values(**chosen, noise={"shift": 2.0}))
    assert [curve["name"] for curve in one["curves"]] == [""], "a shift that is said is the same at every size"


@pytest.mark.parametrize("loss", ["huber", "smooth_l1"])
@pytest.mark.parametrize("schedule", ["snr", "exponential", "constant"])
@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_what_small_and_large_errors_count_is_the_slope_of_the_trainers_loss(family, loss, schedule):
    options = {"loss": loss, "huber_schedule": schedule, "huber_c": 0.2}
    settings = NoiseSettings(**options)
    drawn = {curve["name"]: curve["mean"] for curve in
             sketches.noise(values(model={"family": family}, noise=options))["curves"]}
    small, large = drawn.get("times what it counts", drawn["how often"]), drawn["times what an outlier counts"]
    if family == "flux":
        asked, timesteps = objective(Flow(lambda _: 1.0), settings), torch.linspace(0.205, 0.805, 4)
    else:
        said = families()["sd15"].configs["scheduler"]
        process = Diffusion(torch.tensor(alphas_cumprod(said), dtype=torch.float64), "epsilon")
        asked, timesteps = objective(process, settings), torch.tensor([205, 405, 605, 805])
    pull = {}
    for size in (1e-3, 1.0):
        errors = torch.full((4, 1), size, requires_grad=True)
        asked.errors(errors, torch.zeros(4, 1), timesteps).sum().backward()
        pull[size] = (errors.grad[:, 0] / size).tolist()
    bins = [20, 40, 60, 80]
    often = [drawn["how often"][n] for n in bins]
    wanted = [(each * weak, each * strong) for each, weak, strong in zip(often, pull[1e-3], pull[1.0])]
    scale = small[bins[0]] / wanted[0][0]
    assert [small[n] for n in bins] == pytest.approx([scale * weak for weak, _ in wanted], rel=0.02)
    assert [large[n] for n in bins] == pytest.approx([scale * strong for _, strong in wanted], rel=0.02)


def test_masks_preservation_and_l1_are_told_beside_the_curves():
    def said(**sections):
        return sketches.noise(values(**sections))["said"]

    assert "masks hide counts 10% of" in said(dataset={"masked_loss": "files", "unmasked_weight": 0.1})
    prior = {"kind": "model", "class_prompt": "a dog", "weight": 0.5}
    assert "preserved counts 0.5 times" in said(prior=prior) and "preserved" not in said()
    assert "however large" in said(noise={"loss": "l1"}) and "outlier" in said(noise={"loss": "huber"})


def test_words_follow_the_balance():
    def said(**noise):
        return sketches.noise(values(model={"family": "flux"}, noise=noise))["said"]

    assert said(bias=2.0).startswith("Mostly composition") and said(bias=-2.0).startswith("Mostly detail")
    assert said().startswith("Some of both") and sketches.WITHOUT in said() and sketches.WITHOUT not in said(shift=1.0)


def test_a_wrong_value_stops_only_what_depends_on_it():
    typed = values()
    typed["noise"]["spread"] = -1
    found = sketches.sketches(typed, 10)
    assert found["noise"] is None and found["rate"] is not None
    assert sketches.noise(values(model={"base": "/nowhere/at/all"}, noise={"min_snr_gamma": 5.0})) is not None
