"""What launch.py does before any environment exists: the Python version, the verbs, the words for a mistake."""

import ast
import importlib.util
import sys
from collections import namedtuple
from pathlib import Path

import pytest

import launch

SOURCE = Path(launch.__file__).read_text(encoding="utf-8")
Version = namedtuple("Version", "major minor micro")


def test_an_old_python_can_read_it():
    ast.parse(SOURCE, feature_version=(3, 8))
    names = {alias.name for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("version", [(3, 8, 18), (3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_another_python_gets_one_clear_line(version, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", Version(*version))
    assert launch.main([]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "3.11, 3.12 or 3.13" in said and ".".join(map(str, version)) in said


@pytest.mark.parametrize(
    "arguments, verb, rest",
    [
        ([], "studio", []),
        (["--port", "8000"], "studio", ["--port", "8000"]),
        (["train", "a.toml", "--dry-run"], "train", ["a.toml", "--dry-run"]),
        (["--help"], "--help", []),
    ],
)
def test_no_verb_means_the_studio(arguments, verb, rest):
    assert launch.split(arguments) == (verb, rest)


@pytest.mark.parametrize("typed, meant", [("trian", "train"), ("prepair", "prepare"), ("tests", "test")])
def test_an_unknown_verb_names_the_nearest(typed, meant, capsys):
    assert launch.main([typed]) == 2
    assert f"did you mean `{meant}`?" in capsys.readouterr().err


def test_a_verb_like_no_other_gets_them_all(capsys):
    assert launch.main(["xyzzy"]) == 2
    said = capsys.readouterr().err
    assert all(verb in said for verb in launch.VERBS)


def test_help_names_every_verb(capsys):
    assert launch.main(["help"]) == 0
    told = capsys.readouterr().out
    assert all(f"\n  {verb} " in told for verb in launch.VERBS)


@pytest.mark.parametrize("verb", launch.VERBS)
def test_every_verb_has_its_module(verb):
    module = launch.VERBS[verb][0]
    assert importlib.util.find_spec(module) is not None
    if importlib.util.find_spec(module).submodule_search_locations:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_verbs_get_their_arguments_and_tests_their_lock(monkeypatch):
    from setup import environment

    ensured, ran = [], []
    monkeypatch.setattr(environment, "ensure", lambda _, locks: ensured.append(locks))
    monkeypatch.setattr(environment.Environment, "run", lambda _, *what: ran.append(what) or 0)
    monkeypatch.chdir(".")  # `test` goes to the repository: come back afterwards
    assert launch.main(["train", "a b.toml", "--run.seed", "7"]) == 0
    assert launch.main(["test", "-k", "plan"]) == 0
    assert launch.main(["doctor"]) == 0  # looks, and installs nothing
    assert ensured == [["requirements.lock"], ["requirements.lock", "tests/requirements.lock"]]
    assert ran[0] == ("trainer.command", ["a b.toml", "--run.seed", "7"])
    assert ran[1][0] == "pytest" and ran[1][1][-2:] == ["-k", "plan"]
    assert ran[2] == ("setup.doctor", [])


def test_a_set_up_that_fails_is_one_line_and_not_a_traceback(monkeypatch, capsys):
    from setup import environment

    def fail(*_):
        raise environment.SetupError("no room on the disk")

    monkeypatch.setattr(environment, "ensure", fail)
    assert launch.main(["demo"]) == 2
    assert capsys.readouterr().err == "no room on the disk\n"
