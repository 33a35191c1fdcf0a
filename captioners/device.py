"""Where a captioner computes: the graphics card if one can be used, in half precision there, else the processor."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from captioners.base import CaptionerError, Place
from captioners.config import Computing

DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, and either of them under WSL


def place(run: Computing) -> Place:
    """Raises CaptionerError where the device that was chosen is not there."""
    device = run.device
    if device == "cpu" or (device == "auto" and not might_have_card()):
        return Place(seed=run.seed)
    import torch

    usable = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if device == "auto":
        device = next((name for name, here in usable.items() if here()), "cpu")
    elif not usable[device]():
        raise CaptionerError(f"there is no {device} device that can be used here: choose run.device auto or cpu")
    if device == "cpu":
        return Place(seed=run.seed)
    half = "bfloat16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float16"
    return Place(device, half, seed=run.seed)


def might_have_card() -> bool:
    """Whether it is worth the seconds that importing torch takes to ask; a tagger alone does not need it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return False
    drivers = any(Path(driver).exists() for driver in DRIVERS)
    return sys.platform == "darwin" or drivers or shutil.which("nvidia-smi") is not None
