"""The album beside a model in memory: whatever is done in whatever order, also by others, the files are as the model
says, and no word that came from outside is lost."""

import os
import random
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from dataset.editor import words
from dataset.editor.album import Album, _index
from dataset.editor.conflicts import merged

ROOT = Path(__file__).resolve().parents[3]
TAGS = ["red", "blue", "long hair", "1girl", "hat", "été", "猫"]


def pictures(root: Path, names) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(root / name, "PNG")


@dataclass
class Model:
    """Caption files as bytes, and what was done to them."""

    files: dict[str, bytes | None]
    actions: list[dict] = field(default_factory=list)
    clock: int = 0

    def text(self, name: str) -> str:
        return (self.files[name] or b"").decode().strip()

    def now(self) -> int:
        self.clock += 1
        return self.clock

    def write(self, texts: dict[str, str], expected: dict[str, str]) -> tuple[set[str], set[str]]:
        done, kept, changes = set(), set(), {}
        for name, text in texts.items():
            if self.text(name) == text:
                done.add(name)
            elif self.text(name) != expected[name]:
                kept.add(name)
            else:
                after = f"{text}\n".encode() if text else b""
                changes[name] = (self.files[name], after)
                self.files[name] = after
                done.add(name)
        if changes:
            self.actions.append({"changes": changes, "begun": self.now(), "undone": None})
        return done, kept

    def undo(self) -> None:
        action = next((one for one in reversed(self.actions) if one["undone"] is None), None)
        if action and self._move(action, 1, 0):
            action["undone"] = self.now()

    def redo(self) -> None:
        undone = [one for one in self.actions if one["undone"] is not None]
        done = max((one["begun"] for one in self.actions if one["undone"] is None), default=0)
        action = max(undone, key=lambda one: one["undone"], default=None)
        if action and done < action["undone"] and self._move(action, 0, 1):
            action["undone"] = None
        elif action and done < action["undone"]:
            action["undone"] = self.now()  # it was tried

    def _move(self, action: dict, here: int, there: int) -> bool:
        """Whether it is elsewhere now; where nothing at all could be moved, it stays what it is."""
        changed, kept = 0, 0
        for name, states in action["changes"].items():
            if self.files[name] == states[there]:
                continue
            if self.files[name] == states[here]:
                self.files[name] = states[there]
                changed += 1
            else:
                kept += 1
        return bool(changed or not kept)

    def edited(self, name: str) -> bool:
        return any(name in one["changes"] for one in self.actions if one["undone"] is None)


class Play:
    def __init__(self, root: Path, seed: int):
        self.dice = random.Random(seed)
        self.root, self.step = root, 0
        self.names = ["a.png", "b.png", "c d.png", "sub/e.png", "sub/ü.png"]
        pictures(root, self.names)
        self.model = Model({name: None for name in self.names})
        for name in self.names[:3]:
            self.outside(name)
        self.album = Album(root)

    def caption(self) -> str:
        return ", ".join(self.dice.sample(TAGS, self.dice.randint(1, 4)))

    def outside(self, name: str) -> None:
        self.step += 1
        data = f"{self.caption()}, outside{self.step}".encode()
        if self.dice.random() < 0.1:
            (self.root / name).with_suffix(".txt").unlink(missing_ok=True)
            data = None
        else:
            (self.root / name).with_suffix(".txt").write_bytes(data)
        self.model.files[name] = data

    def write(self) -> None:
        seen = {self.name(entry): entry.text for entry in self.album.entries}
        chosen = self.dice.sample(self.names, self.dice.randint(1, len(self.names)))
        texts = {name: "" if self.dice.random() < 0.15 else self.caption() for name in chosen}
        outside_before = {name: self.words(name) for name in chosen}
        numbers = {self.name(entry): number for number, entry in enumerate(self.album.entries)}
        result = self.album.write("a change", {numbers[name]: text for name, text in texts.items()},
                                  {numbers[name]: seen[name] for name in chosen})
        done, kept = self.model.write(texts, seen)
        assert {self.name(self.album.entries[number]) for number in result.written} == done
        assert {self.name(self.album.entries[conflict.number]) for conflict in result.kept} == kept
        for name in chosen:  # only who saw a word may take it away
            if not outside_before[name] <= self.words(name):
                assert outside_before[name] <= set(words.split(seen[name]))

    def words(self, name: str) -> set[str]:
        file = (self.root / name).with_suffix(".txt")
        found = words.split(file.read_text()) if file.exists() else ()
        return {word for word in found if word.startswith("outside")}

    def name(self, entry) -> str:
        return entry.path.relative_to(self.root).as_posix()

    def check(self) -> None:
        for name, data in self.model.files.items():
            file = (self.root / name).with_suffix(".txt")
            assert (file.read_bytes() if file.exists() else None) == data, name
        self.album.refresh()
        for album in (self.album, Album(self.root)):
            assert {self.name(entry): entry.text for entry in album.entries} == {
                name: self.model.text(name) for name in self.names}
            assert {self.name(entry): entry.edited for entry in album.entries} == {
                name: self.model.edited(name) for name in self.names}
            assert album.index == _index(album.entries)


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_ends_as_the_model_says(tmp_path, seed):
    play = Play(tmp_path, seed)
    for _ in range(25):
        match play.dice.choice(["write", "write", "write", "outside", "undo", "undo", "redo", "refresh", "again"]):
            case "write":
                play.write()
            case "outside":
                play.outside(play.dice.choice(play.names))
            case "undo":
                play.album.undo()
                play.model.undo()
            case "redo":
                play.album.redo()
                play.model.redo()
            case "refresh":
                play.album.refresh()
            case "again":
                play.album.close()
                play.album = Album(play.root)
    play.check()
    for _ in range(40):  # and all the way back
        play.album.undo()
        play.model.undo()
    play.check()


def test_merging_keeps_what_both_added_and_drops_what_either_took():
    dice = random.Random(1)
    for _ in range(500):
        base = dice.sample(TAGS, dice.randint(0, 5))
        sides = []
        for who in ("theirs", "mine"):
            side = [tag for tag in base if dice.random() < 0.8]
            for number in range(dice.randint(0, 2)):
                side.insert(dice.randint(0, len(side)), f"{who}{number}")
            sides.append(side)
        theirs, mine = sides
        together = words.split(merged(words.join(base), words.join(theirs), words.join(mine)))
        assert set(together) == (set(theirs) | set(mine)) - (set(base) - set(theirs)) - (set(base) - set(mine))
        assert len(set(together)) == len(together)


def test_two_programs_that_merge_lose_nothing(tmp_path):
    pictures(tmp_path, ["a.png"])
    (tmp_path / "a.txt").write_text("start")

    def add(who: int) -> None:
        album = Album(tmp_path)
        for step in range(5):
            base = album.entries[0].text
            mine, expected = f"{base}, {who}-{step}", base
            while kept := album.write("add", {0: mine}, {0: expected}).kept:
                mine, expected = merged(kept[0].base, kept[0].theirs, kept[0].mine), kept[0].theirs

    threads = [threading.Thread(target=add, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tags = words.split((tmp_path / "a.txt").read_text())
    assert sorted(tags) == sorted(["start", *(f"{who}-{step}" for who in range(3) for step in range(5))])


CHILD = """
import sys
from dataset.editor.album import Album
album = Album(sys.argv[1])
for turn in range(1, 4):
    texts = {number: f"{entry.path.stem}, turn {turn}" for number, entry in enumerate(album.entries)}
    album.write("turn", texts, {number: album.entries[number].text for number in texts})
    print(turn, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_killed_in_the_middle(tmp_path):
    names = [f"{number:02}.png" for number in range(12)]
    pictures(tmp_path, names)
    for name in names:
        (tmp_path / name).with_suffix(".txt").write_text(f"{name[:2]}, turn 0")
    dice = random.Random(3)
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE)
        child.stdout.readline()
        threading.Event().wait(dice.random() * 0.1)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        album = Album(tmp_path)
        for entry in album.entries:
            assert entry.tags[0] == entry.path.stem and entry.tags[1].startswith("turn ")
        assert len({entry.text.partition(", ")[2] for entry in album.entries}) <= 2
    while album.undo().id:
        pass
    assert {entry.tags for entry in album.entries} == {(name[:2], "turn 0") for name in names}
    album.write("last", {0: "x"}, {0: album.entries[0].text})
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".loratory-")]


NAMES = ["a b.png", "it's \"q\".png", "[1](2){3}.png", "-rf.png", "a.b.c.png", "%41$HOME`x`.png", "猫🦊.png",
         "e\u0301.png", "n" * 251 + ".png", "UP.PNG", "new\nline.png"]


@pytest.mark.skipif(os.name != "posix", reason="Windows allows few of these names")
@pytest.mark.parametrize("table", ["", "metadata.jsonl", "meta_cap.json"])
def test_any_name(tmp_path, table):
    pictures(tmp_path, NAMES)
    if table:
        pictures(tmp_path, ["first.png"])
        (tmp_path / table).write_text('{"file_name": "first.png", "text": "one"}\n' if table.endswith("l") else
                                      '{"first": {"caption": "one"}}')
    album = Album(tmp_path)
    texts = {number: f"tag, {number}" for number in range(len(album.entries))}
    result = album.write("all", texts, {number: album.entries[number].text for number in texts})
    assert result.written == list(texts) and not result.problems
    again = Album(tmp_path)
    assert [entry.text for entry in again.entries] == [entry.text for entry in album.entries] == list(texts.values())
    assert {bool(again.versions(number)) for number in texts} == {True}
    album.mark(range(len(NAMES)), stars=2)
    again.refresh()
    assert [entry.stars for entry in again.entries[: len(NAMES)]] == [2] * len(NAMES)
    again.undo()
    assert not any(entry.text for entry in again.entries if entry.path.name != "first.png")


@pytest.mark.parametrize("data, text", [
    ("été, 猫".encode("utf-16"), "été, 猫"), ("café".encode("cp1252"), "café"), (b"\xef\xbb\xbfmark", "mark"),
    (b"one\r\nsecond line\r\n", "one"), (b"\n\n  spaces \t\n", "spaces"), (b"nul\0s", "nuls"),
    (b"\x81\x8d", "\x81\x8d"),
])
def test_any_encoding_comes_back(tmp_path, data, text):
    pictures(tmp_path, ["a.png"])
    (tmp_path / "a.txt").write_bytes(data)
    album = Album(tmp_path)
    assert album.entries[0].text == text
    assert album.write("x", {0: f"{text}, more"}, {0: text}).written == [0]
    assert album.entries[0].text == f"{text}, more"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8").startswith(f"{text}, more\n")
    album.write("y", {0: ""}, {0: f"{text}, more"})
    assert album.entries[0].text == ""
    album.undo()
    album.undo()
    assert (tmp_path / "a.txt").read_bytes() == data and album.entries[0].text == text


def test_what_is_in_the_way_is_told(tmp_path):
    pictures(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "b.txt").write_text("x" * 100_000)
    album = Album(tmp_path)
    result = album.write("x", {0: "one", 1: "two", 2: "three"}, {0: "", 1: "", 2: ""})
    assert result.written == [2]
    assert sorted(problem.path.name for problem in result.problems) == ["a.txt", "b.txt"]
    assert album.write("x", {2: "y" * 70_000}, {2: "three"}).problems and album.entries[2].text == "three"
