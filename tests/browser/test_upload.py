"""Pictures come in from the browser: a folder, a zip, dropped files, also over a line that breaks."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit

expect.set_options(timeout=PATIENCE)
LOST = ["ERR_FAILED", "ERR_INTERNET_DISCONNECTED", "Failed to fetch", "ERR_CONNECTION", "network error"]


def photograph(path: Path, side: int) -> Path:
    """A picture that does not pack: several parts long."""
    Image.effect_noise((side, side), 90).convert("RGB").save(path)
    return path


def shown(visit: Visit) -> None:
    """The upload has become the open data set."""
    expect(visit.page.locator("#upload")).to_contain_text("It is the open data set now")


def test_a_folder_then_a_zip_over_a_line_that_breaks(
    visit: Visit, server: Server, pictures: Path, tmp_path: Path
) -> None:
    page = visit.page
    visit.expected += LOST
    page.get_by_role("button", name="Upload pictures…").click()
    expect(page.locator("#upload")).to_contain_text("of the disk are free")
    page.locator("#upload-folder").set_input_files(pictures)
    shown(visit)
    expect(page.locator("#upload")).to_contain_text("1 file not sent")  # empty.png
    expect(page.locator("#upload")).to_contain_text("broken.jpg")
    made = server.home / "datasets" / pictures.name
    assert len(list(made.glob("*.png"))) == 6 and (made / f"{HOSTILE} 0000.txt").is_file()

    photograph(tmp_path / "noise.png", 1400)  # 6 MB: two parts
    with zipfile.ZipFile(tmp_path / "trip.zip", "w") as archive:
        archive.write(tmp_path / "noise.png", "10_sks hill/noise.png")
        archive.writestr("10_sks hill/noise.txt", HOSTILE)
        archive.writestr("../../slip.png", b"x")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/part?" in request.url else None)

    page.route(
        re.compile("/part"), lambda route: route.continue_() if "offset=0&" in route.request.url else route.abort()
    )
    page.locator("#upload-files").set_input_files(tmp_path / "trip.zip")
    expect(page.locator("#upload")).to_contain_text("The connection was lost; trying again…")
    page.unroute(re.compile("/part"))
    shown(visit)
    expect(page.locator("#upload")).to_contain_text("leads out of the folder")
    made = server.home / "datasets" / "trip"
    assert (made / "10_sks hill" / "noise.png").read_bytes() == (tmp_path / "noise.png").read_bytes()
    assert sum("offset=0&" in url for url in sent) == 1  # what had come was not sent again
    assert not list(server.home.rglob("slip.png"))
    page.get_by_role("button", name="See the pictures").click()
    expect(page.locator(".lor-grid figure")).to_have_count(1)
    expect(page.locator(".lor-grid")).to_contain_text(HOSTILE)


def test_after_a_reload_it_goes_on(visit: Visit, server: Server, tmp_path: Path) -> None:
    page = visit.page
    visit.expected += LOST
    photograph(tmp_path / "noise.png", 1400)
    page.get_by_role("button", name="Upload pictures…").click()
    page.route(
        re.compile("/part"), lambda route: route.continue_() if "offset=0&" in route.request.url else route.abort()
    )
    page.locator("#upload-files").set_input_files(tmp_path / "noise.png")
    expect(page.locator("#upload")).to_contain_text("The connection was lost")
    page.locator("#upload").get_by_role("button", name="Stop").click()
    expect(page.locator("#upload")).to_contain_text("Stopped at")
    page.unroute(re.compile("/part"))
    page.reload()
    page.get_by_role("button", name="Upload pictures…").click()
    expect(page.locator("#upload")).to_contain_text("Choose the same files to go on.")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if "/part?" in request.url else None)
    page.locator("#upload-files").set_input_files(tmp_path / "noise.png")
    shown(visit)
    assert sent and not any("offset=0&" in url for url in sent)
    assert (server.home / "datasets" / "noise" / "noise.png").read_bytes() == (tmp_path / "noise.png").read_bytes()


def test_dropped_files_are_uploaded(visit: Visit) -> None:
    page = visit.page
    stream = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(stream, "PNG")
    page.evaluate(
        """(bytes) => {
          const transfer = new DataTransfer(), card = document.querySelector('#pictures .lor-card');
          transfer.items.add(new File([Uint8Array.from(bytes)], 'dropped.png', {type: 'image/png'}));
          for (const kind of ['dragenter', 'dragover', 'drop'])
            card.dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: transfer}));
        }""",
        list(stream.getvalue()),
    )
    shown(visit)
    expect(page.locator("#upload")).to_contain_text("1 picture in")
