"""The doctor's routes: what the page asks for by ids, and that nothing else is mended or given out."""

import json
import shutil

import pytest
from PIL import Image

from dataset import work
from dataset.bin import Bin
from jobs import process
from tests.dataset.doctor.test_hashes import drawn
from tests.dataset.test_deeds import contents

HERE, AFTER = "/api/examine", "/api/doctor"


@pytest.fixture
def page(page, monkeypatch):
    """Work is done at once, in this process."""
    monkeypatch.setattr(process, "start", lambda job: work.main([str(job.folder)]))
    return page


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "4_sks <b>"
    made.mkdir()
    for number in range(3):
        drawn(number, (160, 160)).save(made / f"{number}.png")
        (made / f"{number}.txt").write_text(f"sks, <script>{number}</script>")
    (made / "1.txt").write_text("sks, one\ntwo")
    (made / "2.txt").write_text("cat")
    shutil.copy(made / "0.png", made / "copy.png")
    (made / "broken.png").write_bytes(b"x")
    return made


@pytest.fixture
def examined(page, root):
    page.post("/api/dataset", json={"path": str(root)})
    id = page.post(HERE, json={"family": "sd15", "resolution": 128, "trigger": "sks"}).json()["id"]
    return page.get(f"{HERE}/{id}").json()


def finding(told, name, part="findings"):
    return next((one for one in told[part] if one["name"] == name), None)


def mended(page, told, **wish):
    """Preview and apply; the next examination."""
    plan = page.post(f"{HERE}/{told['id']}/preview", json=wish).json()
    id = page.post(f"{HERE}/{told['id']}/apply", json=wish | {"digest": plan["digest"]}).json()["id"]
    return plan, page.get(f"{HERE}/{id}").json()


def test_without_a_folder_nothing_is_examined(page, tmp_path):
    state = page.get(HERE).json()
    assert state["folder"] == "" and state["examined"] is None and state["families"]["sdxl"]["resolution"] == 1024
    assert page.get(f"{AFTER}/past").json() == page.get(f"{AFTER}/bin").json() == []
    answer = page.post(HERE, json={})
    assert answer.status_code == 422 and "choose the folder" in answer.json()["problems"]["folder"]
    page.post("/api/dataset", json={"path": str(tmp_path / "gone")})
    assert page.post(HERE, json={}).status_code == 422
    assert page.get(f"{AFTER}/past").json() == page.get(f"{AFTER}/bin").json() == []
    assert page.post(f"{AFTER}/past", json={"id": "x", "what": "undo"}).status_code == 409


def test_the_form_follows_train_but_for_what_was_chosen_here(page, root, window):
    page.post("/api/dataset", json={"path": str(root)})
    window.drafts.save("train", {"model": {"family": "sdxl"}, "dataset": {"resolution": 768},
                                 "captions": {"length": 150}, "metadata": {"trigger": "sks"}})  # fmt: skip
    train = {"family": "sdxl", "resolution": 768, "tokens": 150, "trigger": "sks"}
    state = page.get(HERE).json()
    assert state["form"] == state["train"] == train
    id = page.post(HERE, json=train | {"tokens": 225}).json()["id"]
    assert page.get(f"{HERE}/{id}").json()["reads"] == "CLIP, 225 tokens"
    window.drafts.save("train", {"model": {"family": "flux"}, "dataset": {"resolution": 1024}})
    state = page.get(HERE).json()
    assert state["train"] == {"family": "flux", "resolution": None, "tokens": None, "trigger": ""}
    assert state["form"] == state["train"] | {"tokens": 225}
    page.post(HERE, json=state["train"])
    assert page.get(HERE).json()["form"] == state["train"]


def test_findings_with_their_pictures(page, examined):
    assert examined["pictures"] == 4 and examined["serious"] == 2
    (case,) = finding(examined, "captions.lines")["cases"]
    assert case["files"][0]["name"] == "1.txt"
    assert page.get(f"/api/pictures/{case['files'][0]['id']}?side=64").status_code == 200  # of its picture
    (case,) = finding(examined, "duplicates.exact")["cases"]
    assert [(file["name"], file["keep"]) for file in case["files"]] == [("0.png", True), ("copy.png", False)]
    (case,) = finding(examined, "files.left_out")["cases"]
    assert case["files"][0]["id"] == ""  # nothing to show
    assert finding(examined, "captions.lines")["fixes"] == [{
        "how": "clean", "label": "Write them on one line", "all": True,
        "options": [{"name": "lines", "label": "Of several lines", "choices": ["join all", "keep the first"]}]}]
    assert examined["buckets"] == [{"size": [128, 128], "pictures": 4, "repeated": 16, "crop_loss": 0, "small": 0,
                                    "enlarge": 1}]


def test_a_page_that_is_opened_again_finds_the_examination_and_its_form(page, examined, tmp_path):
    state = page.get(HERE).json()
    assert state["examined"] == examined["id"] and state["running"] is None
    assert state["form"] == {"family": "sd15", "resolution": 128, "tokens": None, "trigger": "sks"}
    page.post("/api/dataset", json={"path": str(tmp_path)})
    assert page.get(HERE).json()["examined"] is None


def test_a_fix_is_shown_then_done_then_undone(page, root, examined):
    before = contents(root)
    plan, after = mended(page, examined, finding="captions.lines", how="clean")
    assert plan["count"] == 1 and plan["problems"] == []
    (step,) = plan["steps"]
    assert (step["what"], step["file"], step["after"]) == ("write", "1.txt", "sks, one, two")
    assert finding(after, "captions.lines") is None and (root / "1.txt").read_text() == "sks, one, two\n"
    (deed,) = page.get(f"{AFTER}/past").json()
    assert deed["state"] == "done" and deed["files"] == 1
    assert page.post(f"{AFTER}/past", json={"id": deed["id"], "what": "undo"}).json() == {"changed": 1, "kept": []}
    assert contents(root) == before
    again = page.post(f"{HERE}/{after['id']}/again").json()["id"]
    assert finding(page.get(f"{HERE}/{again}").json(), "captions.lines")
    page.post(f"{AFTER}/past", json={"id": deed["id"], "what": "redo"})
    assert (root / "1.txt").read_text() == "sks, one, two\n"


def test_another_one_is_kept_and_the_other_goes_to_the_bin_and_comes_back(page, root, examined):
    before = contents(root)
    _, after = mended(page, examined, finding="duplicates.exact", how="bin", keep=["copy.png"])
    assert finding(after, "duplicates.exact") is None
    (thing,) = page.get(f"{AFTER}/bin").json()
    assert (thing["path"], thing["others"], thing["label"]) == ("0.png", ["0.txt"], "Others to the bin: 1 case")
    assert page.get(f"/api/pictures/{thing['id']}?side=64").status_code == 200
    assert page.post(f"{AFTER}/bin/back", json={"keys": [thing["key"], "../x"]}).json()["changed"] == 2
    assert contents(root) == before and page.get(f"{AFTER}/bin").json() == []


def test_the_bin_is_emptied(page, root, examined):
    mended(page, examined, finding="files.left_out", how="bin")
    assert not (root / "broken.png").exists()
    assert page.post(f"{AFTER}/bin/empty").json() == {"deleted": 1}
    assert Bin(root).things() == []


def test_what_changed_after_the_preview_is_not_mended(page, root, examined):
    wish = {"finding": "captions.lines"}
    digest = page.post(f"{HERE}/{examined['id']}/preview", json=wish).json()["digest"]
    (root / "1.txt").write_text("mine\ntwo")
    id = page.post(f"{HERE}/{examined['id']}/apply", json=wish | {"digest": digest}).json()["id"]
    assert "look at it again" in page.get(f"/api/work/{id}").json()["end"]["cause"]
    assert (root / "1.txt").read_text() == "mine\ntwo"
    assert page.get(HERE).json()["examined"] == examined["id"]


def test_only_chosen_cases_are_mended(page, root, examined):
    key = finding(examined, "captions.trigger")["cases"][0]["key"]
    url = f"{HERE}/{examined['id']}/preview"
    for cases in ({"cases": []}, {"cases": ["none"]}, {"but": [key]}):
        answer = page.post(url, json={"finding": "captions.trigger"} | cases)
        assert answer.status_code == 422 and "choose" in answer.json()["detail"]
    assert page.post(url, json={"finding": "captions.trigger", "cases": [key]}).json()["count"] == 1


def test_what_is_fine_is_told_apart_and_left_alone(page, root, examined):
    url, wish = f"{HERE}/{examined['id']}/fine", {"finding": "captions.lines"}
    told = page.post(url, json=wish).json()
    assert finding(told, "captions.lines") is None and finding(told, "captions.lines", "fine")["count"] == 1
    assert page.post(f"{HERE}/{examined['id']}/preview", json=wish).status_code == 422
    told = page.post(url, json=wish | {"fine": False}).json()
    assert finding(told, "captions.lines") and not told["fine"]
    told = page.post(url, json=wish | {"always": True}).json()
    assert finding(told, "captions.lines", "fine")
    assert json.loads((root / ".loratory" / "fine.json").read_text()) == {"captions.lines": None}
    page.post(url, json=wish | {"always": True, "fine": False})
    assert json.loads((root / ".loratory" / "fine.json").read_text()) == {}


def test_more_cases_than_a_page_shows(page, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(40):
        Image.new("RGB", (160, 160), (6 * number, 255 - 6 * number, 90)).save(many / f"{number:02}.png")
    page.post("/api/dataset", json={"path": str(many)})
    told = page.get(f"{HERE}/{page.post(HERE, json={}).json()['id']}").json()
    one = finding(told, "captions.missing")
    assert one["count"] == 40 and len(one["cases"]) == 24
    more = page.get(f"{HERE}/{told['id']}/cases", params={"finding": one["name"], "start": 24}).json()
    assert [case["files"][0]["name"] for case in one["cases"] + more] == [f"{n:02}.png" for n in range(40)]
    assert page.get(f"{HERE}/{told['id']}/cases", params={"finding": "none"}).json() == []


def test_report_and_sums_are_files_to_keep(page, root, examined):
    report = page.get(f"{HERE}/{examined['id']}/report")
    assert report.headers["content-disposition"].startswith("attachment") and "<script>0" not in report.text
    assert "sandbox" in report.headers["content-security-policy"] and "0.png" in report.text
    sums = page.get(f"{HERE}/{examined['id']}/sums")
    assert "SHA256SUMS" in sums.headers["content-disposition"] and "  copy.png\n" in sums.text


@pytest.mark.parametrize("id", ["none", "..", "%2e%2e%2f", "past2"])
def test_only_examinations_are_given_out(page, examined, id):
    for path in ("", "/report", "/sums", "/cases?finding=x"):
        assert page.get(f"{HERE}/{id}{path}").status_code == 404
    for path in ("/preview", "/apply", "/fine"):
        assert page.post(f"{HERE}/{id}{path}", json={"finding": "captions.lines"}).status_code in (404, 405)


def test_wrong_wishes_are_refused(page, root, examined):
    before = contents(root)
    url = f"{HERE}/{examined['id']}"
    for wish in ({"how": "burn"}, {"finding": "no.such"}, {"options": ["x=y"]}, {"options": ["lines"]}):
        assert page.post(f"{url}/preview", json={"finding": "captions.lines"} | wish).status_code == 422
    assert page.post(f"{url}/fine", json={"finding": "no.such"}).status_code == 404
    assert page.post(HERE, json={"resolution": 7}).status_code == 422
    outside = {"finding": "duplicates.exact", "how": "bin", "keep": ["../../etc/passwd", "/etc/passwd"]}
    assert page.post(f"{url}/preview", json=outside).json()["steps"][0]["name"] == "copy.png"
    assert page.post(f"{AFTER}/past", json={"id": "../x", "what": "undo"}).status_code == 409
    assert contents(root) == before
