"""Which packages come from where: the lock, torch's own index, the person's pip settings."""

import sys
from pathlib import Path

import pytest

from setup import packages

LOCK = """# made by uv
numpy==2.4.6 ; python_full_version < '3.12'
    # via torch
numpy==2.5.5 ; python_full_version >= '3.12'
colorama==0.4.6 ; sys_platform == 'win32'
nvidia-cublas==13.4.1.3 ; sys_platform == 'linux'
torch==2.15.0
torchvision==0.29.2
triton==3.9.0 ; python_full_version < '3.16' and sys_platform == 'linux'
"""


@pytest.fixture
def lock(tmp_path) -> Path:
    (tmp_path / "bin").mkdir()
    (tmp_path / "requirements.lock").write_text(LOCK)
    return tmp_path / "requirements.lock"


@pytest.fixture(autouse=True)
def no_torch_index(monkeypatch):
    monkeypatch.delenv("LORATORY_TORCH_INDEX", raising=False)


@pytest.mark.parametrize(
    "system, driver, index",
    [
        ("linux", True, ""),
        ("darwin", False, ""),
        ("win32", False, ""),
        ("win32", True, "https://download.pytorch.org/whl/cu132"),
    ],
)
def test_torch_comes_from_its_own_index_only_for_cuda_on_windows(monkeypatch, system, driver, index):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(packages.shutil, "which", lambda name: "C:/nvidia-smi.exe" if driver else None)
    assert packages.torch_index() == index


def test_one_call_without_an_index_of_its_own(lock):
    assert packages.steps(lock.parent / "bin" / "python", lock) == [["--no-deps", "-r", str(lock)]]


def test_torch_first_then_all_that_does_not_belong_to_it(lock, monkeypatch):
    monkeypatch.setenv("LORATORY_TORCH_INDEX", "https://index.example/cpu")
    first, second = packages.steps(lock.parent / "bin" / "python", lock)
    assert first == ["--index-url", "https://index.example/cpu", "torch==2.15.0", "torchvision==0.29.2"]
    assert second[:2] == ["--no-deps", "-r"]
    rest = Path(second[2]).read_text()
    assert "numpy==2.4.6" in rest and "colorama" in rest
    assert not any(name in rest for name in ("torch==", "torchvision==", "nvidia", "triton"))


def test_packages_of_other_systems_are_not_counted(lock, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    assert list(packages.pinned(lock)) == ["numpy", "nvidia-cublas", "torch", "torchvision", "triton"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert list(packages.pinned(lock)) == ["numpy", "torch", "torchvision"]


@pytest.fixture
def pip_only(monkeypatch):
    """An environment without the settings of the machine that the test runs on."""
    for name in list(packages.os.environ):
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", packages.os.devnull)
    return monkeypatch


def test_pips_settings_are_passed_on_to_uv(pip_only, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://files.example/simple\nextra-index-url =\n    https://a.example\n    https://b.example\n"
        "trusted-host = a.example\ncert = /etc/own.pem\nproxy = http://proxy.example:3128\n"
    )
    pip_only.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    pip_only.setenv("PIP_INDEX_URL", "https://wins.example/simple")
    options, variables = packages.pip_settings()
    assert options == [
        *("--index-url", "https://wins.example/simple"),
        *("--extra-index-url", "https://a.example", "--extra-index-url", "https://b.example"),
        *("--allow-insecure-host", "a.example", "--index-strategy", "unsafe-best-match"),
    ]
    proxy = "http://proxy.example:3128"
    assert variables == {"SSL_CERT_FILE": "/etc/own.pem", "HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}


def test_no_settings_no_options(pip_only):
    assert packages.pip_settings() == ([], {})


def test_uvs_own_indices_are_left_alone(pip_only):
    pip_only.setenv("PIP_INDEX_URL", "https://files.example/simple")
    pip_only.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert packages.pip_settings() == ([], {})


def test_differences_name_what_is_missing_or_another_version(tmp_path):
    import packaging

    lines = [
        f"packaging=={packaging.__version__}",
        "pytest==0.1",
        "no-such-package==1.0",
        "not-for-us==1.0 ; sys_platform == 'plan9'",
    ]
    (tmp_path / "lock").write_text("\n".join(lines))
    assert packages.differences(tmp_path / "lock") == ["pytest==0.1", "no-such-package==1.0"]
    assert packages.differences_in(Path(sys.executable), tmp_path / "lock") == ["pytest==0.1", "no-such-package==1.0"]


def test_torn_packages_are_forgotten(tmp_path):
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name, files in {"whole": ["RECORD", "INSTALLER"], "torn": ["METADATA"], "torn2": ["RECORD"]}.items():
        (site / f"{name}-1.0.dist-info").mkdir(parents=True)
        for file in files:
            (site / f"{name}-1.0.dist-info" / file).touch()
    packages.discard_torn(tmp_path)
    assert [info.name for info in site.iterdir()] == ["whole-1.0.dist-info"]


def test_pips_lines_become_words(tmp_path):
    progress = packages.PipProgress(3, tmp_path)
    words = progress.after("Collecting nvidia-cublas==13.4 (from -r a.lock (line 75))")
    assert words == "fetching 1 of 3: nvidia-cublas"
    assert progress.after("Downloading nvidia_cublas-13.4-py3-none.whl (423.1 MB)").endswith("nvidia-cublas, 423.1 MB")
    assert progress.after("Requirement already satisfied: numpy in ./lib") == "fetching 2 of 3: numpy"
    progress.after("Installing collected packages: numpy, torch")
    (tmp_path / "numpy-2.0.dist-info").mkdir()
    assert progress.after("") == "unpacking 1 of 3"


def test_progress_off_a_terminal_is_a_line_every_ten_seconds(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    monkeypatch.setattr(packages.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    show = packages.Status()
    show("fetching 1 of 104: absl-py")
    show("fetching 40 of 104: torch, 900 MB")
    show("fetching 41 of 104: toml")
    assert capsys.readouterr().err == "  fetching 40 of 104: torch, 900 MB\n"


def test_wheels_of_the_lock_carry_no_markers_the_counter_cannot_read():
    """`pinned` looks at sys_platform only; the lock must not start to tell systems apart in other words."""
    lock = Path(__file__).resolve().parents[2] / "requirements.lock"
    assert "platform_system" not in lock.read_text() and "os_name" not in lock.read_text()
    assert {"torch", "gradio", "diffusers"} <= set(packages.pinned(lock))
