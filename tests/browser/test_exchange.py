"""Pictures go out as a zip and into a new folder, an analysis is imported, repeats are balanced."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import HOSTILE, PATIENCE, Visit, draw_pictures

expect.set_options(timeout=PATIENCE)
REFUSED = "422 (Unprocessable"  # what the browser says of a form that isn't right


def test_out_as_a_zip_and_into_a_new_folder(visit: Visit, pictures: Path, tmp_path: Path, picture) -> None:
    page = visit.page
    visit.expected.append(REFUSED)
    page.get_by_label("Folder with pictures", exact=True).fill(str(pictures))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".lor-grid figure")).to_have_count(6)
    visit.open("Import & export")
    card = page.locator("#exporting")
    expect(card).to_contain_text(str(pictures))
    card.get_by_label("Format", exact=True).select_option("kohya")
    card.get_by_text("More", exact=True).click()
    card.get_by_label("Class words", exact=True).fill("sks cat")
    card.get_by_role("button", name="Preview").click()
    expect(card).to_contain_text("6 pictures")
    expect(card).to_contain_text(HOSTILE)
    picture("exchange")
    with page.expect_download() as download:
        card.get_by_role("button", name="Download as zip").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        names = archive.namelist()
        assert archive.testzip() is None and f"img/1_sks cat/{HOSTILE} 0000.txt" in names
        assert "broken.jpg" in archive.read("left out.txt").decode()

    card.get_by_label("Format", exact=True).select_option("imagefolder")
    card.get_by_role("button", name="Write to the new folder").click()
    expect(card.locator(".lor-problem").filter(has_text="choose a new folder")).to_be_visible()
    card.get_by_label("Output", exact=True).fill(str(tmp_path / "out"))
    card.get_by_role("button", name="Write to the new folder").click()
    expect(card).to_contain_text("Done.")
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert len(rows) == 6 and HOSTILE in rows[0]["text"] + rows[-1]["text"]


def test_an_analysis_becomes_a_data_set(visit: Visit, pictures: Path, tmp_path: Path) -> None:
    page = visit.page
    records = [
        {"image_path": f"picture {n:04d}.png", "description": f"<b>cat</b> {n}", "confidence": n / 5}
        for n in range(1, 6)
    ]
    (tmp_path / "said.json").write_text(json.dumps({"run": {"results": records + ["broken"]}}))
    page.get_by_role("button", name="Upload pictures…").click()
    card = page.locator("#importing")
    card.get_by_label("Source", exact=True).fill(str(tmp_path / "said.json"))
    expect(card.get_by_label("Output", exact=True)).to_have_value(str(tmp_path / "said imported"))
    card.get_by_text("More", exact=True).click()
    card.get_by_label("Pictures", exact=True).fill(str(pictures))
    card.get_by_role("button", name="Preview").click()
    expect(card).to_contain_text("Nothing was written.")
    expect(card).to_contain_text("6 records: 3 kept")
    assert not (tmp_path / "said imported").exists()
    card.get_by_role("button", name="Import", exact=True).click()
    card.get_by_role("button", name="Open this data set").click()
    summary = json.loads((tmp_path / "said imported" / "data_summary.json").read_text())
    assert summary["kept"] == 3 and summary["dropped"] == {"broken record": 1, "low confidence": 2}
    visit.open("Pictures")
    expect(page.locator(".lor-grid figure")).to_have_count(3)
    expect(page.locator(".lor-grid")).to_contain_text("<b>cat</b> 5")


def test_balanced_repeats_stand_in_the_training_form(visit: Visit, tmp_path: Path) -> None:
    page = visit.page
    for name, count in {"1_sks dog": 2, "1_cat": 6}.items():
        draw_pictures(tmp_path / "set" / name, count)
    page.get_by_label("Folder with pictures", exact=True).fill(str(tmp_path / "set"))
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.locator(".lor-grid figure")).to_have_count(8)
    visit.open("Import & export")
    page.get_by_role("button", name="Propose repeats").click()
    expect(page.locator("#balance-table tbody tr").nth(1)).to_contain_text("sks dog21236")
    expect(page.locator("#balance")).to_contain_text(
        "seen 3 times as often as the least seen one now, and all equally often"
    )
    page.get_by_role("button", name="Use these in LoRA training").click()
    expect(page.get_by_label("Folder, row 2", exact=True)).to_have_value(str(tmp_path / "set" / "1_sks dog"))
    expect(page.get_by_label("Repeats, row 2", exact=True)).to_have_value("3")
    expect(page.get_by_label("Repeats, row 1", exact=True)).to_have_value("1")
    assert (tmp_path / "set" / "1_sks dog").is_dir()
