"""`python launch.py doctor`: looks at everything a run depends on and says what it found and how to mend it.

It starts on a bare Python too, so nothing outside the standard library is imported before the check that needs it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import requires, version
from pathlib import Path
from typing import Literal

from setup.environment import Environment
from setup.packages import differences

ROOT = Path(__file__).resolve().parent.parent
SET_UP = "run: python launch.py"
# What a broken or mismatched binary package raises when imported: a missing symbol, library or operator.
IMPORT_ERRORS = (ImportError, OSError, RuntimeError, AttributeError)


@dataclass(frozen=True)
class Check:
    """One finding. `blocked`: Loratory cannot run as it is; `warning`: something will be slow or missing."""

    name: str
    status: Literal["ok", "warning", "blocked"]
    found: str
    fix: str = ""


def checks() -> Iterator[Check]:
    """Every check, the ones that others build on first."""
    yield python()
    yield environment()
    yield packages()
    yield from torch_and_device()
    yield disk()
    yield memory()
    yield chromium()
    yield hub()


def python() -> Check:
    return Check("Python", "ok", f"{platform.python_version()} on {platform.platform()} ({sys.executable})")


def environment() -> Check:
    here = Environment(ROOT)
    state = here.state(["requirements.lock"])
    own = state == "foreign" and Path(sys.prefix) == here.folder  # somebody's, and it does run
    status = "ok" if state == "ready" or own else "blocked"
    words = {
        "ready": "set up",
        "absent": "not made yet",
        "unfinished": "not complete, or from an older requirements.lock",
        "broken": "does not work (moved, or its Python is gone)",
        "foreign": "not made by launch.py",
    }
    return Check(".venv", status, f"{words[state]} ({here.folder})", SET_UP if status == "blocked" else "")


def packages() -> Check:
    lacking = differences(ROOT / "requirements.lock")
    if not lacking:
        return Check("packages", "ok", "as in requirements.lock")
    found = f"{len(lacking)} not as in requirements.lock: {', '.join(lacking[:4])}{' ...' if lacking[4:] else ''}"
    return Check("packages", "warning", found, "delete the folder .venv, then " + SET_UP)


def torch_and_device() -> Iterator[Check]:
    """torch with torchvision, then what torch computes on and in which precision."""
    again = "delete the folder .venv, then " + SET_UP
    try:
        torch = importlib.import_module("torch")
        vision, wanted = version("torchvision"), torch_of_torchvision()
    except IMPORT_ERRORS as error:  # PackageNotFoundError is an ImportError
        yield Check("torch", "blocked", str(error).splitlines()[0], again)
        return
    pair = f"{torch.__version__} with torchvision {vision}"
    if torch.__version__ not in wanted:
        yield Check("torch", "blocked", f"{pair}, which needs torch {wanted}", again)
        return
    yield Check("torch", "ok", f"{pair}, built for CUDA {torch.version.cuda or torch.version.hip or 'none'}")
    if torch.cuda.is_available():
        yield from cuda_device(torch)
    elif torch.backends.mps.is_available():
        yield Check("device", "ok", "MPS (Apple GPU); memory is shared with the system")
        yield Check("bf16", "ok", "supported on MPS since macOS 14")
    else:
        yield cpu_device(torch)
        yield cpu_bf16(torch)


def torch_of_torchvision():
    """The torch versions that the installed torchvision asks for (read, not tried: importing it takes seconds)."""
    requirement = importlib.import_module("packaging.requirements").Requirement
    return next(pin.specifier for pin in map(requirement, requires("torchvision") or []) if pin.name == "torch")


def cuda_device(torch) -> Iterator[Check]:
    """The first GPU: name, memory, and whether it computes in bf16 itself."""
    free, total = torch.cuda.mem_get_info()
    more = f", and {torch.cuda.device_count() - 1} more" if torch.cuda.device_count() > 1 else ""
    found = f"{torch.cuda.get_device_name()}, {free / 2**30:.1f} of {total / 2**30:.1f} GB free{more}"
    tight = free < 6 * 2**30
    yield Check("device", "warning" if tight else "ok", found, "close programs that use the GPU" if tight else "")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        yield Check("bf16", "ok", "supported")
    else:
        yield Check("bf16", "warning", "this GPU only emulates it", "set mixed precision to fp16")


def cpu_device(torch) -> Check:
    found = f"CPU, {torch.get_num_threads()} cores"
    if not shutil.which("nvidia-smi"):
        return Check("device", "ok", f"{found}; enough for the demo and the toy model, slow for real ones")
    fix = f"update the NVIDIA driver to one for CUDA {torch.version.cuda or '13'} or later, see: nvidia-smi"
    return Check("device", "warning", f"{found}, although there is an NVIDIA driver that torch cannot use", fix)


def cpu_bf16(torch) -> Check:
    """A CPU computes in bf16 only with an instruction for it (avx512_bf16, amx_bf16, bf16, sve_bf16, by maker)."""
    capability = torch.backends.cpu.get_cpu_capability()
    if any(has for name, has in torch.cpu.get_capabilities().items() if name.endswith("bf16")):
        return Check("bf16", "ok", f"computes on the CPU ({capability})")
    found = f"this CPU ({capability}) only emulates it, several times slower than float32"
    return Check("bf16", "warning", found, "set mixed precision to no, where the training runs on the CPU")


def disk() -> Check:
    place = Path(os.environ.get("LORATORY_HOME", ROOT))
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    found = f"{free:.1f} GB free at {place}"
    if free < 1:
        return Check("disk", "blocked", found, "make room, or let LORATORY_HOME name a folder on another disk")
    if free < 10:
        return Check("disk", "warning", found, "base models take 2 to 24 GB each; LORATORY_HOME may be on another disk")
    return Check("disk", "ok", found)


def memory() -> Check:
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return Check("memory", "blocked", "not known yet", SET_UP)
    state = psutil.virtual_memory()
    found = f"{state.available / 2**30:.1f} of {state.total / 2**30:.1f} GB free"
    tight = state.available < 6 * 2**30
    fix = "close other programs before loading a real model" if tight else ""
    return Check("memory", "warning" if tight else "ok", found, fix)


def chromium() -> Check:
    if path := shutil.which("chromium"):
        answer = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.strip()
        return Check("chromium", "ok", f"{answer or path} (only the tests need it)")
    fix = "apt install chromium, or your system's way; without it the browser tests are skipped"
    return Check("chromium", "warning", "not found (only the tests need it)", fix)


def hub() -> Check:
    """Can models be fetched by name? Any answer of the hub counts, an error page too."""
    address = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return Check("model hub", "ok", "not asked: HF_HUB_OFFLINE is set; models come from folders and files here")
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=4).close()
    except urllib.error.HTTPError:
        pass  # it answered
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        fix = "name local models, or set HTTPS_PROXY or HF_ENDPOINT; HF_HUB_OFFLINE=1 stops the asking"
        return Check("model hub", "warning", f"{address} cannot be reached ({reason})", fix)
    return Check("model hub", "ok", f"{address} answers")


def main() -> int:
    parser = argparse.ArgumentParser(prog="launch.py doctor", description="Checks what Loratory needs.")
    parser.add_argument("--json", action="store_true", help="print one JSON list instead of lines")
    as_json = parser.parse_args().json
    found = []
    for check in checks():
        found.append(check)
        if not as_json:
            print(f"{check.status:8} {check.name:10} {check.found}", flush=True)
            if check.fix:
                print(f"{'':19} -> {check.fix}", flush=True)
    if as_json:
        print(json.dumps([asdict(check) for check in found], indent=1))
    return 1 if any(check.status == "blocked" for check in found) else 0


if __name__ == "__main__":
    sys.exit(main())
