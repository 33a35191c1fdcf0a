"""Thinned curves keep their spikes, their ends and their holes."""

import json
import math
import sys
import threading

from gui.curves import Curve


def curve(values, smooth=True):
    made = Curve(smooth)
    for step, value in enumerate(values, start=1):
        made.add(step, value)
    return made


def test_a_short_curve_is_sent_whole():
    sent = curve([3.0, 2.0, 1.0], smooth=False).thinned(10)
    assert sent["steps"] == [1, 2, 3] and sent["low"] == sent["high"] == sent["mean"] == [3.0, 2.0, 1.0]


def test_a_long_curve_keeps_its_spike_and_its_ends():
    values = [1.0] * 20_000
    values[7_777] = 50.0
    sent = curve(values).thinned(400)
    assert len(sent["steps"]) == 400 and sent["steps"][-1] == 20_000
    assert max(sent["high"]) == 50.0 and min(sent["low"]) == 1.0
    assert len(json.dumps(sent)) < 20_000


def test_what_is_no_number_is_told_and_left_out():
    sent = curve([1.0, math.nan, 3.0, math.inf]).thinned(10)
    assert sent["lost"] == [2, 4]
    assert sent["low"] == [1.0, None, 3.0, None]
    json.loads(json.dumps(sent, allow_nan=False))


def test_nothing_but_nan():
    sent = curve([math.nan] * 5).thinned(2)
    assert sent["low"] == sent["mean"] == [None, None] and sent["lost"] == [1, 2, 3, 4, 5]


def test_the_mean_starts_at_the_first_value():
    assert curve([2.0]).thinned(1)["mean"] == [2.0]
    assert curve([0.0] * 500 + [1.0] * 500).thinned(1)["mean"][0] > 0.99


def test_cut_forgets_what_did_not_happen():
    made = curve([1.0, 2.0, 3.0, 4.0])
    made.cut(2)
    assert made.thinned(9)["steps"] == [1, 2]
    made.add(3, 9.0)
    assert made.thinned(9)["high"] == [1.0, 2.0, 9.0]
    assert made.thinned(9)["mean"][:2] == curve([1.0, 2.0]).thinned(9)["mean"]


def test_an_empty_curve():
    assert curve([]).thinned(9)["steps"] == []


def test_a_curve_is_read_while_it_grows():
    """By two requests at once: nothing is lost, and what is sent is of one moment."""
    grown, often = Curve(smooth=True), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        writer = threading.Thread(target=lambda: [grown.add(step, 1.0) for step in range(1, 20_001)])
        writer.start()
        while writer.is_alive():
            sent = grown.thinned(100)
            assert len({len(sent[name]) for name in ("steps", "low", "high", "mean")}) == 1
        writer.join()
    finally:
        sys.setswitchinterval(often)
    assert len(grown) == 20_000 and grown.thinned(1)["mean"] == [1.0]
