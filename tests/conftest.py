"""What holds for every test: no network, a workspace of its own, one computing thread, GPU tests only with a GPU,
long files first.

The variables are set before anything is imported, because torch and huggingface_hub read them at import.
"""

import atexit
import os
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["LORATORY_HOME"] = tempfile.mkdtemp(prefix="loratory-tests-")  # for what runs outside a test's own fixture
atexit.register(shutil.rmtree, os.environ["LORATORY_HOME"], ignore_errors=True)
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # each worker is a process of its own: more threads only fight over the cores

import pytest  # noqa: E402  after the variables


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """A fresh workspace folder for each test; made by whoever first writes to it."""
    home = tmp_path / "workspace"
    monkeypatch.setenv("LORATORY_HOME", str(home))
    return home


def pytest_collection_modifyitems(items):
    """Long files first. Skips tests marked `gpu` without a CUDA device; torch is imported only when there are some."""
    items.sort(key=lambda item: not item.get_closest_marker("long"))
    gpu_tests = [item for item in items if item.get_closest_marker("gpu")]
    if not gpu_tests:
        return
    import torch

    if not torch.cuda.is_available():
        for item in gpu_tests:
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
