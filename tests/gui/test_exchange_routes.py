"""Routes of import and export: parts that come in, a zip that goes out while it is made, repeats that balance."""

import io
import time
import zipfile
import zlib

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from dataset.exchange import uploads
from dataset.exchange.formats import formats
from gui import routes
from gui.tabs.dataset import exchange


@pytest.fixture
def page(window) -> TestClient:
    """Routes of its own: these know the workspace from the beginning."""
    app = FastAPI()
    app.include_router(routes.router(window))
    return TestClient(app)


@pytest.fixture
def opened(page, tmp_path):
    """A data set of two concepts, open in the window."""
    root = tmp_path / "my <set>"
    for name, count in {"2_sks dog": 3, "1_cat": 6}.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (64, 64), (number, 0, 0)).save(root / name / f"{number}.png")
            (root / name / f"{number}.txt").write_text(f"{name} {number}")
    assert page.post("/api/dataset", json={"path": str(root)}).json()["pictures"] == 9
    return root


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "PNG")
    return stream.getvalue()


def part(page, id, offset, data, crc=None):
    address = f"/api/uploads/{id}/part?offset={offset}&crc={zlib.crc32(data) if crc is None else crc}"
    return page.post(address, content=data, headers={"content-type": "application/octet-stream"})


def test_an_upload_from_its_first_part_to_the_data_set(page, window):
    data = picture()
    about = page.get("/api/uploads").json()
    assert about["room"] > 0 and about["unfinished"] == [] and about["part"] == uploads.PART
    wish = {"name": "set", "files": [{"path": "set/a.png", "size": len(data)}, {"path": "set/x.exe", "size": 3}]}
    begun = page.post("/api/uploads", json=wish).json()
    assert (begun["accepted"], begun["total"], begun["refused"][0]["name"]) == ([0], len(data), "x.exe")
    id = begun["id"]
    assert part(page, id, 0, data[:50]).json() == {"offset": 50}
    assert part(page, id, 0, data[:50]).status_code == 409
    assert part(page, id, 50, data[50:], crc=1).json()["offset"] == 50
    assert page.post(f"/api/uploads/{id}/finish").status_code == 409
    assert page.get(f"/api/uploads/{id}").json()["offset"] == 50
    assert page.post("/api/uploads", json=wish).json()["offset"] == 50
    assert part(page, id, 50, data[50:]).json() == {"offset": len(data)}
    work = page.post(f"/api/uploads/{id}/finish").json()["work"]
    assert page.post(f"/api/uploads/{id}/finish").json()["work"] == work
    deadline = time.monotonic() + 300
    while (report := page.get(f"/api/work/{work}").json())["state"] in ("running", "queued"):
        assert time.monotonic() < deadline, report
        time.sleep(0.05)
    assert report["state"] == "finished" and report["end"]["folder"] == str(window.home / "datasets" / "set")


def test_wrong_uploads_are_refused_in_words(page):
    assert (
        "could use"
        in page.post("/api/uploads", json={"name": "x", "files": [{"path": "a.exe", "size": 1}]}).json()["detail"]
    )
    for id in ("0" * 24, "..%2f..%2fetc", "x"):
        assert part(page, id, 0, b"x").status_code == 404
        assert page.get(f"/api/uploads/{id}").status_code == 404
        assert page.post(f"/api/uploads/{id}/discard").status_code == 404
    begun = page.post("/api/uploads", json={"files": [{"path": "a.png", "size": uploads.PART * 2}]}).json()
    assert part(page, begun["id"], 0, bytes(uploads.PART + 1)).status_code == 413
    assert page.get(f"/api/uploads/{begun['id']}").json()["offset"] == 0
    assert page.post(f"/api/uploads/{begun['id']}/discard").json()["unfinished"] == []


@pytest.mark.parametrize("format", [name for name, module in formats().items() if hasattr(module, "write")])
def test_the_open_folder_as_a_zip(format, page, opened):
    if hasattr(formats()[format], "needs") and formats()[format].needs():
        refusal = page.post("/api/exchange/look", json={"format": format})
        assert refusal.status_code == 422 and "pip install" in refusal.json()["problems"]["format"]
        return
    assert page.post("/api/exchange/look", json={"format": format}).json()["pictures"] == 9
    answer = page.get(f"/api/exchange/zip?format={format}&words=x")
    assert answer.headers["content-disposition"] == 'attachment; filename="my _set_.zip"'
    assert "content-length" not in answer.headers  # it is sent while it is made
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        if format == "parquet":  # the pictures are in the tables
            tables = [archive.read(name) for name in archive.namelist() if name.endswith(".parquet")]
            read = pytest.importorskip("pyarrow.parquet").read_table
            assert sum(read(io.BytesIO(table)).num_rows for table in tables) == 9
            return
        assert sum(name.endswith(".png") for name in archive.namelist()) == 9


def test_what_was_left_out_is_said_in_the_zip(page, opened):
    (opened / "1_cat" / "broken.png").write_bytes(b"no")
    with zipfile.ZipFile(io.BytesIO(page.get("/api/exchange/zip?format=text").content)) as archive:
        assert "broken.png" in archive.read("left out.txt").decode()


def test_nothing_is_open_and_formats_that_there_are_none_of(page, opened, window):
    assert page.get("/api/exchange/zip?format=nonsense").status_code == 422
    assert page.post("/api/exchange/look", json={"format": "text", "resolution": "many"}).json()["problems"].keys() == {
        "resolution"
    }
    window.drafts.save("dataset", {})
    assert page.get("/api/exchange/zip?format=text").status_code == 409
    assert page.get("/api/balance").status_code == 409


def test_balanced_repeats(page, opened):
    concepts = page.get("/api/balance").json()["concepts"]
    assert [(one["words"], one["before"]) for one in concepts] == [("cat", 6), ("sks dog", 6)]
    assert len({one["after"] for one in concepts}) == 1
    page.post("/api/dataset", json={"path": str(opened / "1_cat")})
    assert "only one concept" in page.get("/api/balance").json()["detail"]


def test_what_the_script_is_told_of_the_settings():
    told = exchange.about(exchange.ExportSettings, "write")
    fields = {field["name"]: field for field in told["fields"]}
    assert fields["resolution"]["when"] == ["meta_cap", "diffusion_pipe"] and fields["dry_run"]["kind"] == "switch"
    known = {one["name"] for one in told["formats"]}
    for about in (told, exchange.about(exchange.ImportSettings, "read")):
        assert all(set(field["when"]) <= {one["name"] for one in about["formats"]} for field in about["fields"])
    assert "embedded" not in known
