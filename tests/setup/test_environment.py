"""The whole life of `.venv`, with a lock of one tiny wheel that the test builds, so that no network is needed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = shutil.which("uv")
PROBE = """import json, os, sys, tinypin
print(json.dumps({"path": sys.path[0], "tinypin": tinypin.VALUE, "arguments": sys.argv[1:], "folder": os.getcwd()}))
"""


def wheel(index: Path, name: str, version: str) -> Path:
    """A pure-Python wheel whose VALUE is its version, in a package index that is a folder."""
    info, folder = f"{name}-{version}.dist-info", index / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        text = f"VALUE = {version!r}\n" + "#" * int(version[0])  # what was compiled is known by size
        file.writestr(f"{name}.py", text)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    links = "".join(f'<a href="{quote(file.name)}">{file.name}</a>\n' for file in sorted(folder.glob("*.whl")))
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return path


class Copy:
    """A copy of launch.py and what it imports, whose only verb package is a `gui` that tells what it sees."""

    def __init__(self, folder: Path, uv: bool):
        root = folder / "a folder, with 'Юникод'" / "loratory"
        self.root, self.index, self.bin = root, folder / "simple", folder / "bin"
        for new in (root, self.index, self.bin):
            new.mkdir(parents=True)
        shutil.copy(ROOT / "launch.py", root)
        for package in ("setup", "jobs"):
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        (root / "gui").mkdir()
        (root / "gui" / "__main__.py").write_text(PROBE)
        self.more: dict[str, str] = {}
        self.lock("1.0")
        if uv:
            (self.bin / "uv").write_text(f'#!/bin/sh\nexec "{UV}" "$@"\n')
            (self.bin / "uv").chmod(0o755)

    def lock(self, version: str) -> None:
        wheel(self.index, "tinypin", version)
        (self.root / "requirements.lock").write_text(f"# made by hand\ntinypin=={version}\n    # via a test\n")

    def variables(self) -> dict[str, str]:
        """The person's: pip is told of an index, and uv has to hear it from pip."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
        local = {"PIP_INDEX_URL": self.index.as_uri(), "PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": "/nowhere"}
        local |= {"UV_CACHE_DIR": str(self.index.parent / "cache")}
        return {**kept, **local, **self.more, "PATH": os.pathsep.join([str(self.bin), "/usr/bin", "/bin"])}

    def command(self, *arguments: str) -> list[str]:
        return [getattr(sys, "_base_executable", sys.executable), str(self.root / "launch.py"), *arguments]

    def start(self, *arguments: str) -> subprocess.CompletedProcess:
        pipes = {"capture_output": True, "text": True}
        return subprocess.run(self.command(*arguments), cwd=self.root.parent, env=self.variables(), **pipes)

    def note(self) -> dict:
        return json.loads((self.root / ".venv" / "loratory.json").read_text())

    def package(self) -> Path:
        return next((self.root / ".venv").rglob("tinypin.py"))


@pytest.fixture(params=["pip", "uv"])
def copy(request, tmp_path) -> Copy:
    """For what each installer has to do itself."""
    if request.param == "uv" and not UV:
        pytest.skip("uv is not on the PATH")
    return Copy(tmp_path, uv=request.param == "uv")


@pytest.fixture
def quick(tmp_path) -> Copy:
    """For what does not depend on the installer: with uv where there is one, because pip takes seconds."""
    return Copy(tmp_path, uv=bool(UV))


def told(result: subprocess.CompletedProcess) -> dict:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def test_first_start_installs_and_the_second_does_not(copy):
    first = copy.start("--port", "8000")
    seen = told(first)
    assert seen == {
        "path": str(copy.root),
        "tinypin": "1.0",
        "arguments": ["--port", "8000"],
        "folder": str(copy.root.parent),
    }
    assert "Making .venv" in first.stderr and "Installing 1 packages of requirements.lock" in first.stderr
    began = os.times()
    second = copy.start("studio")
    assert os.times().children_user - began.children_user < 5  # about 0.1 s; an installation takes longer
    assert told(second)["tinypin"] == "1.0" and second.stderr == ""


def test_packages_are_compiled_once_whatever_the_machine_says(quick):
    """Images of rented machines often forbid it, and importing torch then takes many times as long, every time."""
    quick.more = {"PYTHONDONTWRITEBYTECODE": "1"}
    told(quick.start())
    assert list(quick.package().parent.glob("__pycache__/tinypin.*"))


def test_a_new_lock_is_installed_into_the_same_environment(quick):
    told(quick.start())
    made = (quick.root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    quick.lock("2.0")
    assert told(quick.start())["tinypin"] == "2.0"
    assert (quick.root / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made


def test_an_interrupted_installation_goes_on(copy):
    told(copy.start())
    info = next((copy.root / ".venv").rglob("tinypin-1.0.dist-info"))
    (info / "RECORD").unlink()  # as left by an installer that was killed while unpacking
    copy.package().unlink()
    note = copy.note()
    (copy.root / ".venv" / "loratory.json").write_text(json.dumps({**note, "installed": {}}))
    assert told(copy.start())["tinypin"] == "1.0"


@pytest.mark.parametrize("harm", ["python gone", "python dead", "half made", "moved", "note torn"])
def test_a_broken_environment_is_rebuilt(quick, harm):
    told(quick.start())
    venv = quick.root / ".venv"
    if harm == "python gone":
        for python in (venv / "bin").glob("python*"):
            python.unlink()
    elif harm == "python dead":
        (venv / "bin" / "python").unlink()
        (venv / "bin" / "python").write_text("#!/bin/sh\nexit 3\n")
        (venv / "bin" / "python").chmod(0o755)
    elif harm == "half made":
        note = {key: value for key, value in quick.note().items() if key != "python"}
        (venv / "loratory.json").write_text(json.dumps(note))
    elif harm == "moved":
        quick.root = quick.root.rename(quick.root.with_name("moved"))
    elif harm == "note torn":
        shutil.rmtree(venv)
        venv.mkdir()
        (venv / ".loratory.json.123").write_text("{")  # killed before the note was in place
    assert told(quick.start())["tinypin"] == "1.0"
    assert not list(quick.root.glob(".venv-old-*"))


def test_a_failed_installation_says_so_and_is_taken_up_again(quick):
    hidden = quick.index.rename(quick.index.with_name("hidden"))
    quick.index.mkdir()
    failed = quick.start()
    assert failed.returncode == 2 and "Set-up did not finish" in failed.stderr and "tinypin" in failed.stderr
    assert "Traceback" not in failed.stderr
    quick.index.rmdir()
    hidden.rename(quick.index)
    again = quick.start()
    assert told(again)["tinypin"] == "1.0" and "Making" not in again.stderr


def test_torch_from_an_index_of_its_own(copy):
    own = copy.index.parent / "own"
    wheel(own, "torch", "2.15.0+own")
    lock = ["nvidia-cublas==13.4 ; sys_platform != ''", "tinypin==1.0", "torch==2.15.0"]
    (copy.root / "requirements.lock").write_text("\n".join(lock))
    copy.more["LORATORY_TORCH_INDEX"] = own.as_uri()
    assert told(copy.start())["tinypin"] == "1.0"
    assert (copy.package().parent / "torch-2.15.0+own.dist-info").is_dir()
    del copy.more["LORATORY_TORCH_INDEX"]  # it is asked when .venv is made, not at every start
    assert copy.start().stderr == ""


def test_uv_that_fails_is_replaced_by_pip(quick):
    (quick.bin / "uv").write_text("#!/bin/sh\necho uv is unwell >&2\nexit 2\n")
    (quick.bin / "uv").chmod(0o755)
    result = quick.start()
    assert told(result)["tinypin"] == "1.0"
    assert "uv is unwell" in result.stderr and "trying pip" in result.stderr


def test_two_starts_at_once_set_up_once(quick):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(quick.command(), env=quick.variables(), **pipes) for _ in range(2)]
    outputs = [process.communicate(timeout=600) for process in both]
    assert [json.loads(out)["tinypin"] for out, _ in outputs] == ["1.0", "1.0"]
    assert sum("Making .venv" in err for _, err in outputs) == 1


def own_venv(copy: Copy) -> Path:
    subprocess.run([copy.command()[0], "-m", "venv", "--without-pip", copy.root / ".venv"], check=True)
    (copy.root / ".venv" / "mine.txt").write_text("precious")
    return copy.root / ".venv" / "bin" / "python"


def test_somebody_elses_environment_is_never_changed(quick):
    own_venv(quick)
    result = quick.start()
    assert result.returncode == 2 and "not made by launch.py and lacks tinypin==1.0" in result.stderr
    assert (quick.root / ".venv" / "mine.txt").read_text() == "precious"
    assert not list((quick.root / ".venv").rglob("tinypin*"))


def test_somebody_elses_broken_environment_is_left_alone(quick):
    (quick.root / ".venv").mkdir()
    (quick.root / ".venv" / "mine.txt").write_text("precious")
    result = quick.start()
    assert result.returncode == 2 and "Rename it" in result.stderr
    assert (quick.root / ".venv" / "mine.txt").exists()


def test_somebody_elses_complete_environment_is_used(quick):
    python = own_venv(quick)
    (quick.root / "requirements.lock").write_text("tinypin==1.0\n")
    source = site_packages(python)
    with zipfile.ZipFile(wheel(quick.index, "tinypin", "1.0")) as file:
        file.extractall(source)
    packaging = Path(__import__("packaging").__file__).parent
    shutil.copytree(packaging, source / "packaging")  # the comparison reads markers with it; a real lock installs it
    assert told(quick.start())["tinypin"] == "1.0"
    assert quick.note()["made_by_launch"] is False
    (python.parent.parent / "bin" / "python").unlink()
    assert "Rename it" in quick.start().stderr and (quick.root / ".venv" / "mine.txt").exists()


def site_packages(python: Path) -> Path:
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip())


def test_doctor_works_before_anything_is_installed(quick):
    result = quick.start("doctor", "--json")
    found = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.returncode == 1
    assert found[".venv"]["status"] == "blocked" and found[".venv"]["fix"] == "run: python launch.py"
    assert found["Python"]["status"] == "ok" and not (quick.root / ".venv").exists()
