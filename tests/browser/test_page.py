"""The page itself: its fields, its keys, its widths, its themes, and that strangers' words stay words."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from jobs import folder
from jobs.events import EventWriter
from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)
FORMS = {"Captions": "captions", "LoRA training": "train"}
ROOMS = ["Dataset", "Captions", "Tag editor", "LoRA training", "Runs", "LoRA tools", "Settings"]
PAGES = ["Doctor", "Resize & crop", "Import & export", "Training folders"]  # of the Dataset room

STILL = """() => Promise.all(document.getAnimations()
  .filter((one) => isFinite(one.effect.getComputedTiming().endTime)).map((one) => one.finished.catch(() => null)))"""
CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = parse(getComputedStyle(node).backgroundColor);
      if (a > 0.9) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const seen = (node) => node.getClientRects().length && getComputedStyle(node).visibility !== "hidden"
    && !node.closest("[disabled], script, style, .lor-hidden");
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement, words = text.textContent.trim().slice(0, 40);
    if (!words || !seen(node)) continue;
    const [dark, bright] = [light(parse(getComputedStyle(node).color)), light(ground(node))].sort((a, b) => a - b);
    const ratio = (bright + 0.05) / (dark + 0.05);
    if (ratio < 4.5) poor.push(`${words} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def filled(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """A workspace with a run that failed, whose every text is somebody's attempt at markup."""
    (server.home / "jobs").mkdir(exist_ok=True)
    job = folder.create(
        "train", HOSTILE, "name = 'x'\n", ["python", "-c", "pass"], server.home / "jobs" / "20260101-hostile"
    )
    events = EventWriter(job.events_path)
    events.write("started", step=0, total_steps=50, epochs=2, device=HOSTILE, family="sd15", plan={"sentence": HOSTILE})
    for step in range(1, 41):
        events.write(
            "step",
            step=step,
            epoch=step / 25,
            loss=1 / step if step != 20 else float("nan"),
            loss_average=0.1,
            lr=1e-4,
            lrs={HOSTILE: 1e-4, "b": 5e-5},
            it_s=1.0,
            img_s=1.0,
            eta=10,
            memory_gb=None,
        )
    events.write("sample", step=0, index=0, prompt=HOSTILE, seed=1, path="samples/none.png")
    events.write("warning", message=HOSTILE)
    events.write("failed", cause=HOSTILE, fix=HOSTILE, traceback=HOSTILE)
    job.log_path.write_text(f"{HOSTILE}\n" * 3, encoding="utf-8")
    return server


def look_at(visit: Visit, room: str) -> None:
    if room in PAGES:
        visit.open("Dataset")
    visit.open(room)
    marks = {
        "Dataset": "#dataset-path",
        "Doctor": "#doctor button",
        "Resize & crop": "#resizing button",
        "Import & export": "#upload button",
        "Training folders": "#prepare-trigger input:enabled",
        "Captions": ".lor-tile input:enabled",
        "Tag editor": "#tags button",
        "LoRA training": "#train-name input",
        "Runs": ".lor-run h2",
        "LoRA tools": "#lora-tools button",
        "Settings": ".lor-keys",
    }
    expect(visit.page.locator(marks[room]).first).to_be_visible()


def test_strangers_words_stay_words(visit: Visit, filled: Server) -> None:
    visit.expected.append("404")  # the sample's picture is not there
    look_at(visit, "Runs")
    visit.page.locator(".lor-run-line").filter(has_text="onerror").click()
    run = visit.page.locator(".lor-run")
    expect(run.get_by_role("heading", name=HOSTILE)).to_be_visible()
    expect(run.get_by_role("alert")).to_contain_text(HOSTILE)
    expect(run.get_by_role("log").first).to_contain_text(HOSTILE)
    expect(run.locator(".lor-samples th[scope=row]")).to_have_text(HOSTILE)
    assert visit.page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_no_room_scrolls_sideways(chromium, filled: Server, width: int) -> None:
    visit = Visit(chromium, filled.url, viewport={"width": width, "height": 800})
    visit.expected.append("404")
    for room in [*ROOMS, *PAGES]:
        look_at(visit, room)
        if room in FORMS:
            visit.page.locator(f"#{FORMS[room]}-guide").get_by_label("Expert").check()
        if room == "LoRA training":
            visit.page.locator("#train-dataset-folders").get_by_role("button", name="Type a path").click()
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert visit.page.evaluate(wide) <= 1, room
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(chromium, filled: Server, scheme: str) -> None:
    visit = Visit(chromium, filled.url, color_scheme=scheme)
    visit.expected.append("404")
    for room in [*ROOMS, *PAGES]:
        look_at(visit, room)
        if room in FORMS:
            visit.page.locator(f"#{FORMS[room]}-guide").get_by_label("Expert").check()
        visit.page.evaluate(STILL)
        assert visit.page.evaluate(CONTRAST) == [], room
    visit.close()


def test_the_theme_is_kept(visit: Visit) -> None:
    look_at(visit, "Settings")
    visit.page.get_by_role("radio", name="Dark").check()
    assert visit.page.evaluate("document.body.classList.contains('dark')")
    visit.page.reload()
    expect(visit.page.get_by_role("button", name="Theme: dark")).to_be_visible()
    assert visit.page.evaluate("document.body.classList.contains('dark')")


def test_levels_and_search(visit: Visit) -> None:
    look_at(visit, "LoRA training")
    page = visit.page
    beta = page.locator("#train-optimizer-beta1")
    expect(beta).to_be_hidden()
    page.keyboard.press("Escape")
    page.locator("#train-search").fill("optimizer_args betas")
    expect(beta).to_be_visible()
    expect(page.locator("#train-name")).to_be_hidden()
    page.locator("#train-search").fill("")
    expect(beta).to_be_hidden()
    page.get_by_label("Expert").check()
    expect(beta).to_be_visible()
    page.locator("#train-group-optimizer .lor-group-head").click()
    expect(beta).to_be_hidden()
    page.locator("#train-search").fill("beta 1")
    expect(beta).to_be_visible()


def test_fields_follow_each_other(visit: Visit) -> None:
    look_at(visit, "LoRA training")
    page = visit.page
    page.get_by_label("Standard").check()
    rank = page.locator("#train-lora-text_encoder-rank")
    expect(rank).to_be_hidden()
    page.locator("#train-lora-text_encoder-train input").check()
    expect(rank).to_be_visible()
    page.reload()
    look_at(visit, "LoRA training")
    expect(rank).to_be_visible()
    page.locator("#train-lora-text_encoder-train input").uncheck()
    expect(rank).to_be_hidden()


def test_what_is_wrong_is_said_beside_its_field(visit: Visit, filled: Server) -> None:
    look_at(visit, "LoRA training")
    page = visit.page
    page.get_by_label("Quick").check()
    page.locator("#train-name input").fill("../../evil; rm -rf /")
    expect(page.locator("#train-name .lor-problem")).to_contain_text("use letters")
    expect(page.locator("#plan")).to_contain_text("missing before this can start")
    before = filled.jobs()
    page.locator("#train-start").click()
    expect(page.locator("#train-dataset-folders .lor-problem, #train-name .lor-problem").first).to_be_visible()
    assert filled.jobs() == before
    page.locator("#train-name input").fill("fine")
    expect(page.locator("#train-name .lor-problem")).to_have_count(0)
    page.locator("#plan").get_by_role("button", name="Folders").click()
    expect(page.get_by_role("button", name="Add a folder")).to_be_focused()


def test_a_wrong_row_is_named(visit: Visit, tmp_path: Path) -> None:
    look_at(visit, "LoRA training")
    page = visit.page
    page.locator("#train-dataset-folders").get_by_role("button", name="Type a path").click()
    page.get_by_label("Folder, row 1", exact=True).fill(str(tmp_path / HOSTILE))
    page.get_by_label("Repeats, row 1", exact=True).fill("0")
    expect(page.locator("#train-dataset-folders .lor-problem")).to_contain_text("row 1, repeats: must be at least 1")
    page.get_by_role("button", name="Remove row 1").click()
    expect(page.locator("#train-dataset-folders")).to_contain_text("No folder yet.")


def test_looking_for_a_folder(visit: Visit, tmp_path: Path) -> None:
    draw_pictures(tmp_path / HOSTILE, 3)
    page = visit.page
    page.get_by_role("button", name="Browse…").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Path").fill(str(tmp_path))
    dialog.get_by_label("Path").press("Enter")
    dialog.get_by_role("option", name=HOSTILE).click()
    expect(dialog).to_contain_text("5 pictures here")
    dialog.get_by_role("button", name="Choose this folder").click()
    expect(page.locator(".lor-grid figure")).to_have_count(3)
    expect(page.locator("#dataset-path")).to_have_value(str(tmp_path / HOSTILE))


def test_a_path_that_is_typed_stays_when_a_list_comes_late(visit: Visit, tmp_path: Path) -> None:
    draw_pictures(tmp_path / "photos", 3)
    page, late = visit.page, []
    page.route("**/api/browse", lambda route: route.continue_() if late else late.append(route))
    page.get_by_role("button", name="Browse…").first.click()
    path = page.get_by_role("dialog").get_by_label("Path")
    path.fill(str(tmp_path))
    late[0].continue_()
    expect(page.get_by_role("option").first).to_be_visible()
    expect(path).to_have_value(str(tmp_path))
    path.press("Enter")
    expect(page.get_by_role("option", name="photos")).to_be_visible()


def test_presets(visit: Visit, filled: Server) -> None:
    look_at(visit, "LoRA training")
    page = visit.page
    page.locator("#train-name input").fill("kept")
    page.locator("#train-lora-denoiser-rank input").fill("5")
    page.get_by_label("Preset", exact=True).select_option("ours/sd15/style-12gb")
    expect(page.locator("#presets")).to_contain_text("style")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.locator("#train-lora-denoiser-rank input")).to_have_value("32")
    expect(page.locator("#train-name input")).to_have_value("kept")
    page.locator("#train-lora-denoiser-rank input").fill("24")
    page.get_by_role("button", name="Save as…").click()
    page.get_by_role("dialog").get_by_label("Name").fill("mine")
    page.get_by_role("dialog").get_by_label("Description").fill(HOSTILE)
    page.get_by_role("button", name="Save preset").click()
    expect(page.get_by_label("Preset", exact=True)).to_have_value("yours/sd15/mine")
    expect(page.locator("#presets")).to_contain_text(HOSTILE)
    assert "rank = 24" in (filled.home / "presets" / "sd15" / "mine.toml").read_text(encoding="utf-8")
    page.locator("#train-lora-denoiser-rank input").fill("7")
    page.get_by_role("button", name="Load", exact=True).click()
    expect(page.locator("#train-lora-denoiser-rank input")).to_have_value("24")
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_label("Preset", exact=True)).to_have_value("")
    assert not (filled.home / "presets" / "sd15" / "mine.toml").exists()


def test_the_command(visit: Visit, filled: Server, tmp_path: Path) -> None:
    draw_pictures(tmp_path / "pictures", 2)
    page = visit.page
    page.get_by_label("Folder with pictures", exact=True).fill(str(tmp_path / "pictures"))
    page.get_by_role("button", name="Open", exact=True).click()
    page.get_by_role("button", name="Use for training").click()
    page.locator("#train-name input").fill("by_hand")
    page.get_by_role("button", name="Show command").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("python launch.py train by_hand.toml")
    expect(dialog).to_contain_text("accelerate.commands.launch --mixed_precision=bf16")
    with page.expect_download() as download:
        dialog.get_by_role("button", name="Save the file").click()
    assert 'name = "by_hand"' in Path(download.value.path()).read_text(encoding="utf-8")


def test_keys(visit: Visit) -> None:
    visit.expected.append("404")  # on the way lies a run whose sample's picture is not there
    page = visit.page
    page.locator("body").press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("2")  # at once, while the dialog that has gone has the focus yet
    expect(page.get_by_role("tab", name=ROOMS[1], exact=True)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("dialog")).to_have_count(0)
    for key, room in zip("7654321", reversed(ROOMS), strict=True):
        page.locator("body").press(key)
        expect(page.get_by_role("tab", name=room, exact=True)).to_have_attribute("aria-selected", "true")
    page.locator("#dataset-path").press("2")  # while typing, a key is a letter
    expect(page.get_by_role("tab", name="Dataset", exact=True)).to_have_attribute("aria-selected", "true")
    page.locator("#dataset-path").blur()
    page.locator("body").press("4")
    expect(page.locator("#train-name input")).to_be_visible()
    page.locator("body").press("/")
    expect(page.locator("#train-search")).to_be_focused()
    page.locator("#train-search").blur()
    page.locator("body").press("1")
    expect(page.get_by_role("tab", name="Dataset", exact=True)).to_have_attribute("aria-selected", "true")
    page.locator("body").press("/")  # from a room that has no settings to find
    expect(page.locator("#train-search")).to_be_focused()


def test_all_that_can_be_used_has_a_name(visit: Visit, filled: Server) -> None:
    visit.expected.append("404")
    for room in [*ROOMS, *PAGES]:
        look_at(visit, room)
        nameless = visit.page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, textarea, a[href], canvas, [role=log]")]
              .filter((node) => node.getClientRects().length && !node.getAttribute("aria-label") && !node.title
                && !node.textContent.trim() && !node.labels?.length).map((node) => node.outerHTML.slice(0, 150))"""
        )
        assert nameless == [], room


def test_two_windows_of_one_person(chromium, visit: Visit, server: Server) -> None:
    look_at(visit, "LoRA training")
    visit.page.locator("#train-name input").fill("first_window")
    server.learns("train", "name", "first_window")
    other = Visit(chromium, server.url)
    look_at(other, "LoRA training")
    expect(other.page.locator("#train-name input")).to_have_value("first_window")
    other.close()
