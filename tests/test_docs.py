"""Keeps the pages true: files that are named exist, commands that are shown are understood, made pages are as made."""

import importlib.util
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import launch
from captioners.config import CaptionConfig
from settings.section import settings
from trainer.config import TrainSettings

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/demo.md", "docs/doctor.md"]
PAGES += ["docs/cloud.md"]
PAGES += ["docs/tags.md", "docs/exchange.md", "docs/seen.md"]
PAGES += ["docs/resize.md", "docs/importing.md", "docs/runs.md"]
PAGES += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs" / "decisions").glob("*.md"))
MADE_LATER = ("workspace/", "model/", "log/", "reg/", "img/", "models/", "runs/")
MADE_LATER += ("requests/", "state/", "samples/", "answers/")  # of a job
MADE_LATER += ("token.txt",)  # of a workspace


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"^```\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, ...]]:
    """Every `python launch.py ...` in a block or in the text, as (page, arguments...)."""
    found = set()
    for page in PAGES:
        for line in re.findall(r"python launch\.py([^`\n]*)", text(page)):
            found.add((page, *shlex.split(line.partition(" #")[0].split(":")[0] if "#" in line else line)))
    return sorted(found)


def tree() -> dict[str, str]:
    """Name -> description of the README's list of files."""
    (block,) = [block for block in blocks("README.md") if "launch.py  " in block]
    return dict(re.match(r"(\S+)\s*(.*)", line).groups() for line in block.splitlines())


def tracked() -> set[str]:
    """What git has at the top, folders with a slash; hidden files are not for the README."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone, so the program's files cannot be told from yours")
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tops = {line.partition("/")[0] + "/" * ("/" in line) for line in listing.splitlines()}
    return {top for top in tops if not top.startswith(".") and top != "README.md"}


def test_the_readme_lists_every_file_and_folder():
    assert tracked() <= set(tree())
    assert [name for name in tree() if not (ROOT / name).exists()] == []


def test_the_readme_tells_the_verbs():
    told = re.search(r"verb in it: (.*)", tree()["launch.py"])[1].split(", ")
    assert set(told) == set(launch.VERBS)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", text(page))
    files = [target for target in targets if "://" not in target]
    assert [file for file in files if not (ROOT / page).parent.joinpath(file).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_named_in_the_text_exist(page):
    named = re.findall(r"`((?:[\w-]+/)+[\w.-]*|[\w/-]+\.(?:py|md|toml|txt|lock))`", text(page))
    named = [name for name in named if not name.startswith(MADE_LATER) and name not in ("config.toml", "log.txt")]
    assert [name for name in named if not (ROOT / name).exists()] == []


@cache
def help_of(verb: str) -> str:
    module = launch.VERBS[verb][0]
    result = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_are_understood(command):
    verb, arguments = launch.split(list(command[1:]))
    assert verb in launch.VERBS
    if verb == "test":
        assert all((ROOT / path).exists() for path in arguments if "/" in path)
        return
    options = {word.partition("=")[0].replace("-", "_") for word in arguments if word.startswith("--")}
    known = set(re.findall(r"--[\w.-]+", help_of(verb)))
    assert {option for option in options if option not in {name.replace("-", "_") for name in known}} == set()
    presets = [word for word in arguments if word.startswith("presets/")]
    assert all((ROOT / preset).is_file() for preset in presets)


def test_commands_are_found_at_all():
    verbs = {launch.split(list(command[1:]))[0] for command in commands()}
    assert verbs == set(launch.VERBS)


def test_made_pages_are_as_made():
    spec = importlib.util.spec_from_file_location("docs_make", ROOT / "docs" / "make.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    for name, made in make.pages().items():
        assert text(f"docs/{name}") == made, "run: python docs/make.py (with the Python of .venv)"


def test_the_options_page_has_every_setting():
    page = text("docs/options.md")
    paths = [setting.path for section in (TrainSettings, CaptionConfig) for setting in settings(section)]
    assert all(f"| `{path}` |" in page for path in paths)
