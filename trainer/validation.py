"""The error on pictures that are never trained on, always with the same noise: a curve without the jitter of chance."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import torch

from trainer.batches import Sample
from trainer.loss import errors
from trainer.loss.objective import generator


@dataclass
class Validation:
    """Looks at `samples` with a run's own denoiser, latents and captions."""

    samples: dict[int, list[Sample]]  # by resolution
    draws: int

    def losses(self, run) -> dict[int, float]:
        """Mean squared error at each resolution over all samples and shares of noise. Unweighted, without masks: what
        is changed about the loss does not change these numbers. The run is left as it was."""
        with quiet(run):
            return {side: self._mean(run, samples) for side, samples in self.samples.items()}

    @torch.no_grad()
    def _mean(self, run, samples: list[Sample]) -> float:
        total = torch.zeros((), device=run.place.device)
        for sample in samples:
            for draw in range(self.draws):
                total += self._one(run, sample, draw)
        return total.item() / (len(samples) * self.draws)

    def _one(self, run, sample: Sample, draw: int) -> torch.Tensor:
        device = run.place.device
        mean, _ = run.latents.of([sample])
        noise = torch.randn(mean.shape, generator=generator("validation", sample.place, draw)).to(device)
        timesteps = run.objective.evenly(draw, self.draws, tuple(mean.shape[1:])).to(device)
        clean = mean.to(device)
        with run.precision():
            noisy = run.objective.noised(clean, noise, timesteps)
            prediction = run.predict(noisy, timesteps, [sample], run.captions.of([sample.caption]))
        return errors.means(errors.squared(prediction, run.objective.target(clean, noise, timesteps)))[0]


@contextmanager
def quiet(run):
    """The parts that learn, without dropout; afterwards as they were."""
    before = {name: part.training for name, part in run.trained.items()}
    for part in run.trained.values():
        part.eval()
    try:
        yield
    finally:
        for name, training in before.items():
            run.trained[name].train(training)
