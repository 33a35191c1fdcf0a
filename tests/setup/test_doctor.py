"""Each check tells the three cases apart, and a finding that is not `ok` comes with its fix."""

import http.server
import json
import sys
import threading
from types import SimpleNamespace

import pytest

from setup import doctor

GB = 2**30


def fake_torch(free=20 * GB, bf16=True, cuda=True, capabilities=()):
    gpu = SimpleNamespace(
        is_available=lambda: cuda,
        mem_get_info=lambda: (free, 24 * GB),
        device_count=lambda: 2,
        get_device_name=lambda: "Model X",
        is_bf16_supported=lambda including_emulation: bf16,
    )
    backends = SimpleNamespace(
        mps=SimpleNamespace(is_available=lambda: False), cpu=SimpleNamespace(get_cpu_capability=lambda: "AVX2")
    )
    return SimpleNamespace(
        __version__="2.15.0+cu132",
        version=SimpleNamespace(cuda="13.2", hip=None),
        cuda=gpu,
        cpu=SimpleNamespace(get_capabilities=lambda: {"avx2": True, "amx_bf16": False} | dict(capabilities)),
        backends=backends,
        get_num_threads=lambda: 4,
    )


@pytest.fixture
def with_torch(monkeypatch):
    """Checks torch and the device with a stand-in for torch, and returns {name: check}."""
    real = doctor.importlib.import_module

    def look(torch):
        monkeypatch.setattr(doctor.importlib, "import_module", lambda name: torch if name == "torch" else real(name))
        return {check.name: check for check in doctor.torch_and_device()}

    return look


def test_a_gpu_with_room(with_torch):
    found = with_torch(fake_torch())
    assert found["device"].status == "ok" and "Model X, 20.0 of 24.0 GB free, and 1 more" == found["device"].found
    assert found["bf16"].status == "ok" and "2.15.0+cu132" in found["torch"].found


def test_a_full_gpu_and_one_without_bf16(with_torch):
    found = with_torch(fake_torch(free=2 * GB, bf16=False))
    assert found["device"].status == "warning" and found["bf16"].fix == "set mixed precision to fp16"


def test_a_driver_that_torch_cannot_use(with_torch, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    found = with_torch(fake_torch(cuda=False))
    assert found["device"].status == "warning" and "driver" in found["device"].fix


def test_a_cpu_is_fine(with_torch, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert with_torch(fake_torch(cuda=False))["device"].status == "ok"


@pytest.mark.parametrize("capability", [{"avx512_bf16": True}, {"bf16": True}])
def test_a_cpu_with_an_instruction_for_bf16(capability, with_torch):
    assert with_torch(fake_torch(cuda=False, capabilities=capability))["bf16"].status == "ok"


def test_a_cpu_that_only_emulates_bf16(with_torch):
    found = with_torch(fake_torch(cuda=False))["bf16"]
    assert found.status == "warning" and "only emulates" in found.found and "mixed precision to no" in found.fix


def test_torch_and_torchvision_that_do_not_pair(with_torch, monkeypatch):
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy", "torch (>=2.16.0)"])
    found = with_torch(fake_torch())
    assert list(found) == ["torch"] and found["torch"].status == "blocked" and ">=2.16.0" in found["torch"].found


def test_torch_that_does_not_load(monkeypatch):
    def broken(name):
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    (found,) = doctor.torch_and_device()
    assert found.status == "blocked" and "libcudart" in found.found and "delete the folder .venv" in found.fix


@pytest.mark.parametrize("free, status", [(0.5, "blocked"), (5, "warning"), (100, "ok")])
def test_disk(free, status, monkeypatch, tmp_path):
    monkeypatch.setenv("LORATORY_HOME", str(tmp_path / "not" / "made yet"))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=free * 1e9))
    found = doctor.disk()
    assert found.status == status and str(tmp_path) in found.found and bool(found.fix) == (status != "ok")


class Forbidden(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):  # noqa: N802  the name is http.server's
        self.send_error(403)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub_address():
    server = http.server.HTTPServer(("127.0.0.1", 0), Forbidden)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_hub_that_answers(monkeypatch, hub_address):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", hub_address)
    assert doctor.hub().status == "ok"


def test_hub_that_does_not(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = doctor.hub()
    assert found.status == "warning" and "cannot be reached" in found.found and "HF_HUB_OFFLINE=1" in found.fix


def test_hub_is_not_asked_when_offline(monkeypatch):
    monkeypatch.setattr(doctor.urllib.request, "urlopen", lambda *_, **__: pytest.fail("asked"))
    assert doctor.hub().status == "ok"


@pytest.mark.parametrize("status, code", [("ok", 0), ("warning", 0), ("blocked", 1)])
def test_exit_code_and_json(status, code, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "checks", lambda: iter([doctor.Check("disk", status, "there", "mend it")]))
    monkeypatch.setattr(sys, "argv", ["doctor", "--json"])
    assert doctor.main() == code
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"name": "disk", "status": status, "found": "there", "fix": "mend it"}
    monkeypatch.setattr(sys, "argv", ["doctor"])
    assert doctor.main() == code
    assert "-> mend it" in capsys.readouterr().out
