"""How far off a prediction is: the formulas, each with its paper. How much that counts is in trainer/loss/shares.py."""

from __future__ import annotations

from torch import Tensor


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    """In float32, of each number: [B, ...]."""
    return (prediction.float() - target.float()).square()


def absolute(prediction: Tensor, target: Tensor) -> Tensor:
    """In float32, of each number: [B, ...]."""
    return (prediction.float() - target.float()).abs()


def huber(prediction: Tensor, target: Tensor, width: Tensor, smooth_l1: bool = False) -> Tensor:
    """Pseudo-Huber, 2 c (sqrt(d^2 + c^2) - c) of each difference d: [B, ...].

    Like the square where d is small beside `width` (c, [B]), like the distance where it is large, so that outliers
    count less (Khrapov et al., arXiv 2403.16728). As `smooth_l1` without the factor c: the far slope is the same for
    every c."""
    difference = prediction.float() - target.float()
    c = width.float().view(-1, *[1] * (difference.ndim - 1)).to(difference.device)
    root = 2 * ((difference.square() + c.square()).sqrt() - c)
    return root if smooth_l1 else c * root


def means(errors: Tensor, mask: Tensor | None = None) -> Tensor:
    """Of each sample: [B]. With a mask, [B, 1, h, w] in 0..1, a weighted mean: a small mask does not make a small
    error."""
    if mask is None:
        return errors.flatten(1).mean(1)
    several = mask.view(mask.shape[0], *[1] * (errors.ndim - 3), *mask.shape[-2:]).expand_as(errors)
    return (several * errors).flatten(1).sum(1) / several.flatten(1).sum(1).clamp(min=1e-6)
