"""Every format that is written is read again as it was, hostile words and names included; no reader falls over."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from dataset.buckets import fit
from dataset.exchange import convert, target
from dataset.exchange.arrow import missing
from dataset.exchange.formats import formats, readers, writers
from dataset.exchange.formats.csv import defused, plain
from dataset.exchange.formats.filenames import caption, expressible
from dataset.exchange.record import Record
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.exchange.unzip import unzip
from dataset.settings import DatasetSettings
from settings.errors import SettingsError

TWO_WAY = [name for name in writers() if hasattr(formats()[name], "read")]
EXPORT, IMPORT = ExportSettings(folder="a", output="b"), ImportSettings(source="a", output="b")
PIECES = [
    "a red dog",
    "猫, пёс",
    "<img src=x onerror=alert(1)>",
    "\"quoted\", 'single'",
    "=1+1",
    "'=x",
    "''@y",
    "+1",
    "-",
    "@",
    "\ttab",
    "two\nlines",
    "\r\n",
    "\0",
    "\ufeff",
    "\ud800",
    "\u2028",
    "\x85",
    "{a|b}",
    "null",
    "1.0",
    "%s",
    "\\n",
    "🙂‍↔️",
    "long_hair",
    "  ",
    "#",
    "[x]",
    "(y:1.2)",
    "a;b",
    "../..",
    "\u202etxt",
    "e\u0301",
    "’",
]
STEMS = [
    "a",
    "b c",
    "quote'\"",
    "[brackets] (x)",
    "пёс",
    "猫",
    "-dash",
    "a.b.c",
    "100%",
    "semi;colon,comma",
    "e\u0301",
    "🙂",
    "=1+1",
    "x" * 180,
    "{json}",
    "1_2",
    "<b>",
    "tail ",
    "#1",
    "~",
    "null",
]
FOLDERS = ["", "sks dog", "deep/er/one", "Ünï", "(1)", "1 2"]


def needing(name: str) -> str:
    return formats()[name].needs() if hasattr(formats()[name], "needs") else ""


@pytest.fixture(autouse=True)
def packages(request):
    """Formats that need a package that isn't installed are passed over."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    if name in formats() and needing(name):
        pytest.skip(needing(name))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(6):
        Image.new("RGB", (40 + 8 * number, 32), (40 * number, 90, 7)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def some(name: str, chance: random.Random, drawn: list[Path]) -> list[Record]:
    """Records that the format can hold whole."""
    keeps, records, repeats = formats()[name].keeps, [], {}
    pairs = [(folder, stem) for folder in FOLDERS for stem in STEMS]
    for folder, stem in chance.sample(pairs, 12):
        words = chance.choice(["sks dog", "Ünï 猫", "a 'b'"]) if "words" in keeps else ""
        folder = words if name == "kohya" else folder
        said = " ".join(chance.choice(PIECES) for _ in range(chance.randrange(5)))
        if "short captions" in keeps:
            said = expressible(said)
        if "repeats" in keeps:  # diffusion-pipe has them by the folder
            repeats.setdefault(folder, chance.randrange(1, 30))
        records.append(
            Record(
                f"{folder}/{stem}.png".lstrip("/"),
                chance.choice(drawn),
                said,
                repeats.get(folder, 1),
                words,
                "regularisation" in keeps and chance.random() < 0.3,
            )
        )
    unique = {(record.name.casefold(), record.regularisation if name == "kohya" else 0): record for record in records}
    return list(unique.values())


def normal(name: str, records: list[Record]) -> Counter:
    """What of the records the format promises to keep."""
    keeps = formats()[name].keeps
    return Counter(
        (
            record.folder if "short captions" in keeps else record.name,
            record.caption,
            hashlib.sha256(record.bytes()).hexdigest(),
            record.repeats if "repeats" in keeps else 1,
            record.words if "words" in keeps else "",
            record.regularisation,
        )
        for record in records
    )


def write(name: str, records: list[Record], place: Path, settings: ExportSettings = EXPORT) -> Path:
    with convert.opened(place) as into:
        for _ in formats()[name].write(records, into, settings):
            pass
    return place


@pytest.mark.parametrize("name", TWO_WAY)
def test_written_and_read_again_it_is_the_same(name, drawn, tmp_path):
    for seed in range(12):
        chance = random.Random(f"{name} {seed}")
        records = some(name, chance, drawn)
        found = formats()[name].read(write(name, records, tmp_path / str(seed)), IMPORT)
        assert normal(name, found.records) == normal(name, records)
        assert [problem for problem in found.problems if not problem.used] == []


@pytest.mark.parametrize("name", TWO_WAY)
def test_the_same_through_a_zip(name, drawn, tmp_path):
    records = some(name, random.Random(name), drawn)
    whole = write(name, records, tmp_path / "set.zip")
    (tmp_path / "out").mkdir()
    assert unzip(whole, tmp_path / "out") == []
    assert normal(name, formats()[name].read(tmp_path / "out", IMPORT).records) == normal(name, records)


@pytest.mark.parametrize("table", ["jsonl", "csv", "parquet"])
def test_every_table_of_an_image_folder(table, drawn, tmp_path):
    if table == "parquet" and missing():
        pytest.skip(missing())
    for seed in range(4):
        records = some("imagefolder", random.Random(seed), drawn)
        settings = ExportSettings(folder="a", output="b", table=table)
        place = write("imagefolder", records, tmp_path / str(seed), settings)
        found = formats()["imagefolder"].read(place, IMPORT).records
        assert normal("imagefolder", found) == normal("imagefolder", records)


@pytest.mark.parametrize("name", [name for name in TWO_WAY if name != "filenames"])
def test_a_format_knows_its_own(name, drawn, tmp_path):
    records = [
        Record("sks dog/a.png", drawn[0], "a dog", 10, "sks dog"),
        Record("sks dog/b.png", drawn[1], "b", 10, "sks dog"),
    ]
    assert convert.guess(write(name, records, tmp_path / "set")) == name


@pytest.mark.parametrize("name", formats())
def test_what_every_format_has(name):
    module = formats()[name]
    assert module.name == name and module.label and module.help.endswith((".", "…", ")"))
    assert hasattr(module, "read") or hasattr(module, "write")
    assert not hasattr(module, "read") or hasattr(module, "fits")


HOSTILE_TABLES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"[[[[",
    b'{"a.png": 1}',
    b'{"a.png": {"caption": 5}}',
    b'{"a.png": ["x", 3]}',
    b'{"file_name": "../secret.png", "text": "x"}',
    b'{"file_name": "/etc/passwd", "text": "x"}',
    b'{"file_name": ["a.png"], "text": "x"}',
    b"file_name,text\n../secret.png,x\n\x00,\xff\n",
    b"\xff\xfe\x00",
    b"[" * 5000,
    b'{"C:\\\\x.png": {"caption": "y"}}',
    b"file_name\n" + b'"' * 70,
    b"\x00" * 100,
]


@pytest.mark.parametrize("name", readers())
@pytest.mark.parametrize(
    "file",
    [
        "metadata.jsonl",
        "metadata.csv",
        "captions.csv",
        "captions.json",
        "meta_cap.json",
        "a.json",
        "x.parquet",
        "dataset.toml",
        "a.txt",
    ],
)
def test_no_reader_falls_over(name, file, drawn, tmp_path):
    (tmp_path / "secret.png").write_bytes(drawn[0].read_bytes())
    for number, content in enumerate(HOSTILE_TABLES):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "a.png").write_bytes(drawn[0].read_bytes())
        (folder / "broken.png").write_bytes(b"no picture")
        (folder / file).write_bytes(content)
        for source in (folder, folder / file):
            formats()[name].fits(source)
            try:
                found = formats()[name].read(source, IMPORT)
            except SettingsError:
                continue
            paths = [record.content for record in found.records if isinstance(record.content, Path)]
            assert all(os.path.realpath(path).startswith(f"{os.path.realpath(folder)}{os.sep}") for path in paths)


def test_names_that_only_differ_in_case_or_extension_stay_apart(drawn, tmp_path):
    records = [Record("A.png", drawn[0], "one"), Record("a.png", drawn[1], "two"), Record("a.jpg", drawn[2], "three")]
    found = formats()["text"].read(write("text", records, tmp_path / "set"), IMPORT).records
    assert {record.caption for record in found} == {"one", "two", "three"}
    assert len({record.name.casefold().rpartition(".")[0] for record in found}) == 3


def test_what_a_spreadsheet_would_run():
    for value in PIECES:
        assert plain(defused(value)) == value
    assert defused("=1+1") == "'=1+1" and defused("a=1") == "a=1"


def test_tables_of_other_people(drawn, tmp_path):
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(drawn[index].read_bytes())
    for text in (
        "0.png;a dog\n1.png;a cat\n",
        "caption\timage\na dog\t0.png\na cat\t1.png\n",
        "Image,Description\n0.png,a dog\n./1.png,a cat\n",
    ):
        (tmp_path / "t.csv").write_text(text)
        found = formats()["csv"].read(tmp_path / "t.csv", IMPORT)
        assert [(record.name, record.caption) for record in found.records] == [("0.png", "a dog"), ("1.png", "a cat")]
    (tmp_path / "t.csv").write_text("who,what\n0.png,x\n")
    with pytest.raises(SettingsError, match="no pic"):
        formats()["csv"].read(tmp_path / "t.csv", ImportSettings(source="a", output="b", image_field="pic"))


def test_whole_paths_from_another_machine_are_found_by_their_last_parts(drawn, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(drawn[0].read_bytes())
    lines = ["/home/me/photos/a.png", "C:\\\\Users\\\\me\\\\photos\\\\a.png", str(tmp_path / "photos" / "a.png")]
    (tmp_path / "x.jsonl").write_text("".join(f'{{"image_path": "{line}", "caption": "x"}}\n' for line in lines))
    found = formats()["imagefolder"].read(tmp_path / "x.jsonl", IMPORT)
    assert [record.name for record in found.records] == ["photos/a.png"] * 3
    outside = tmp_path / "inner"
    outside.mkdir()
    (outside / "x.jsonl").write_text(f'{{"file_name": "{tmp_path}/photos/a.png"}}\n')
    assert formats()["imagefolder"].read(outside / "x.jsonl", IMPORT).records == []


def test_kohyas_tables_by_path_by_name_and_with_lists_of_tags(drawn, tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b", "sub/c"):
        (tmp_path / f"{name}.png").write_bytes(drawn[0].read_bytes())
    rows = {"a": {"caption": "one", "tags": ["x", "y"]}, "/elsewhere/b.png": {"tags": "two"}, "gone": {"caption": "z"}}
    (tmp_path / "meta_lat.json").write_text(json.dumps(rows))
    found = formats()["meta_cap"].read(tmp_path, IMPORT)
    assert {record.name: record.caption for record in found.records} == {"a.png": "one, x, y", "sub/b.png": "two"}
    said = " ".join(problem.reason for problem in found.problems)
    assert "1 picture below it are not in the table" in said and "gone" in said


def test_the_sizes_in_meta_lat_are_the_trainers(drawn, tmp_path):
    big = tmp_path / "big.png"
    Image.new("RGB", (1000, 600)).save(big)
    write(
        "meta_cap",
        [Record("big.png", big, "x")],
        tmp_path / "set",
        ExportSettings(folder="a", output="b", resolution=768),
    )
    rows = json.loads((tmp_path / "set" / "meta_lat.json").read_text())
    assert rows["big"]["train_resolution"] == list(fit(1000, 600, DatasetSettings(resolution=768)).bucket)


def test_diffusion_pipe_says_its_repeats_and_takes_the_first_caption(drawn, tmp_path):
    records = [Record("dog/a.png", drawn[0], "a dog", 3), Record("dog/b.png", drawn[1], "b", 5)]
    place = write("diffusion_pipe", records, tmp_path / "set")
    listed = tomllib.loads((place / "dataset.toml").read_text())["directory"]
    assert [(Path(one["path"]).name, one["num_repeats"]) for one in listed] == [("dog", 3), ("dog_5", 5)]
    assert all(Path(one["path"]).is_dir() for one in listed)
    (place / "dog" / "captions.json").write_text(json.dumps({"a.png": ["first", "second"]}))
    found = formats()["diffusion_pipe"].read(place, IMPORT)
    assert {record.caption for record in found.records} == {"first", "b"}
    assert any("several captions" in problem.reason for problem in found.problems)


def test_captions_in_names():
    assert caption("a red house_2") == "a red house" and caption("IMG_1234", cut=False) == "IMG"
    assert caption("long_hair_0001", cut=False) == "long hair"
    assert expressible('a "b"/c: long_hair?') == "a b c long hair"
    assert len(expressible("ж" * 500).encode()) <= 240


def test_masks_follow(drawn, tmp_path):
    source = tmp_path / "set"
    (source / "masks").mkdir(parents=True)
    (source / "a.png").write_bytes(drawn[0].read_bytes())
    (source / "masks" / "a.png").write_bytes(drawn[1].read_bytes())
    plan = convert.preview_export(ExportSettings(folder=str(source), output=str(tmp_path / "out")))
    convert.write(plan, EXPORT)
    assert (tmp_path / "out" / "masks" / "a.png").read_bytes() == drawn[1].read_bytes()
    assert [record.name for record in formats()["text"].read(tmp_path / "out", IMPORT).records] == ["a.png"]


@pytest.mark.skipif(bool(missing()), reason="pyarrow isn't installed")
def test_the_bytes_in_parquet_stay_what_they_are(tmp_path):
    import pyarrow
    import pyarrow.parquet

    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, "WEBP")
    rows = [
        {"image": {"bytes": stream.getvalue(), "path": "../../x.webp"}, "caption": "one"},
        {"image": {"bytes": stream.getvalue(), "path": None}, "caption": None},
        {"image": {"bytes": b"no", "path": "n"}, "caption": "y"},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "train.parquet")
    found = formats()["parquet"].read(tmp_path, IMPORT)
    assert [(record.name, record.caption, record.bytes()) for record in found.records] == [
        ("train_00001.webp", "one", stream.getvalue()),
        ("train_00002.webp", "", stream.getvalue()),
    ]
    assert [str(problem.path)[-5:] for problem in found.problems] == ["row 3"]


def test_without_pyarrow_it_says_how_to_get_it(monkeypatch, drawn, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install pyarrow"):
        write("parquet", [Record("a.png", drawn[0])], tmp_path / "set")
    assert os.listdir(tmp_path) == []


def test_a_zip_is_made_while_it_is_sent(drawn):
    stream = target.Buffer()
    into = target.ZipTarget(stream)
    parts = []
    for _ in formats()["text"].write([Record(f"{number}.png", drawn[0], "x") for number in range(5)], into, EXPORT):
        parts.append(stream.take())
    into.close()
    parts.append(stream.take())
    assert all(parts) and len(parts) == 6
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None and len(archive.namelist()) == 10


def test_no_target_writes_elsewhere_or_twice(tmp_path):
    with target.folder(tmp_path / "set") as into:
        for name in ("../x", "/x", "", "a/../../x"):
            with pytest.raises(ValueError), into.open(name):
                pass
        target.text(into, "a.txt", "x")
        with pytest.raises(FileExistsError):
            target.text(into, "a.txt", "y")
    with target.archive(tmp_path / "set.zip") as into:
        target.text(into, "a.txt", "x")
        with pytest.raises(FileExistsError):
            target.text(into, "A.txt", "y")
