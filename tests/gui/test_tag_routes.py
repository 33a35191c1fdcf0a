"""The tag editor's routes: two browsers at one caption, other programs, strangers' words, and ids only."""

import json
import threading
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from dataset.reading import reader
from gui import completion
from gui.editing import KEPT, Editing, from_units, units
from jobs import process

HOSTILE = "<img src=x onerror=alert(1)>"
PROSE = "A dog lies on a bed, and it is very tired."


@pytest.fixture
def pictures(tmp_path) -> Path:
    made = tmp_path / "set <b>"
    made.mkdir()
    captions = ["cat, red, sks", "cat, blue", "dog, red", f"{HOSTILE}, >_<", "", PROSE]
    for number, text in enumerate(captions):
        Image.new("RGB", (64 + 16 * number, 64), (40 * number, 90, 160)).save(made / f"{number}.png")
        if text:
            (made / f"{number}.txt").write_text(text, encoding="utf-8")
    return made


class Browser:
    """A page of the editor, with a folder open."""

    def __init__(self, client: TestClient, root: Path | None = None):
        self.client = client
        self.key = self.post("open", path=str(root) if root else "")["key"]

    def post(self, what_: str, expect: int = 200, **values):
        body = {"album": getattr(self, "key", ""), **values}
        reply = self.client.post(f"/api/tags/{what_}", json=body)
        assert reply.status_code == expect, reply.text
        return reply.json()

    def line(self, number: int) -> dict:
        return self.post("lines", numbers=[number])["lines"][0]

    def shown(self, line: str) -> list[int]:
        return self.post("filter", line=line)["numbers"]

    def write(self, number: int, text: str, expected: str) -> dict:
        id = self.line(number)["id"]
        return self.post("write", texts={id: text}, expected={id: expected})

    def bulk(self, edit: str, values: dict, what: str = "apply", **more) -> dict:
        return self.post(what, edit=edit, values=values, **{"scope": "all", **more})


@pytest.fixture
def page(page, pictures, monkeypatch):
    monkeypatch.setattr(process, "start", lambda job: None)  # nothing looks for copies: see test_tag_copies.py
    return Browser(page, pictures)


def text(pictures: Path, number: int) -> str:
    return (pictures / f"{number}.txt").read_text(encoding="utf-8").rstrip("\n")


def test_a_folder_is_opened_for_all_pages(window, pictures, page):
    other = Browser(page.client)  # opens what is open in the window
    assert other.key == page.key
    told = other.post("open")
    assert (told["count"], told["captioned"], told["root"]) == (6, 5, str(pictures))
    assert window.drafts.load("dataset")["path"] == str(pictures)


def test_folders_that_are_not_there(window, page, tmp_path):
    for status, wrong in ((400, {"path": str(tmp_path / "none")}), (400, {"path": "\0"}), (404, {"run": "../../etc"})):
        assert page.post("open", status, **wrong)["detail"]


def test_a_folder_that_is_not_open_any_more(page):
    for what, values in {"filter": {}, "lines": {"numbers": [0]}, "changes": {}, "history": {}}.items():
        assert page.post(what, 410, album="other", **values)["detail"]


def test_the_pictures_come_in_the_order_that_was_asked_for(page):
    orders = dict(page.post("orders")["rows"])
    assert page.post("filter", line="", by="")["numbers"] == page.shown("")
    for by in orders:
        assert sorted(page.post("filter", line="", by=by)["numbers"]) == page.shown("")
    few = page.post("filter", line="", by="tags")["numbers"]
    counts = [0 if page.line(number)["prose"] else len(page.line(number)["tags"]) for number in few]
    assert counts == sorted(counts) and counts[0] < counts[-1]
    page.post("filter", 422, line="", by="nonsense")


def test_filtering(page):
    assert page.shown("") == [0, 1, 2, 3, 4, 5]
    assert page.shown("tag:cat -tag:blue") == [0]
    assert page.shown("tag:>_<") == [3] or page.shown('tag:">_<"') == [3]
    assert page.shown("uncaptioned") == [4]


def test_a_wrong_line_is_pointed_at_as_the_page_counts(page):
    wrong = page.post("filter", line="tag:𝒳 OR (")
    assert wrong["position"] == len("tag:xx OR (")  # the letter is two in the browser
    assert "missing" in wrong["problem"]
    assert page.bulk("add", {"tags": "x"}, "preview", scope="filtered", filter="tag:cat")["count"] == 2
    page.post("preview", 422, edit="add", values={"tags": "x"}, scope="filtered", filter="(")


def test_the_trigger_word_is_that_of_the_training_form(page, window):
    assert "trigger" in page.post("filter", line="missing:trigger")["problem"]
    window.drafts.save("train", {"metadata": {"trigger": "sks"}})
    assert page.shown("missing:trigger") == [1, 2, 3, 4, 5]


def test_equal_files_are_found(page, pictures):
    assert page.shown("dup:") == []
    (pictures / "copy.png").write_bytes((pictures / "0.png").read_bytes())
    page.post("open")
    found = page.shown("dup:")
    assert {page.line(number)["name"] for number in found} == {"0.png", "copy.png"}
    assert len(page.shown("dup:others")) == 1


def test_writing_a_caption(page, pictures):
    done = page.write(1, " cat, green ", "cat, blue")
    assert text(pictures, 1) == "cat, green" == next(iter(done["texts"].values()))
    assert done["kept"] == [] and page.shown("tag:green") == [1]
    page.write(4, "new", "")
    assert text(pictures, 4) == "new"
    page.write(4, "", "new")
    assert page.line(4)["text"] == ""


def test_two_browsers_at_one_caption(window, page, pictures):
    other = Browser(page.client)
    page.write(0, "cat, red, sks, hat", "cat, red, sks")
    kept = other.write(0, "cat, red, dog", "cat, red, sks")["kept"][0]
    assert (kept["base"], kept["theirs"], kept["mine"]) == ("cat, red, sks", "cat, red, sks, hat", "cat, red, dog")
    assert text(pictures, 0) == "cat, red, sks, hat"
    assert set(kept["merged"].split(", ")) == {"cat", "red", "dog", "hat"}
    assert other.write(0, kept["merged"], kept["theirs"])["kept"] == []
    changed = page.post("changes", since=0)
    assert 0 in changed["changed"]


def test_sentences_are_never_merged(window, page, pictures):
    before = page.line(5)["text"]
    (pictures / "5.txt").write_text("Another dog lies on a bed, and it is awake.")
    kept = page.write(5, "A cat lies on a bed, and it is very tired.", before)["kept"][0]
    assert kept["merged"] is None and text(pictures, 5).startswith("Another")
    assert page.post("words", text=before)["tags"] == [before]
    assert page.post("words", text=before, mode="tags")["tags"] == before.split(", ")


def test_changes_from_outside_are_noticed(window, page, pictures):
    since = page.post("changes", since=0)["revision"]
    assert page.post("changes", since=since)["changed"] == []
    (pictures / "2.txt").write_text("outside, and longer")
    window.editing.find(page.key).refresh(now=True)
    told = page.post("changes", since=since)
    assert told["changed"] == [2] and told["revision"] > since
    assert page.line(2)["text"] == "outside, and longer"
    assert page.shown("tag:outside") == [2]


def test_words_are_counted_and_cut(page):
    long = ", ".join(["𝒳 tag"] * 60)
    told = page.post("words", text=long, limit="clip-75")
    assert told["limit"] == 75 and told["tokens"] > 75
    place = from_units(long, told["cut"])
    assert 0 < place < len(long) and told["cut"] == units(long, place) > place
    assert 0 < told["cut_tag"] < 60
    assert page.post("words", text=long, limit="t5-512")["cut"] is None
    assert page.post("words", text="", limit="nonsense")["tokens"] == 0


@pytest.mark.parametrize("name", ["clip-75", "t5-256"])
def test_what_is_left_of_a_cut_is_read_whole(name):
    how = reader(name)
    words = " ".join(f"éloquent{number}" for number in range(400))
    for given in (words, words.replace("é", "e\u0301")):
        cut = how.cut(given)
        assert how.count(given[:cut].rstrip()) <= how.limit < how.count(given[: cut + 30])


def test_huge_captions(page, pictures):
    huge = "word, " * 10_000
    told = page.post("words", text=huge)
    assert told["cut"] < 1000
    page.write(1, huge, "cat, blue")
    assert len(page.line(1)["text"]) > 50_000
    refused = page.write(0, "x" * 3_000_000, "cat, red, sks")
    assert refused["problems"] and text(pictures, 0) == "cat, red, sks"


def test_the_table_and_what_goes_together(page):
    told = page.post("table")
    counts = {row[0]: row[1] for row in told["rows"]}
    assert counts["cat"] == 2 and counts["sks"] == 1 and told["total"] == 6
    assert {row[0]: row[1] for row in page.post("table", numbers=[1])["rows"]} == {"cat": 1, "blue": 1}
    assert {row[0] for row in page.post("together", tag="cat")["rows"]} == {"red", "sks", "blue"}
    assert page.post("together", tag="none")["rows"] == []


def test_what_several_have_in_common(page):
    told = page.post("common", numbers=[0, 1, 5, 99, -1])
    assert told["count"] == 3
    assert [row[1:] for row in told["rows"]] == [["cat", 2], ["red", 1], ["sks", 1], ["blue", 1]]


def test_bulk_edits_are_shown_first_and_undone(page, pictures):
    seen = page.bulk("rename", {"old": "cat", "new": "kitten"}, "preview")
    assert seen["count"] == 2 and seen["changes"][0]["after"] == "kitten, red, sks"
    assert text(pictures, 0) == "cat, red, sks"
    done = page.bulk("rename", {"old": "cat", "new": "kitten"}, revision=seen["revision"])
    assert (done["written"], done["kept"]) == (2, 0) and text(pictures, 1) == "kitten, blue"
    assert page.post("changes", since=0)["undo"] == done["label"]
    undone = page.post("step", what="undo")
    assert undone["changed"] == 2 and text(pictures, 1) == "cat, blue"
    assert page.post("changes", since=0)["redo"] == done["label"]
    assert page.post("step", what="redo")["changed"] == 2 and text(pictures, 0) == "kitten, red, sks"
    assert page.post("step", what="redo")["id"] is None


def test_what_changed_after_the_preview_is_kept(page, pictures):
    seen = page.bulk("add", {"tags": "new"}, "preview", scope="selected", numbers=[0, 1, 2])
    page.write(1, "mine", "cat, blue")
    (pictures / "2.txt").write_text("theirs, and longer")  # nobody has noticed it yet
    done = page.bulk("add", {"tags": "new"}, scope="selected", numbers=[0, 1, 2], revision=seen["revision"])
    assert (done["written"], done["kept"]) == (1, 2)
    assert [text(pictures, number) for number in range(3)] == ["cat, red, sks, new", "mine", "theirs, and longer"]


def test_wrong_edits(page):
    assert page.bulk("add", {"tags": ""}, "preview", expect=422)["problems"].keys() == {"tags"}
    assert page.bulk("pattern", {"pattern": "(", "by": ""}, "preview", expect=422)["problems"].keys() == {"pattern"}
    page.bulk("no such", {}, "preview", expect=404)
    names = {one["name"]: one for one in page.post("edits")["edits"]}
    assert {"add", "remove", "rename", "truncate"} <= names.keys()
    kinds = {one["name"]: one["type"] for one in names["add"]["fields"]}
    assert kinds == {"tags": "text", "where": "choice", "position": "number"}


def test_marks(page, pictures):
    told = page.post("mark", numbers=[0, 1], stars=4, note=HOSTILE)["lines"]
    assert [(line["stars"], line["note"]) for line in told] == [(4, HOSTILE)] * 2
    page.post("mark", numbers=[1], excluded=True)
    assert page.shown("excluded") == [1] and page.shown("stars>3") == [0, 1]
    page.post("mark", 422, numbers=[0], stars=6)
    assert json.loads((pictures / ".loratory" / "marks.json").read_text())["pictures"].keys() == {"0.png", "1.png"}


def test_a_captions_past(page):
    page.write(0, "cat", "cat, red, sks")
    page.write(0, "cat, hat", "cat")
    past = [one["text"] for one in page.post("versions", number=0)["versions"]]
    assert past == ["cat, hat", "cat", "cat, red, sks"]
    assert page.post("history")["entries"][0]["label"] == "Write 0.png"
    page.post("versions", 404, number=77)


def test_strangers_words_stay_words(page):
    line = page.line(3)
    assert line["text"] == f"{HOSTILE}, >_<"
    reply = page.client.post("/api/tags/lines", json={"album": page.key, "numbers": [3]})
    assert reply.headers["content-type"] == "application/json"


def test_only_ids_are_known(page, pictures):
    page.post("write", 404, texts={str(pictures / "0.png"): "x"}, expected={str(pictures / "0.png"): "cat, red, sks"})
    page.post("write", 404, texts={"../0.png": "x"}, expected={"../0.png": ""})
    assert page.post("lines", numbers=[-1, 6, 10**9])["lines"] == []
    assert text(pictures, 0) == "cat, red, sks"


def test_completion(page):
    def texts(line: str) -> list[str]:
        return [one["text"] for one in page.post("complete", line=line, cursor=units(line, len(line)))["list"]]

    assert "tag:" in texts("ta") and "untagged" in texts("(unt")
    assert texts("tag:ca")[0].strip() == "cat"
    told = page.post("complete", line="𝒳 tag:re", cursor=9)
    assert (told["from"], told["to"]) == (7, 9)
    assert page.shown(f"tag:{completion.quoted(HOSTILE)}") == [3]
    assert page.post("suggest", prefix="bl")["list"][0]["text"] == "blue"
    assert page.post("suggest", prefix="")["list"] == [] or page.post("suggest", prefix="")["list"]


def test_a_persons_list_of_tags(page, tmp_path):
    own = tmp_path / "tags.csv"
    own.write_text('cathedral,0,900,"minster"\nmiku (vocaloid),4,800,\ncat,0,700,\n')
    page.post("list", 400, path=str(tmp_path / "none.csv"))
    assert page.post("list", path=str(own))["count"] == 3
    found = {one["text"]: one for one in page.post("suggest", prefix="cat")["list"]}
    assert found["cat"]["own"] and found["cathedral"]["count"] == 900
    assert page.post("suggest", prefix="minst")["list"][0]["via"] == "minster"
    page.bulk("add", {"tags": "miku (vocaloid)"}, scope="selected", numbers=[0])
    assert ["miku (vocaloid)", 1, "character"] in page.post("table")["rows"]
    page.post("list", path="")
    assert "cathedral" not in {one["text"] for one in page.post("suggest", prefix="cat")["list"]}


def test_how_sure_the_tagger_was(page, monkeypatch):
    monkeypatch.setattr("gui.tag_lists.scores", lambda window, paths, tag: {paths[0]: 0.9, paths[1]: 0.2})
    assert page.shown("score(cat)>.5") == [0] and page.shown("score(cat)<.5") == [1]


def test_sentences_are_no_tags(page):
    assert PROSE.lower() not in {row[0].lower() for row in page.post("table")["rows"]}
    assert page.post("suggest", prefix="a dog lies")["list"] == []
    assert [row for row in page.post("common", numbers=[5])["rows"]] == []


def test_every_word_of_the_help_is_understood(page, window):
    window.drafts.save("train", {"metadata": {"trigger": "sks"}})
    for words, _ in page.post("grammar")["rows"]:
        for line in words.split(", ") if ", " in words else [words]:
            for piece in line.split(" ") if line.endswith(":") or "dup:" in line else [line]:
                told = page.post("filter", line=piece if not piece.endswith(":") or piece == "dup:" else f"{piece}x")
                assert "numbers" in told, piece


def test_a_removed_picture_is_not_shown(window, page, pictures):
    (pictures / "1.png").unlink()
    window.editing.find(page.key).refresh(now=True)
    assert page.shown("") == [0, 2, 3, 4, 5]
    told = page.post("changes", since=0)
    assert 1 in told["changed"] and told["shown"] == 5


def test_what_takes_long_is_asked_for_again(tmp_path, monkeypatch):
    monkeypatch.setattr("gui.editing.WAIT", 0.01)
    editing, go_on = Editing(tmp_path), threading.Event()
    told = editing.begin(lambda: go_on.wait(30) and {"written": 1})
    assert editing.outcome(told["working"], 0.01) == told
    go_on.set()
    assert editing.outcome(told["working"], 30) == {"written": 1}
    with pytest.raises(KeyError):
        editing.outcome(told["working"])


def test_few_folders_are_open_at_once(tmp_path):
    editing = Editing(tmp_path / "cache")
    keys = []
    for number in range(KEPT + 1):
        (tmp_path / str(number)).mkdir()
        keys.append(editing.open(str(tmp_path / str(number))).key)
    assert editing.find(keys[0]) is None and editing.find(keys[-1]) is not None


def test_new_words_of_the_training_form_count_as_many_tokens_as_they_have_vectors(page, window):
    plain = page.post("words", text="a sks dog", limit="clip-75")["tokens"]
    assert page.shown("tokens>30") == []
    window.drafts.save("train", {"words": {"new": [{"word": "sks", "vectors": 40}]}})
    told = page.post("words", text="a sks dog " * 2, limit="clip-75")
    assert plain < told["tokens"] == 84 and told["cut"] == len("a sks dog a ")
    assert page.post("words", text="a sks dog", limit="t5-256")["tokens"] < 10, "T5 is taught none"
    having = [number for number in range(6) if "sks" in page.line(number)["text"]]
    assert page.shown("tokens>30") == having != []
    window.drafts.save("train", {"words": {"new": [{"word": "", "vectors": 4}]}})
    assert page.post("words", text="a sks dog", limit="clip-75")["tokens"] == plain, "half typed: no words yet"
