"""Muon for small networks: momentum whose matrices are made orthogonal before they are applied, AdamW for the rest.

Two idle CPU cores are all that the toy model's training may ask for, and per step this learns clearly more than AdamW
(https://kellerjordan.github.io/posts/muon; the size of the update follows Liu et al., arXiv:2502.16982, so that one
learning rate serves both halves).
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Newton-Schulz coefficients: five rounds bring every singular value into about 0.7..1.2.
_A, _B, _C, _ROUNDS = 3.4445, -4.7750, 2.0315, 5


def orthogonal(matrix: Tensor) -> Tensor:
    """The nearest (semi-)orthogonal matrix, roughly: singular values near 1, singular vectors kept.

    The rounds work on the small square matrix X X^T and are applied to X once at the end: for a convolution's long rows
    that is less than half the work of iterating on X itself.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    gram = wide @ wide.T
    one = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    total = one
    for _ in range(_ROUNDS):
        factor = _A * one + _B * gram + _C * gram @ gram
        total = factor @ total
        gram = factor @ gram @ factor
    wide = total @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Muon for weights of linear and convolution layers, AdamW (no decay) for embeddings, norms and biases."""

    def __init__(self, module: nn.Module, lr: float, momentum: float = 0.95) -> None:
        embeddings = {id(layer.weight) for layer in module.modules() if isinstance(layer, nn.Embedding)}
        matrices = [p for p in module.parameters() if p.ndim >= 2 and id(p) not in embeddings]
        others = [p for p in module.parameters() if p.ndim < 2 or id(p) in embeddings]
        groups = [{"params": matrices, "matrices": True}, {"params": others, "matrices": False}]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "betas": (0.9, 0.99)})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if group["matrices"]:
                updates = self._matrix_updates(parameters, group["momentum"])
            else:
                updates = [self._adam_update(parameter, group) for parameter in parameters]
            for parameter, update in zip(parameters, updates):
                parameter.sub_(update, alpha=group["lr"])

    def _matrix_updates(self, parameters: list[Tensor], keep: float) -> list[Tensor]:
        """Every process keeps all momenta, but makes only its share of them orthogonal."""
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        updates = []
        for number, parameter in enumerate(parameters):
            momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
            momentum.lerp_(parameter.grad, 1 - keep)
            if number % world != rank:
                updates.append(torch.zeros_like(parameter))
                continue
            matrix = parameter.grad.lerp(momentum, keep).flatten(1)
            updates.append((orthogonal(matrix) * (0.2 * max(matrix.shape) ** 0.5)).reshape(parameter.shape))
        if world > 1:
            flat = torch.cat([update.reshape(-1) for update in updates])
            dist.all_reduce(flat)
            parts = flat.split([update.numel() for update in updates])
            updates = [part.view(parameter.shape) for part, parameter in zip(parts, parameters)]
        return updates

    def _adam_update(self, parameter: Tensor, group: dict) -> Tensor:
        state = self.state[parameter]
        if not state:
            state |= {"first": torch.zeros_like(parameter), "second": torch.zeros_like(parameter), "step": 0}
        state["step"] += 1
        slow, slower = group["betas"]
        state["first"].lerp_(parameter.grad, 1 - slow)
        state["second"].lerp_(parameter.grad.square(), 1 - slower)
        first = state["first"] / (1 - slow ** state["step"])
        return first / ((state["second"] / (1 - slower ** state["step"])).sqrt() + 1e-8)
