"""What a person types becomes no program, no flag, no file elsewhere and no address: see test_exposure_rules.py."""

import ast
import json
from pathlib import Path

import pytest

from captioners import weights
from settings.errors import SettingsError, check
from settings.section import settings
from trainer import command
from trainer.base_model import models
from trainer.config import TrainSettings

ROOT = Path(__file__).resolve().parents[2]
OURS = [path for name in ("gui", "jobs", "trainer", "captioners", "dataset", "settings", "setup")
        for path in sorted((ROOT / name).rglob("*.py"))] + [ROOT / "launch.py"]


def calls(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_rule_16_no_shell_and_no_code_from_text(path):
    for name, call in calls(path):
        assert name not in ("os.system", "os.popen", "eval", "exec", "subprocess.getoutput"), (path, call.lineno)
        assert not any(word.arg == "shell" for word in call.keywords), (path, call.lineno)
        if name.startswith("subprocess.") and call.args:
            first = call.args[0]
            text = isinstance(first, ast.JoinedStr) or isinstance(first, ast.Constant) and isinstance(first.value, str)
            assert not text, (path, call.lineno)


HOSTILE = ['"; touch X; "', "$(touch X)", "`touch X`", "a\n--no_python", "--module", "-x", "--no_python evil", "a b;c"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_rules_17_18_and_19_no_text_of_a_form_reaches_a_command(hostile):
    usual = command.argv(TrainSettings())
    for setting in settings(TrainSettings):
        if setting.type is not str or setting.choices:
            continue
        values: dict = {}
        place = values
        *above, last = setting.path.split(".")
        for name in above:
            place = place.setdefault(name, {})
        place[last] = hostile
        try:
            config = check(TrainSettings, values)
        except SettingsError:
            continue
        assert command.argv(config) == usual, setting.path
    assert "shell" not in json.dumps(usual) and usual[-1] == "{job}"


@pytest.mark.parametrize("name", [*HOSTILE, "..", ".", "../x", "a/b", "a\\b", "-x", "", "x" * 65, "名", "a\0", "~"])
def test_rule_20_names_of_a_lora(name):
    with pytest.raises(SettingsError) as error:
        check(TrainSettings, {"name": name})
    assert "name" in error.value.problems


SPEAKS = {"captioners/writers/online.py", "captioners/clip/published.py", "setup/doctor.py"}  # to a host that was named
DOWNLOADS = {"captioners/weights.py"}  # by the hub's own library
QUIET = {"trainer/base_model/models.py", "gui/__main__.py"}  # the hub's cache on this disk; the port that we listen on
NETWORK = {"urllib.request", "http.client", "requests", "httpx", "httpx2", "aiohttp", "socket", "huggingface_hub"}


def test_rules_25_and_26_who_speaks_to_the_network():
    speaking = set()
    for path in OURS:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            if NETWORK & set(modules):
                speaking.add(name)
    assert speaking == SPEAKS | DOWNLOADS | QUIET


URLS = ["http://evil.example/x", "https://huggingface.co/a/b", "a/b/c", "../a", "a b/c", "-x/y", "a/b?x", "//a/b"]


@pytest.mark.parametrize("url", URLS)
def test_rules_25_and_26_a_repository_is_a_name_and_no_address(url):
    assert not models.HUB_NAME.fullmatch(url) and not weights.HUB_NAME.fullmatch(url)
