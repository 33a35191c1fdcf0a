"""A sweep: one tag given and taken, as one change that can be undone, past others' changes and strangers' ids."""

import pytest
from PIL import Image

CAPTIONS = ["cat, Red_Hat", "dog", "A cat sits on the mat of the house.", "", "red hat"]


class Editor:
    def __init__(self, root, client):
        self.root, self.client = root, client
        self.key = self.post("open", path=str(root))["key"]
        self.ids = [line["id"] for line in self.post("lines", numbers=[0, 1, 2, 3, 4])["lines"]]

    def post(self, route: str, expect: int = 200, **values):
        reply = self.client.post(f"/api/tags/{route}", json={"album": getattr(self, "key", ""), **values})
        assert reply.status_code == expect, reply.text
        return reply.json()

    def captions(self) -> list[str]:
        files = [self.root / f"{number}.txt" for number in range(5)]
        return [file.read_text(encoding="utf-8").strip() if file.exists() else "" for file in files]


@pytest.fixture
def editor(page, tmp_path):
    made = tmp_path / "set"
    made.mkdir()
    for number, text in enumerate(CAPTIONS):
        Image.new("RGB", (64, 64), (40 * number, 90, 160)).save(made / f"{number}.png")
        if text:
            (made / f"{number}.txt").write_text(text, encoding="utf-8")
    return Editor(made, page)


def test_who_has_the_tag_is_told_with_its_spelling(editor):
    told = editor.post("having", tag="red hat", numbers=[0, 1, 2, 3, 4, 99, -1])
    assert told == {"numbers": [0, 4], "tag": "Red_Hat"}
    assert editor.post("having", tag="CAT", numbers=[0, 1, 2]) == {"numbers": [0, 2], "tag": "cat"}
    assert editor.post("having", tag=" new   tag ", numbers=[0]) == {"numbers": [], "tag": "new tag"}


def test_a_sweep_is_one_change(editor):
    ids = editor.ids
    done = editor.post("sweep", tag="cat", yes=[ids[1], ids[3], ids[0]], no=[ids[2], ids[4]])
    assert (done["written"], done["kept"], done["sentences"]) == (2, 0, 1)
    assert editor.captions() == ["cat, Red_Hat", "dog, cat", CAPTIONS[2], "cat", "red hat"]
    editor.post("sweep", tag="red hat", where="first", yes=[ids[2], ids[1]], no=[ids[0], ids[4]])
    assert editor.captions() == ["cat", "red hat, dog, cat", f"red hat, {CAPTIONS[2]}", "cat", ""]
    assert [entry["label"] for entry in editor.post("history")["entries"]] == ["Sweep red hat", "Sweep cat"]
    editor.post("step", what="undo")
    editor.post("step", what="undo")
    assert editor.captions() == CAPTIONS


def test_what_others_wrote_meanwhile_is_kept(editor):
    (editor.root / "1.txt").write_text("somebody else's", encoding="utf-8")
    done = editor.post("sweep", tag="cat", yes=editor.ids[1:2])
    assert "somebody else's" in editor.captions()[1] and done["written"] + done["kept"] == 1


def test_wrong_wishes_are_refused_or_passed_over(editor):
    assert editor.post("sweep", tag="x", yes=["nobody's", "../../etc"], no=[])["written"] == 0
    editor.post("sweep", 422, tag=" , ", yes=editor.ids)
    editor.post("sweep", 422, tag="a, b", yes=editor.ids)
    editor.post("sweep", 422, tag="x", where="under")
    editor.key = "other"
    editor.post("sweep", 410, tag="x", yes=editor.ids)
    editor.post("having", 410, tag="x")
    assert editor.captions() == CAPTIONS


def test_while_typing_a_form_that_is_not_right_yet_is_no_failure(editor):
    wish = {"edit": "pattern", "values": {"pattern": "(", "by": ""}, "scope": "all"}
    assert editor.post("preview", 422, **wish)["problems"].keys() == {"pattern"}
    assert editor.post("preview", **wish, typing=True)["problems"].keys() == {"pattern"}
