"""Where captioners compute: on the CPU in float32 always, elsewhere only where there is such a device."""

import subprocess
import sys

import pytest

from captioners import device
from captioners.base import CaptionerError, Place
from captioners.config import Computing


def test_the_cpu_computes_in_full_precision():
    """kohya_ss runs its BLIP-2 in half precision on the CPU, too, which fails."""
    assert device.place(Computing(device="cpu", seed=7)) == Place("cpu", "float32", seed=7)


def test_without_a_driver_nobody_is_asked_and_torch_is_not_imported():
    code = (
        "import sys; from captioners import device; from captioners.config import Computing\n"
        "device.might_have_card = lambda: False\n"
        "assert device.place(Computing()).device == 'cpu' and 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(name, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(device, "might_have_card", lambda: True)
    with pytest.raises(CaptionerError, match=rf"no {name} device.*run\.device"):
        device.place(Computing(device=name))
    assert device.place(Computing()).device == "cpu"


@pytest.mark.parametrize("bfloat16, dtype", [(True, "bfloat16"), (False, "float16")])
def test_a_card_computes_in_half_precision(bfloat16, dtype, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bfloat16)
    monkeypatch.setattr(device, "might_have_card", lambda: True)
    for wanted in ("auto", "cuda"):
        assert device.place(Computing(device=wanted)) == Place("cuda", dtype, seed=42)


def test_hiding_every_card_is_understood(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not device.might_have_card()
