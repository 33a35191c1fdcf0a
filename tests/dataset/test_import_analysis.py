"""`prepare import-analysis`: whatever shape a language model gave its answer, each record is used or told why not."""

import json

import pytest
from PIL import Image

from dataset import command
from dataset.captions import read_caption
from dataset.import_analysis import Fields, analyse
from dataset.import_command import histogram
from settings.errors import SettingsError


@pytest.fixture
def place(tmp_path):
    """A folder with pictures, one of them in a folder of its own, one damaged; and a secret beside it."""
    root = tmp_path / "set"
    (root / "more").mkdir(parents=True)
    for index, name in enumerate(("a.png", "b.jpg", "c.png", "more/a.png")):
        Image.new("RGB", (40, 40), (60 * index, 90, 120)).save(root / name)
    (root / "torn.jpg").write_bytes((root / "b.jpg").read_bytes()[:300])
    Image.new("RGB", (40, 40), "red").save(tmp_path / "secret.png")
    return root


def record(image="a.png", caption="a dog", confidence=0.9, **more):
    return {"image_path": image, "caption": caption, "confidence": confidence, **more}


def run(place, value, *options, name="analysis.json"):
    """(exit code, rows of metadata.jsonl, data_summary.json) of an analysis with this content."""
    file = place / name
    file.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    output = place.parent / "out"
    code = command.main(["import-analysis", str(file), "--output", str(output), *options])
    if not (output / "data_summary.json").exists():
        return code, [], {}
    rows = (output / "instance_images" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return code, [json.loads(row) for row in rows], json.loads((output / "data_summary.json").read_text("utf-8"))


def judged(place, value, minimum=0.5, **fields):
    (place / "x.json").write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return analyse(place / "x.json", place, minimum, Fields(**fields))


def reasons(analysis):
    return [dropped.kind for dropped in analysis.dropped]


def test_makes_the_folder_and_the_summary(place):
    records = [record(), record("b.jpg", "a cat\nasleep", 0.5), record("c.png", "a bird", 0.49)]
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    code, rows, told = run(place, records, "--min-confidence", "0.5")
    out = place.parent / "out"
    assert code == 0
    assert rows == [{"file_name": "a.png", "text": "a dog", "confidence": 0.9},
                    {"file_name": "b.jpg", "text": "a cat asleep", "confidence": 0.5}]
    assert sorted(path.name for path in out.iterdir()) == ["data_summary.json", "instance_images"]
    assert (out / "instance_images" / "b.jpg").read_bytes() == (place / "b.jpg").read_bytes()
    assert read_caption(out / "instance_images" / "b.jpg").text == "a cat asleep"
    assert (told["records"], told["kept"], told["dropped"]) == (3, 2, {"low confidence": 1})
    assert told["confidence_histogram"] == {**{key: 0 for key in told["confidence_histogram"]},
                                            "0.4-0.5": 1, "0.5-0.6": 1, "0.9-1.0": 1}
    assert told["caption_lengths"]["words"] == {"min": 2, "median": 2.5, "mean": 2.5, "max": 3}
    assert told["dropped_records"][0]["where"] == "[2]"
    assert told["fields"] == {"image": {"image_path": 3}, "caption": {"caption": 3}, "confidence": {"confidence": 3}}
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("value", [
    [record()],
    record(),
    {"meta": {"path": "/some/where", "model": "x"}, "results": {"pages": [[record()], []]}},
    {"a.png": {"description": "a dog", "score": 0.9}},
    {"files": {"./a.png": {"analysis": {"text": "a dog", "certainty": "90%"}}}},
    json.dumps(record()) + "\n\n" + json.dumps({"note": "end"}) + "\n",
    "```json\n" + json.dumps([record()]) + "\n```",
    [{"image": {"file_name": "a.png", "width": 40}, "result": {"Description": "a dog", "Confidence": "high"}}],
    [record(confidence="9/10")],
    [{"filename": ".\\a.png", "tags": [], "description": "a dog", "confidence": 0.9}],
], ids=["list", "one record", "nested", "by name", "by name, nested", "lines", "fence", "inner", "of ten", "windows"])
def test_finds_the_records_whatever_the_shape(place, value):
    (kept,) = judged(place, value).kept
    assert (kept.source, kept.caption, kept.confidence) == (place / "a.png", "a dog", pytest.approx(0.9))


def test_fields_can_be_named(place):
    value = [{"id": "wrong.png", "where": {"it": "a.png"}, "caption": "no", "says": "a dog", "score": 0.1, "sure": 0.8}]
    (kept,) = judged(place, value, image="where.it", caption="says", confidence="sure").kept
    assert (kept.name, kept.caption, kept.confidence) == ("a.png", "a dog", 0.8)


def test_a_list_of_tags_is_a_caption(place):
    assert judged(place, [record(caption=["dog", " red "])]).kept[0].caption == "dog, red"


@pytest.mark.parametrize("said, scale, expected", [
    ((0.9, 0.2), 1, (0.9, 0.2)),
    ((90, 20), 100, (0.9, 0.2)),
    ((9, 2), 10, (0.9, 0.2)),
    (("90 %", "0.2"), 1, (0.9, 0.2)),
    ((1.0000001, 0.2), 1, (1.0, 0.2)),
])
def test_confidences_of_any_scale(place, said, scale, expected):
    analysis = judged(place, [record("a.png", confidence=said[0]), record("b.jpg", confidence=said[1])], 0.1)
    assert analysis.scale == scale
    assert [kept.confidence for kept in analysis.kept] == pytest.approx(expected)


def test_a_slip_does_not_change_the_scale_of_the_others(place):
    values = [record("a.png", confidence=0.9), record("b.jpg", confidence=850), record("c.png", confidence=0.8)]
    analysis = judged(place, values)
    assert [kept.name for kept in analysis.kept] == ["a.png", "c.png"]
    assert "850" in analysis.dropped[0].reason


@pytest.mark.parametrize("wrong, kind", [
    ("text", "broken record"), (7, "broken record"), (None, "broken record"), ({}, "broken record"),
    ({"caption": "a dog", "confidence": 1}, "broken record"),
    ({"image_path": 5, "caption": "a dog", "confidence": 1}, "broken record"),
    (record("c.png", ""), "no caption"), (record("c.png", {"x": 1}), "no caption"), (record("c.png", 5), "no caption"),
    (record("c.png", "x" * 5000), "caption too long"),
    (record("c.png", confidence=float("nan")), "no confidence"), (record("c.png", confidence=-1), "no confidence"),
    (record("c.png", confidence="sure"), "no confidence"), (record("c.png", confidence=True), "no confidence"),
    (record("c.png", confidence=10**400), "no confidence"), (record("c.png", confidence="1.2.3"), "no confidence"),
    ({"image_path": "c.png", "caption": "a dog"}, "no confidence"),
    (record("c.png", confidence=0.4), "low confidence"),
    (record("none.png"), "missing picture"), (record("more"), "broken record"), (record("more/"), "broken record"),
    (record("torn.jpg"), "broken picture"), (record("c.heic"), "missing picture"),
    (record("../secret.png"), "outside the folder"), (record("more/../../secret.png"), "outside the folder"),
    (record("..\\secret.png"), "outside the folder"), (record("a\0b.png"), "outside the folder"),
    (record("C:\\x\\..\\secret.png"), "outside the folder"), (record("link.png"), "outside the folder"),
    (record("./a.png"), "second record"),
])
def test_what_cannot_be_used_is_listed_and_the_rest_goes_on(place, wrong, kind):
    (place / "link.png").symlink_to(place.parent / "secret.png")
    analysis = judged(place, [record("a.png"), wrong, record("b.jpg")])
    assert [kept.name for kept in analysis.kept] == ["a.png", "b.jpg"]
    assert [(dropped.where, dropped.kind) for dropped in analysis.dropped] == [("[1]", kind)]
    assert analysis.records == 3


def test_an_absolute_path_counts_below_the_folder_only(place):
    good = judged(place, [record(str(place / "more" / "a.png"))])
    assert good.kept[0].source == place / "more" / "a.png"
    bad = judged(place, [record(str(place.parent / "secret.png")), record("/etc/passwd.png")])
    assert not bad.kept and set(reasons(bad)) == {"outside the folder"}


def test_an_absolute_path_of_another_machine_is_found_by_its_end(place):
    (kept,) = judged(place, [record("D:\\data\\set\\more\\a.png")]).kept
    assert kept.source == place / "more" / "a.png"


def test_of_two_records_of_a_picture_the_surer_stays(place):
    (kept,) = judged(place, [record(caption="weak", confidence=0.6), record(caption="sure", confidence=0.8)]).kept
    assert kept.caption == "sure"


def test_copies_have_different_stems(place):
    Image.new("RGB", (40, 40)).save(place / "A.jpg")
    values = [record("a.png"), record("more/a.png"), record("A.jpg")]
    assert [kept.name for kept in judged(place, values).kept] == ["a.png", "a_2.png", "A_3.jpg"]


def test_without_a_minimum_a_confidence_is_not_needed(place):
    (kept,) = judged(place, [{"image": "a.png", "text": "a dog"}], 0.0).kept
    assert kept.confidence is None


def test_a_broken_line_is_one_broken_record(place):
    analysis = judged(place, json.dumps(record()) + '\n{"image_path": "b.j\n' + json.dumps(record("c.png")))
    assert [kept.name for kept in analysis.kept] == ["a.png", "c.png"]
    assert [(dropped.where, dropped.kind) for dropped in analysis.dropped] == [("line 2", "broken record")]


@pytest.mark.parametrize("text", ["", "no json", '[{"image_path": "a.png"', "[]", "5", "[" * 100_000,
                                  '{"a": ' * 100 + "1" + "}" * 100])
def test_a_file_with_nothing_in_it_is_one_line(place, capsys, text):
    code, _, _ = run(place, text)
    assert code == 2
    assert capsys.readouterr().err.startswith("FILE: ")
    assert not (place.parent / "out").exists()


def test_other_encodings_are_read(place):
    (place / "x.json").write_bytes(json.dumps([record(caption="ein Käse")], ensure_ascii=False).encode("utf-16"))
    assert analyse(place / "x.json", place, 0.5, Fields()).kept[0].caption == "ein Käse"


@pytest.mark.parametrize("there", ["instance_images", "data_summary.json"])
def test_never_overwrites(place, capsys, there):
    out = place.parent / "out"
    out.mkdir()
    (out / there).write_text("mine")
    (out / "notes.txt").write_text("mine too")
    file = place / "analysis.json"
    file.write_text(json.dumps([record()]))
    assert command.main(["import-analysis", str(file), "--output", str(out)]) == 2
    assert there in capsys.readouterr().err
    assert {path.name: path.read_text() for path in out.iterdir()} == {there: "mine", "notes.txt": "mine too"}


def test_a_full_disk_leaves_nothing_behind(place, capsys, monkeypatch):
    def full(source, target):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr("dataset.import_command.shutil.copyfile", full)
    code, _, _ = run(place, [record()])
    assert code == 1 and "No space left" in capsys.readouterr().err
    assert list((place.parent / "out").iterdir()) == []


def test_a_dry_run_writes_nothing(place, capsys):
    code, _, _ = run(place, [record()], "--dry-run")
    assert code == 0 and "1 kept" in capsys.readouterr().out
    assert not (place.parent / "out").exists()


def test_nothing_kept_writes_nothing(place):
    assert run(place, [record(confidence=0.1)])[0] == 2
    assert not (place.parent / "out").exists()


def test_halves_of_characters_do_not_stop_it(place):
    code, rows, _ = run(place, '[{"image_path": "a.png", "caption": "a \\ud800 dog", "confidence": 1, "\\ud800": 2}]')
    assert code == 0 and rows[0]["text"] == "a ? dog"


def test_texts_do_not_steer_the_terminal(place, capsys):
    run(place, [record(), record("\x1b[2Jx.png")])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("value", ["-0.1", "1.5", "nan"])
def test_the_minimum_is_a_share(place, capsys, value):
    assert run(place, [record()], f"--min-confidence={value}")[0] == 2
    assert "0 to 1" in capsys.readouterr().err


def test_histogram_counts_ends_once():
    counts = histogram([0, 0.1, 0.3, 0.7, 0.99, 1.0])
    assert sum(counts.values()) == 6 and counts["0.9-1.0"] == 2 and counts["0.3-0.4"] == counts["0.7-0.8"] == 1


def test_a_missing_file_is_one_line(tmp_path, capsys):
    assert command.main(["import-analysis", str(tmp_path / "no.json"), "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == f"FILE: there is no such file: {tmp_path / 'no.json'}\n"


def test_an_empty_analysis_is_told(place):
    with pytest.raises(SettingsError, match="no records"):
        judged(place, [{"text": "x"}])
