"""Noise, timesteps, and how errors count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui


class NoiseSettings(Section):
    """What noise a picture gets, and how each error counts."""

    loss: Annotated[Literal["l2", "l1", "huber", "smooth_l1"], Ui("Loss", level="expert", kohya="loss_type")] = "l2"
    """How an error is measured. L2, its square, is what the models were made with; Huber and smooth L1 let outliers,
    such as a watermark on a few pictures, count less."""

    huber_c: Annotated[
        float, Field(gt=0, le=1), Ui("Huber width", level="expert", when="noise.loss=huber|smooth_l1", kohya="huber_c")
    ] = 0.1
    """Errors smaller than this count as squares. Scheduled, it is the width at the noisy end."""

    huber_schedule: Annotated[
        Literal["snr", "exponential", "constant"],
        Ui("Huber schedule", level="expert", when="noise.loss=huber|smooth_l1", kohya="huber_schedule"),
    ] = "snr"
    """Where there is little noise details are learnt, and there the width grows: with the ratio of signal to noise, or
    evenly with the timestep; or not at all."""

    min_snr_gamma: Annotated[
        float | None, Field(gt=0, le=100), Ui("Min-SNR gamma", needs="ddpm", kohya="min_snr_gamma")
    ] = None
    """Cap on the weight of nearly clean pictures (arXiv 2303.09556); 5 is usual. Empty: every timestep counts the
    same."""

    min_snr_soft: Annotated[bool, Ui("Soft min-SNR", level="expert", needs="ddpm")] = False
    """Rounds the corner of min-SNR off, so that no timestep is where weights suddenly change. Needs a gamma."""

    debiased: Annotated[
        bool, Ui("Debiased estimation", level="expert", needs="ddpm", kohya="debiased_estimation_loss")
    ] = False
    """Errors at noisy timesteps count more (arXiv 2310.08442): overall colour and shape. In place of min-SNR."""

    scale_v_prediction: Annotated[
        bool, Ui("V-prediction like noise", level="expert", needs="ddpm", kohya="scale_v_pred_loss_like_noise_pred")
    ] = False
    """Lets errors of a v-prediction model count as those of a noise prediction would. No effect on others."""

    zero_terminal_snr: Annotated[
        bool, Ui("Zero terminal SNR", level="expert", needs="ddpm", kohya="zero_terminal_snr")
    ] = False
    """Makes the last timestep pure noise (arXiv 2305.08891), for v-prediction models that were made so; those that say
    it themselves need no switch. Samples are drawn accordingly."""

    noise_offset: Annotated[float, Field(ge=0, le=1), Ui(level="expert", needs="ddpm", kohya="noise_offset")] = 0.0
    """Adds a random overall brightness to the noise, for very dark and very bright pictures; 0.05 to 0.1 is usual."""

    noise_offset_adaptive: Annotated[
        float,
        Field(ge=0, le=1),
        Ui("Adaptive noise offset", level="expert", needs="ddpm", kohya="adaptive_noise_scale"),
    ] = 0.0
    """Adds to the noise offset this share of how far a picture's latents are from zero on the whole."""

    multires_iterations: Annotated[
        int,
        Field(ge=0, le=10),
        Ui("Multires noise levels", level="expert", needs="ddpm", kohya="multires_noise_iterations"),
    ] = 0
    """Mixes in ever coarser noise, for light and shape on the large scale; 6 to 10 is usual. 0: none."""

    multires_discount: Annotated[
        float,
        Field(gt=0, le=1),
        Ui("Multires noise discount", level="expert", needs="ddpm", kohya="multires_noise_discount"),
    ] = 0.3
    """How much weaker each coarser level is than the one before."""

    input_perturbation: Annotated[
        float, Field(ge=0, le=1), Ui(level="expert", needs="ddpm", kohya="ip_noise_gamma")
    ] = 0.0
    """Puts in a little more noise than is to be found (arXiv 2301.11706), against errors that add up while drawing;
    0.1 is usual."""

    timesteps: Annotated[
        Literal["logit_normal", "uniform", "mode"],
        Ui("Timesteps", needs="flow", kohya="timestep_sampling weighting_scheme"),
    ] = "logit_normal"
    """How much noise the pictures get: mostly a middling share, which is where most is learnt; any share alike; or the
    middle preferred without leaving out the ends."""

    bias: Annotated[
        float, Field(ge=-3, le=3), Ui("Bias to composition", step=0.1, needs="flow", kohya="logit_mean sigmoid_bias")
    ] = 0.0
    """Above 0: more noise, so that composition and shapes are learnt; below 0: less noise, so that details are."""

    spread: Annotated[
        float,
        Field(gt=0, le=5),
        Ui(level="expert", needs="flow", when="noise.timesteps=logit_normal", kohya="logit_std sigmoid_scale"),
    ] = 1.0
    """How far from the middle shares of noise are drawn. Smaller: closer to it."""

    mode_scale: Annotated[
        float,
        Field(ge=-1, le=1.75),
        Ui("Mode scale", level="expert", needs="flow", when="noise.timesteps=mode", kohya="mode_scale"),
    ] = 1.29
    """How much the middle is preferred; below 0 the ends are; 0 is uniform."""

    shift: Annotated[
        float | None, Field(gt=0, le=20), Ui(level="expert", needs="flow", kohya="discrete_flow_shift training_shift")
    ] = None
    """How much more the noisy end is trained, as large pictures need it. Empty: the model's own; 1: none."""

    timestep_min: Annotated[
        int, Field(ge=0, le=999), Ui("First timestep", level="expert", kohya="min_timestep")
    ] = 0
    """Train no timestep below this, of 1000: leaves out the nearly clean pictures, where details are learnt."""

    timestep_max: Annotated[
        int, Field(ge=1, le=1000), Ui("Last timestep", level="expert", kohya="max_timestep")
    ] = 1000
    """Train only timesteps below this, of 1000: leaves out the noisiest pictures, where composition is learnt."""

    def timesteps_of(self, count: int) -> tuple[int, int]:
        """The first, and the one after the last, of a model that has `count` of them."""
        first = self.timestep_min * count // 1000
        return first, max(first + 1, self.timestep_max * count // 1000)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.timestep_min >= self.timestep_max:
            yield "timestep_min", f"must be less than the last timestep ({self.timestep_max}); got {self.timestep_min}"
        if self.debiased and self.min_snr_gamma is not None:
            yield "debiased", "weighs timesteps in place of min-SNR: switch it off, or empty noise.min_snr_gamma"

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.min_snr_soft and self.min_snr_gamma is None:
            yield "min_snr_soft", "has no effect without a gamma: set noise.min_snr_gamma, to 5 say"
        if self.noise_offset_adaptive and not self.noise_offset:
            yield "noise_offset_adaptive", "has no effect without a noise offset"
