"""A moving average of the weights that learn, kept beside them: what wobbles from step to step evens out."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


class Average:
    """Exponential moving average in float32 of weights by name (Polyak and Juditsky, 1992).

    Early on it remembers less, (1 + n) / (10 + n) after n updates instead of `decay`, so that the start, where nothing
    was learnt yet, is soon forgotten.
    """

    def __init__(self, decay: float, weights: Mapping[str, Tensor]):
        self._decay = decay
        self.weights = {name: weight.detach().clone() for name, weight in weights.items()}

    def follow(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Move towards the weights as they are after so many updates (from 1 on)."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        for name, average in self.weights.items():
            average.lerp_(weights[name], 1 - decay)

    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Be where it was when `saved` was taken. Raises KeyError where a name is missing."""
        for name, average in self.weights.items():
            average.copy_(saved[name])
