"""The Captions room with the toy captioners: from a folder to captions, a moved threshold, and back again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from captioners import captioners
from tests.browser.conftest import HOSTILE, PATIENCE, ROOT, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)
LONG = 300_000  # ms; models are loaded on two busy cores
MODELS = ROOT / "toy" / "models"
TOYS = {"wd_tagger": "WD tagger", "blip": "BLIP", "clip_interrogate": "CLIP interrogate"}

pytestmark = pytest.mark.skipif(not (MODELS / "wd_tagger").is_dir(), reason="the toy tagger is not there")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A window whose captioning jobs are real ones."""
    running = Server(tmp_path_factory.mktemp("home"), ["-m", "gui"], OMP_NUM_THREADS="1").start()
    yield running
    running.stop()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four of the demo's pictures; one has a caption that somebody wrote."""
    folder = tmp_path / "my 'cat' <b>"
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


def test_from_a_folder_to_captions_and_back(visit: Visit, server: Server, pictures: Path, picture) -> None:
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Caption these pictures").click()
    expect(page.get_by_label("Folders", exact=True)).to_have_value(str(pictures))
    expect(page.locator("#desk")).to_contain_text("3 pictures without a caption get one")
    choose(page, "wd_tagger")
    expect(page.locator("#desk")).to_contain_text("Comes with Loratory")
    before = captions(pictures)

    page.get_by_role("button", name="Test on one picture").click()
    expect(page.locator("#trial .lor-tag").first).to_be_visible(timeout=LONG)
    expect(page.locator("#trial")).to_contain_text("It would be captioned")
    assert captions(pictures) == before

    page.get_by_role("button", name="Caption 3 pictures").click()
    finished(page)
    expect(page.locator("#captioned .lor-strip .lor-result")).to_have_count(3)
    expect(page.locator("#results .lor-result")).to_have_count(3)
    page.wait_for_function("() => [...document.querySelectorAll('.lor-strip img')].every((i) => i.naturalWidth)")
    expect(page.locator("#desk")).to_contain_text("All of them have a caption already")
    after = captions(pictures)
    assert len(after) == 4 and before.items() <= after.items()
    assert all("creature" in text for name, text in after.items() if name not in before)
    picture("captions")

    page.locator("#past").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("3 files as before.")).to_be_visible()
    assert captions(pictures) == before
    page.reload()
    visit.open("Captions")
    page.locator("#past").get_by_role("button", name="Redo").click()
    expect(page.get_by_text("3 files done again.")).to_be_visible()
    assert captions(pictures) == after


def test_a_moved_threshold_shows_other_tags_at_once(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    choose(page, "wd_tagger")
    page.get_by_role("button", name="Caption 3 pictures").click()
    finished(page)
    page.get_by_role("button", name="Next").click()
    chosen = page.locator("#trial .lor-tag.chosen")
    expect(chosen.filter(has_text="cat_ears")).to_have_count(1)
    page.get_by_label("General threshold", exact=True).and_(page.locator("[type=range]")).fill("1")
    expect(chosen.filter(has_text="cat_ears")).to_have_count(0)
    expect(page.locator("#trial .lor-tag").filter(has_text="cat_ears")).to_have_count(1)
    expect(page.locator("#captions-wd_tagger-general_threshold input")).to_have_value("1")
    expect(chosen.filter(has_text="creature")).to_have_count(1)

    before = captions(pictures)
    page.locator("#trial").get_by_role("button", name="Show what would change").click()
    expect(page.locator("#captioned")).to_contain_text("Nothing was written.", timeout=LONG)
    expect(page.locator("#results del").filter(has_text="cat ears").first).to_be_visible()
    expect(page.locator("#results")).to_contain_text(HOSTILE)
    assert captions(pictures) == before
    page.locator("#captioned").get_by_role("button", name="Write these 4 captions").click()
    expect(page.locator("#captioned")).not_to_contain_text("Nothing was written", timeout=LONG)
    finished(page)
    assert set(captions(pictures).values()) == {"creature (toy world)\n"}
    page.locator("#captioned").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("4 files as before.")).to_be_visible()
    assert captions(pictures) == before


def test_several_captioners_in_one_run(visit: Visit, pictures: Path) -> None:
    """As many of the toy captioners as are there, joined by a template."""
    there = [name for name in TOYS if (ROOT / toy(name)).is_dir()]
    page = enter(visit, pictures)
    page.locator("#captions-guide").get_by_label("Expert").check()
    choose(page, *there)
    if "clip_interrogate" in there:  # it begins with what BLIP has said
        page.locator("#captions-clip_interrogate-caption_model input").fill("")
    page.locator("#captions-trigger input").fill("sks")
    page.locator("#captions-template input").fill("{trigger}, {blip}, {wd_tagger}")
    page.get_by_role("button", name="Caption 3 pictures").click()
    finished(page)
    new = [text for name, text in captions(pictures).items() if name != first(pictures).stem]
    assert len(new) == 3 and all(text.startswith("sks, a ") and "cat ears" in text for text in new)
    page.get_by_role("button", name="Open in Runs").click()
    run = page.locator(".lor-run")
    expect(run.locator(".lor-result")).to_have_count(3)
    expect(run).to_contain_text("had one already")
    expect(run.locator("canvas:visible")).to_have_count(0)
    run.get_by_role("button", name="Load these settings into the form").first.click()
    expect(page.locator("#captions-trigger input")).to_be_visible()
    expect(page.locator(".lor-tile.chosen")).to_have_count(len(there))


def test_strangers_words_stay_words(visit: Visit, tmp_path: Path) -> None:
    visit.expected.append("404")  # broken.jpg has no thumbnail
    folder = draw_pictures(tmp_path / HOSTILE, 3)
    page = enter(visit, folder)
    for box in page.locator(".lor-tile.chosen input").all():
        box.uncheck()
    tile(page, "Existing caption").check()
    page.locator("#captions-trigger input").fill("<i>sks</i>, >_<")
    page.locator("#captions-write-mode input").click()
    page.get_by_role("option", name="overwrite").click()
    expect(page.locator("#desk")).to_contain_text("captions are replaced")
    page.get_by_role("button", name="Show what would change").first.click()
    expect(page.locator("#captioned")).to_contain_text("Nothing was written.", timeout=LONG)
    expect(page.locator("#results ins").first).to_have_text("<i>sks</i>")
    expect(page.locator("#results")).to_contain_text(HOSTILE)
    page.get_by_role("radio", name="Failed").check()
    expect(page.locator("#results")).to_contain_text("broken.jpg")
    assert page.locator("img[src=x], #results i").count() == 0


def test_what_is_missing_is_said_and_nothing_comes_unasked(visit: Visit, server: Server, pictures: Path) -> None:
    page = visit.page
    visit.open("Captions")
    jobs = server.jobs()
    page.locator("#captions-start").click()
    expect(page.locator("#captions-source-folders .lor-problem")).to_contain_text("choose a folder")
    page.get_by_label("Folders", exact=True).fill(str(pictures))
    expect(page.locator("#captions-source-folders .lor-problem")).to_have_count(0)
    expect(page.locator("#desk")).to_contain_text("Not on this machine")
    page.locator("#captions-start").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("licence")
    dialog.get_by_role("button", name="Cancel").click()
    assert server.jobs() == jobs
    page.locator("#desk").get_by_role("combobox").select_option("toy/models/wd_tagger")
    expect(page.locator("#captions-wd_tagger-model input")).to_have_value("toy/models/wd_tagger")


def test_only_the_chosen_captioners_options_are_shown(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    expect(page.locator("#captions-group-wd_tagger")).to_be_visible()
    expect(page.locator("#captions-group-blip")).to_be_hidden()
    tile(page, "BLIP").check()
    expect(page.locator("#captions-group-blip")).to_be_visible()
    expect(page.locator(".lor-tile.chosen").nth(1)).to_contain_text("2.")
    page.reload()
    visit.open("Captions")
    expect(page.locator("#captions-group-blip")).to_be_visible()
    tile(page, "BLIP").uncheck()
    expect(page.locator("#captions-group-blip")).to_be_hidden()


def test_the_command(visit: Visit, pictures: Path) -> None:
    page = enter(visit, pictures)
    choose(page, "wd_tagger")
    page.get_by_role("button", name="Show command").click()
    dialog = page.get_by_role("dialog", name="Caption without the window")
    expect(dialog).to_contain_text("launch.py caption")
    expect(dialog).to_contain_text("--captioner wd_tagger --mode missing --wd_tagger.model=toy/models/wd_tagger")


def test_a_long_run_is_stopped_and_goes_on(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (64, 64), (number, 2 * number, 90)).save(folder / f"{number:02}.png")
    page = enter(visit, folder)
    choose(page, "blip" if (MODELS / "blip").is_dir() else "wd_tagger")
    page.get_by_role("button", name="Caption 60 pictures").click()
    expect(page.locator("#captioned")).to_contain_text("of 60 pictures", timeout=LONG)
    page.locator("#captioned").get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#captioned")).to_contain_text("Stopped after", timeout=LONG)
    done = captions(folder)
    assert len(done) < 60
    page.locator("#captioned").get_by_role("button", name="Resume").click()
    finished(page)
    assert len(captions(folder)) == 60 and done.items() <= captions(folder).items()
