"""What is where in the Captions room, for the tests that walk it with the toy captioners."""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect

from captioners import captioners
from tests.browser.conftest import HOSTILE, ROOT, Visit

LONG = 300_000  # ms; models are loaded on two busy cores
MODELS = ROOT / "toy" / "models"
TOYS = {"wd_tagger": "WD tagger", "blip": "BLIP", "clip_interrogate": "CLIP interrogate"}


def four(folder: Path) -> Path:
    """Four of the demo's pictures; one has a caption that somebody wrote."""
    folder.mkdir()
    for path in sorted((ROOT / "toy" / "images").glob("*.png"))[:4]:
        shutil.copy(path, folder)
    first(folder).write_text(f"{HOSTILE}, >_<\n", encoding="utf-8")
    return folder


def first(folder: Path) -> Path:
    return min(folder.glob("*.png")).with_suffix(".txt")


def captions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.txt")}


def tile(page: Page, name: str):
    return page.locator(f".lor-tile:has(b:text-is({name!r})) input")


def choose(page: Page, *names: str) -> None:
    """These captioners in this order, each with its toy model."""
    for box in page.locator(".lor-tile.chosen input").all():
        box.uncheck()
    for name in names:
        tile(page, TOYS[name]).check()
        page.locator(f"#captions-{name}-model input").fill(toy(name))
    for name in names:
        expect(page.locator("#desk")).to_contain_text(toy(name))


def toy(name: str) -> str:
    return f"toy/models/{captioners()[name].toy or name}"


def enter(visit: Visit, folder: Path) -> Page:
    page = visit.page
    visit.open("Captions")
    page.get_by_label("Folders", exact=True).fill(str(folder))
    return page


def finished(page: Page) -> None:
    """Not the run before it, whose end is shown until the new one has begun."""
    expect(page.locator("#desk")).to_contain_text("All of them have a caption already", timeout=LONG)
    expect(page.locator("#captioned")).to_contain_text("Finished in", timeout=LONG)
