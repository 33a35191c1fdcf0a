"""A curve as an SVG that stands in a page: lowest to highest as a band, the smoothed value as a line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from typing import Any

WIDTH, HEIGHT = 860, 240
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 24
MOST = 98  # per cent of the highest values that must fit: one spike must not flatten the rest
TICKS = (1, 2, 2.5, 5, 10)


def svg(curve: dict[str, list[Any]], title: str, total: int, band: bool = False) -> str:
    """`curve` as `Curve.thinned` has it; "" for one without a value."""
    heights = [value for name in (("low", "high") if band else ("mean",)) for value in curve[name] if value is not None]
    if not heights:
        return ""
    last = max(total, *curve["steps"], 1)
    low, high = bounds(heights, band)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    def points(values: list[Any]) -> list[str]:
        return [f"{x(step):.1f},{y(value):.1f}" for step, value in zip(curve["steps"], values) if value is not None]

    area = [f'<polygon class="band" points="{" ".join(points(curve["high"]) + points(curve["low"])[::-1])}"/>']
    lost = [f'<path class="lost" d="M{x(step):.1f} {TOP}V{HEIGHT - BOTTOM}"/>' for step in curve["lost"]]
    return "\n".join(
        (
            f'<figure><figcaption>{escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(title)}">',
            *(f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>'
              f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
              for tick in ticks(low, high)),
            *(f'<text x="{x(tick):.1f}" y="{HEIGHT - 7}" text-anchor="middle">{tick:,.0f}</text>'
              for tick in ticks(0, last) if tick == int(tick)),
            f'<svg x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" '
            f'viewBox="{LEFT} {TOP} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - BOTTOM}">',  # what is higher is cut off
            *(area if band else []), *lost,
            f'<polyline class="line" points="{" ".join(points(curve["mean"]))}"/></svg></svg></figure>',
        )
    )


def bounds(heights: list[float], band: bool) -> tuple[float, float]:
    low, high = min(heights), max(heights)
    if band and len(heights) > 40:
        ordered = sorted(heights)
        high = min(high, 1.5 * ordered[len(ordered) * MOST // 100])
    if not band:
        low = min(0.0, low)
    if low >= high:
        return low, low + (abs(low) or 1)
    return low, high + 0.04 * (high - low)


def ticks(low: float, high: float) -> Iterator[float]:
    """Round numbers between two, about five."""
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(tick * power for tick in TICKS if tick * power >= rough)
    first = math.ceil(low / step)
    yield from (tick * step for tick in range(first, math.floor(high / step + 1e-9) + 1))
