"""Losses and weights against closed forms in float64."""

import pytest
import torch

from tests.trainer.loss.test_objective import schedule, zero_terminal
from trainer.config import NoiseSettings
from trainer.loss import errors, shares


def two(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, 5, 5, generator=random).bfloat16(), torch.randn(3, 4, 5, 5, generator=random)


def test_errors_are_means_per_sample_in_float32():
    prediction, target = two()
    apart = prediction.double() - target.double()
    for got, wanted in ((errors.squared, apart**2), (errors.absolute, apart.abs())):
        found = errors.means(got(prediction, target))
        assert found.dtype == torch.float32 and torch.allclose(found.double(), wanted.mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("smooth", [False, True])
def test_huber_equals_its_closed_form_with_a_width_for_each_sample(smooth):
    prediction, target = two()
    widths = torch.tensor([0.1, 0.5, 1.0])
    c = widths.double().view(-1, 1, 1, 1)
    wanted = 2 * (((prediction.double() - target.double()) ** 2 + c**2).sqrt() - c) * (1 if smooth else c)
    got = errors.means(errors.huber(prediction, target, widths, smooth_l1=smooth))
    assert torch.allclose(got.double(), wanted.mean((1, 2, 3)), rtol=1e-5)


def test_huber_is_the_square_near_and_the_distance_far():
    near, far, zero, wide = torch.full((1, 1), 1e-3), torch.full((1, 1), 1e4), torch.zeros(1, 1), torch.tensor([0.5])
    assert errors.huber(near, zero, wide).item() == pytest.approx(1e-6, rel=0.1)
    assert errors.huber(far, zero, wide).item() == pytest.approx(2 * 0.5 * 1e4, rel=1e-3)
    assert errors.huber(far, zero, wide, smooth_l1=True).item() == pytest.approx(2e4, rel=1e-3)


@pytest.mark.proves("noise.huber_schedule", "noise.huber_c")
def test_widths_of_huber():
    share, ratio = torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 1.0, 1e9])
    wanted = {"constant": [0.1] * 3, "exponential": [1.0, 0.1**0.5, 0.1], "snr": [1.0, 0.9 / 4 + 0.1, 0.1]}
    for kind, widths in wanted.items():
        settings = NoiseSettings(huber_schedule=kind, huber_c=0.1)
        assert shares.huber_width(settings, share, ratio).tolist() == pytest.approx(widths)
        alone = [shares.huber_width(settings, *pair) for pair in zip(share.tolist(), ratio.tolist())]
        assert alone == pytest.approx(widths), "the window's numbers are the trainer's"


def weigh(prediction: str, alphas=None, **options) -> torch.Tensor:
    alphas, settings = schedule() if alphas is None else alphas, NoiseSettings(**options)
    return torch.tensor([shares.weight(alpha, prediction, settings) for alpha in alphas.tolist()], dtype=torch.float64)


@pytest.mark.proves("noise.min_snr_gamma", "noise.min_snr_soft", "noise.debiased", "noise.scale_v_prediction")
def test_weights_equal_their_closed_forms():
    snr = schedule() / (1 - schedule())
    soft = snr * 5 / (snr + 5)
    wanted = {
        ("epsilon", "min_snr_soft"): soft / snr,
        ("v_prediction", "min_snr_soft"): soft / (snr + 1),
        ("epsilon", "debiased"): 1 / snr.clamp(max=1000).sqrt(),
        ("v_prediction", "debiased"): 1 / (snr + 1),
        ("epsilon", "scale_v_prediction"): torch.ones_like(snr),
        ("v_prediction", "scale_v_prediction"): snr / (snr + 1),
    }
    for (prediction, option), weights in wanted.items():
        gamma = {"min_snr_gamma": 5.0} if option == "min_snr_soft" else {}
        assert torch.allclose(weigh(prediction, **{option: True}, **gamma), weights, rtol=1e-9), (prediction, option)
    both = weigh("v_prediction", scale_v_prediction=True, min_snr_gamma=5.0)
    assert torch.allclose(both, snr.clamp(max=5) / (snr + 1) * snr / (snr + 1), rtol=1e-9)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("option", ["min_snr_soft", "debiased", "scale_v_prediction"])
def test_weights_are_finite_where_there_is_no_signal(prediction, option):
    """P7: min-SNR and its kin with zero terminal SNR."""
    gamma = {"min_snr_gamma": 5.0} if option == "min_snr_soft" else {}
    found = weigh(prediction, zero_terminal(), **{option: True}, **gamma)
    assert found.isfinite().all() and (found >= 0).all() and (found <= 100).all()


def test_a_masked_mean_is_over_what_the_mask_shows():
    each = torch.rand(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 1, 3, 3)
    mask[0, 0, :2] = 1
    mask[1] = 0.25
    found = errors.means(each, mask)
    assert found[0].item() == pytest.approx(each[0, :, :2].double().mean().item(), rel=1e-5)
    assert found[1].item() == pytest.approx(each[1].double().mean().item(), rel=1e-5), "weights are relative"
    half = torch.ones(2, 1, 3, 3)
    half[0, 0, 0] = 0.5
    wanted = (each[0].double() * half[0].double()).sum() / (4 * half[0].double().sum())
    assert errors.means(each, half)[0].item() == pytest.approx(wanted.item(), rel=1e-5)
    frames = each.unsqueeze(2)  # [B, C, frames, h, w], as video models have them
    assert torch.allclose(errors.means(frames, mask), found)
    assert errors.means(each, torch.zeros(2, 1, 3, 3)).tolist() == [0, 0], "never a division by nothing"
