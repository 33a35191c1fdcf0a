"""What the page "Resize & crop" may ask for: its own folder's pictures, crops and masks, and nothing else."""

import base64
import io
import json
import subprocess

import pytest
from PIL import Image

from dataset import masks, work
from dataset.resize.job import TABLE
from dataset.resize.recipes import Recipes
from dataset.resize.settings import Settings
from gui import resizing
from settings.errors import check


@pytest.fixture
def pictures(tmp_path, window):
    made = tmp_path / "pictures <b>"
    made.mkdir()
    for number, size in enumerate([(600, 400), (400, 600), (300, 300)]):
        Image.new("RGB", size, (200, 40 * number, 0)).save(made / f"{number}.png")
    window.drafts.save("resize", {"folder": str(made), "output": str(tmp_path / "out"), "width": 100})
    return made


def ids(page):
    return {one["name"]: one["id"] for one in page.get("/api/resize/pictures").json()["pictures"]}


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_nothing_is_open_at_first(page):
    assert page.get("/api/resize/pictures").json() == {"path": "", "pictures": [], "undo": 0, "redo": 0}


def test_the_open_folder_is_meant_until_another_is_typed(page, window, pictures, tmp_path):
    window.drafts.save("resize", {})
    window.drafts.save("dataset", {"path": str(pictures)})
    assert len(page.get("/api/resize/pictures").json()["pictures"]) == 3
    window.drafts.save("resize", {"folder": str(tmp_path / "not there")})
    assert page.get("/api/resize/pictures").json()["path"] == ""


def test_pictures_come_with_their_crops(page, pictures):
    Recipes(pictures).put({pictures / "1.png": (0, 0, 0.5, 0.5)})
    found = {one["name"]: one for one in page.get("/api/resize/pictures").json()["pictures"]}
    assert found["1.png"]["crop"] == [0, 0, 0.5, 0.5] and found["0.png"]["crop"] is None
    assert found["0.png"]["aspect"] == 1 and (found["0.png"]["width"], found["0.png"]["height"]) == (600, 400)


@pytest.mark.parametrize("draft", [{"mode": "nonsense"}, {"width": "many"}, {"rename": "{"}, {"unknown": 1}])
def test_a_half_typed_form_shows_pictures_all_the_same(page, window, pictures, draft):
    window.drafts.save("resize", window.drafts.load("resize") | draft)
    assert len(page.get("/api/resize/pictures").json()["pictures"]) == 3


def test_crops_are_set_undone_and_done_again(page, pictures):
    known = ids(page)
    crops = {known["0.png"]: [0.25, 0, 0.75, 0.75], known["1.png"]: [0, 0, 0.5, 0.5]}
    assert page.post("/api/resize/crops", json={"crops": crops}).json() == {"undo": 1, "redo": 0}
    assert set(Recipes(pictures).all()) == {"0.png", "1.png"}
    page.post("/api/resize/crops", json={"crops": {known["1.png"]: None}})
    assert set(Recipes(pictures).all()) == {"0.png"}
    undone = page.post("/api/resize/crops/undo").json()
    assert undone["changed"] == 1 and undone["redo"] == 1 and set(Recipes(pictures).all()) == {"0.png", "1.png"}
    assert page.post("/api/resize/crops/redo").json()["changed"] == 1
    assert (pictures / "0.png").exists() and Image.open(pictures / "0.png").size == (600, 400)


@pytest.mark.parametrize("crop", [[0, 0, 2, 1], [0, 0, 1], [0.5, 0.5, 0.4, 1], [None, 0, 1, 1]])
def test_what_is_no_crop_is_refused(page, pictures, crop):
    known = ids(page)
    assert page.post("/api/resize/crops", json={"crops": {known["0.png"]: crop}}).status_code in (400, 422)
    assert Recipes(pictures).all() == {}


def test_only_pictures_of_this_folder_can_be_changed(page, pictures, window, tmp_path):
    Image.new("RGB", (50, 50)).save(tmp_path / "outside.png")
    outside = window.thumbnails.id_of(tmp_path / "outside.png")
    data = png(Image.new("L", (10, 10)))
    for id in (outside, "unknown", str(pictures / "0.png"), "../outside"):
        assert page.post("/api/resize/crops", json={"crops": {id: [0, 0, 0.5, 0.5]}}).status_code == 400
        assert page.post("/api/resize/mask", json={"picture": id, "data": data}).status_code == 400
    assert not (tmp_path / "masks").exists() and not (tmp_path / ".loratory").exists()


def test_a_broken_list_of_crops_is_told_and_kept(page, pictures):
    known = ids(page)
    (pictures / ".loratory").mkdir()
    (pictures / ".loratory" / "crops.json").write_text("{")
    reply = page.post("/api/resize/crops", json={"crops": {known["0.png"]: [0, 0, 0.5, 0.5]}})
    assert reply.status_code == 409 and "mend it" in reply.json()["detail"]
    assert page.get("/api/resize/pictures").status_code == 409
    assert (pictures / ".loratory" / "crops.json").read_text() == "{"


def test_what_a_run_would_take_is_shown(page, pictures, window):
    known = ids(page)
    found = page.post("/api/resize/window", json={"picture": known["0.png"]}).json()
    assert found["size"] == [100, 100] and found["by"] == "subject"
    assert (found["box"][2] - found["box"][0]) * 600 == pytest.approx((found["box"][3] - found["box"][1]) * 400)
    by_hand = page.post("/api/resize/window", json={"picture": known["0.png"], "crop": [0, 0, 0.1, 0.15]}).json()
    assert by_hand["by"] == "hand" and by_hand["size"] == [60, 60]
    window.drafts.save("resize", window.drafts.load("resize") | {"keep": "face"})
    assert "YuNet" in page.post("/api/resize/window", json={"picture": known["0.png"]}).json()["missing"]
    (pictures / "0.png").write_bytes(b"broken")
    assert page.post("/api/resize/window", json={"picture": known["0.png"]}).status_code == 409


def test_faces_are_looked_for_in_a_process_of_its_own(page, pictures, window, workspace, monkeypatch):
    told = []

    def answered(command, **_):
        told.append(command)
        return subprocess.CompletedProcess(command, 0, "[[0.7, 0.2, 0.9, 0.5, 0.99]]", "")

    monkeypatch.setattr(resizing.subprocess, "run", answered)
    (workspace / "models" / "yunet").mkdir(parents=True)
    (workspace / "models" / "yunet" / "a.onnx").write_bytes(b"")
    window.drafts.save("resize", window.drafts.load("resize") | {"keep": "face"})
    found = page.post("/api/resize/window", json={"picture": ids(page)["0.png"]}).json()
    assert found["by"] == "face" and found["box"][2] >= 0.9 and not found["missing"]
    assert told[0][1:3] == ["-m", "dataset.resize.faces"]


def test_masks_are_painted_read_and_taken_back(page, pictures):
    known = ids(page)
    assert page.get(f"/api/resize/mask/{known['0.png']}").status_code == 404
    painted = Image.new("L", (300, 200), 255)
    painted.paste(0, (0, 0, 150, 200))
    first = page.post("/api/resize/mask", json={"picture": known["0.png"], "data": png(painted)}).json()
    mask = Image.open(masks.place(pictures / "0.png"))
    assert mask.size == (600, 400) and mask.mode == "L" and mask.getextrema() == (0, 255)
    assert (mask.getpixel((100, 200)), mask.getpixel((500, 200))) == (0, 255)
    shown = Image.open(io.BytesIO(page.get(f"/api/resize/mask/{known['0.png']}").content))
    assert shown.getpixel((10, 10)) == 0
    assert ids(page) == known  # it is no picture
    page.post("/api/resize/mask", json={"picture": known["0.png"], "data": None})
    assert masks.find(pictures / "0.png") is None
    again = page.post("/api/resize/mask", json={"picture": known["0.png"], "data": png(painted)}).json()
    assert page.post("/api/resize/mask/undo", json={"action": again["action"]}).json() == {"changed": 1, "kept": []}
    assert masks.find(pictures / "0.png") is None and first["action"] != again["action"]
    assert page.post("/api/resize/mask/undo", json={"action": "../../etc"}).status_code == 400


@pytest.mark.parametrize("data", ["", "!!", base64.b64encode(b"no png").decode(), "A" * 6_000_000])
def test_what_is_no_mask_is_refused(page, pictures, data):
    known = ids(page)
    assert page.post("/api/resize/mask", json={"picture": known["0.png"], "data": data}).status_code == 400
    assert masks.find(pictures / "0.png") is None


def test_masks_from_transparency(page, pictures, window):
    clear = Image.new("RGBA", (80, 60), (255, 0, 0, 255))
    clear.paste((0, 0, 0, 0), (0, 0, 40, 60))
    clear.save(pictures / "clear.png")
    found = page.post("/api/resize/masks/alpha", json={"pictures": list(ids(page).values())}).json()
    assert found["written"] == 1
    mask = Image.open(masks.place(pictures / "clear.png"))
    assert (mask.getpixel((5, 5)), mask.getpixel((70, 5))) == (0, 255)
    assert page.post("/api/resize/masks/alpha", json={"pictures": list(ids(page).values())}).json()["written"] == 0
    assert resizing.undo_mask(window, found["action"]).changed == 1


def test_the_table_of_a_job(page, pictures, window, tmp_path):
    values = {"folder": str(pictures), "output": str(tmp_path / "out"), "width": 64, "dry_run": True}
    job = work.create("resize", check(Settings, values))
    assert page.get(f"/api/resize/table/{job.id}").status_code == 404  # not yet
    work.main([str(job.folder)])
    found = page.get(f"/api/resize/table/{job.id}").json()
    assert [row["copy"] for row in found["rows"]] == ["0.jpg", "1.jpg", "2.jpg"]
    assert found == json.loads((job.folder / TABLE).read_text())
    assert page.get("/api/resize/table/..%2F..%2Fetc").status_code == 404
    assert not (tmp_path / "out").exists()


def test_wrong_settings_come_back_by_field(page, pictures):
    reply = page.post("/api/work/begin/resize", json={"folder": str(pictures), "output": "", "rename": "{x}"})
    assert reply.status_code == 422 and set(reply.json()["problems"]) == {"output", "rename"}


def test_the_page_proposes_a_place_beside_the_pictures(fresh_window, pictures):
    from gui.tabs.dataset.resize import Page, proposed

    assert proposed("/a/photos") == "/a/photos resized" and proposed("") == ""
    answers = Page(fresh_window)
    led = answers._led({}, "/a/photos")
    assert led == {"folder": "/a/photos", "output": "/a/photos resized"}
    assert answers._led(led, "/b/dogs") == {"folder": "/b/dogs", "output": "/b/dogs resized"}
    assert answers._led(led | {"output": "/mine"}, "/b/dogs")["output"] == "/mine"
    state = answers._state({"folder": str(pictures), "output": str(pictures), "mode": "longest"})
    assert "is the folder" in state["problems"]["output"] and {"height", "keep", "padding"} <= set(state["hidden"])
