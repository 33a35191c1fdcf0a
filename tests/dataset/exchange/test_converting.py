"""Exports and imports whole: what is said before, that nothing is touched, that nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dataset import work
from dataset.command import main
from dataset.exchange import convert
from dataset.exchange.settings import ExportSettings, ImportSettings
from dataset.scan import scan
from dataset.settings import Folder
from settings.errors import SettingsError, check


@pytest.fixture
def kohya(tmp_path) -> Path:
    """Ten times two dogs, once a cat, three times one of the whole class."""
    root = tmp_path / "prepared"
    for folder, names in {"img/10_sks dog": ["a", "b"], "img/1_cat": ["c"], "reg/3_animal": ["r"]}.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            Image.new("RGB", (64, 64), "red").save(root / folder / f"{name}.png")
            (root / folder / f"{name}.txt").write_text(f"this is {name}\n")
    (root / "img" / "10_sks dog" / "broken.png").write_bytes(b"no")
    return root


def listing(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_there_and_back(kohya, tmp_path):
    before = listing(kohya)
    assert run("export", kohya, "--format", "kohya", "--output", tmp_path / "set.zip") == 0
    assert run("import", tmp_path / "set.zip", "--to", "kohya", "--output", tmp_path / "back") == 0
    assert listing(kohya) == before
    assert listing(tmp_path / "back") == {name: data for name, data in before.items() if "broken" not in name}
    assert sorted(os.listdir(tmp_path)) == ["back", "prepared", "set.zip"]


def test_what_is_lost_is_said_before(kohya, tmp_path):
    plan = convert.preview_export(ExportSettings(folder=str(kohya), output=str(tmp_path / "out"), format="text"))
    assert sorted(record.name for record in plan.records) == ["cat/c.png", "sks dog/a.png", "sks dog/b.png"]
    said = " ".join(plan.losses)
    assert "1 regularisation picture left out" in said and "no place for repeats" in said
    assert any(problem.path.name == "broken.png" and not problem.used for problem in plan.problems)
    assert "3 pictures" in plan.sentence and "3 with a caption" in plan.sentence


def test_dry_runs_write_nothing(kohya, tmp_path, capsys):
    assert run("export", kohya, "--output", tmp_path / "out", "--dry-run") == 0
    assert run("import", kohya, "--output", tmp_path / "out", "--dry-run") == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["prepared"]


def wrong(kohya: Path, **values: str) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        convert.preview_export(check(ExportSettings, {"folder": str(kohya)} | values))
    return caught.value.problems


def test_never_over_anything_and_never_into_the_source(kohya, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "set.zip").touch()
    (tmp_path / "link").symlink_to(kohya)
    assert "already" in wrong(kohya, output=str(tmp_path / "full"))["output"]
    assert "already" in wrong(kohya, output=str(tmp_path / "set.zip"))["output"]
    for inside in (kohya / "new", kohya / "new.zip", tmp_path / "link" / "new"):
        assert "inside" in wrong(kohya, output=str(inside))["output"]
    assert "no such folder" in wrong(tmp_path / "none", output=str(tmp_path / "new"))["folder"]
    (tmp_path / "empty").mkdir()
    assert "no pictures" in wrong(tmp_path / "empty", output=str(tmp_path / "new"))["folder"]
    assert wrong(kohya, output=str(tmp_path / "new"), format="nonsense")["format"].startswith("must be one of text")
    assert sorted(os.listdir(tmp_path)) == ["empty", "full", "link", "prepared", "set.zip"]


def test_a_full_disk_is_said_before(kohya, tmp_path, monkeypatch):
    monkeypatch.setattr(convert.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    assert "free" in wrong(kohya, output=str(tmp_path / "new"))["output"]


def test_someone_who_is_quicker_keeps_theirs(kohya, tmp_path):
    settings = ExportSettings(folder=str(kohya), output=str(tmp_path / "out"))
    plan = convert.preview_export(settings)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "theirs").write_text("x")
    with pytest.raises(FileExistsError):
        convert.write(plan, settings)
    assert listing(tmp_path / "out") == {"theirs": b"x"} and sorted(os.listdir(tmp_path)) == ["out", "prepared"]


def test_a_stop_leaves_nothing(kohya, tmp_path):
    def progress(name, done, total):
        if done == 2:
            raise work.Stopped

    for output in ("out", "out.zip"):
        settings = ExportSettings(folder=str(kohya), output=str(tmp_path / output))
        with pytest.raises(work.Stopped):
            convert.write(convert.preview_export(settings), settings, progress)
    assert os.listdir(tmp_path) == ["prepared"]


def test_a_picture_that_goes_meanwhile_is_told(kohya, tmp_path):
    settings = ExportSettings(folder=str(kohya), output=str(tmp_path / "out"))
    plan = convert.preview_export(settings)
    plan.records[0].content.unlink()
    convert.write(plan, settings)
    assert len(list((tmp_path / "out").rglob("*.png"))) == 2
    assert "isn't there any more" in plan.problems[-1].reason


def test_as_work_of_the_window(kohya, tmp_path, workspace):
    values = {"folder": str(kohya), "output": str(tmp_path / "out"), "format": "imagefolder"}
    job = work.create("export", check(ExportSettings, values))
    assert work.main([str(job.folder)]) == 0
    assert job.last_event["pictures"] == 4 and job.last_event["output"] == str(tmp_path / "out")
    job = work.create(
        "import", check(ImportSettings, {"source": str(tmp_path / "out"), "output": str(tmp_path / "k"), "to": "kohya"})
    )
    assert work.main([str(job.folder)]) == 0
    assert job.last_event["read_as"] == "imagefolder"
    items = scan([Folder(path=str(tmp_path / "k" / "img"))]).items
    assert sorted((item.path.name, item.repeats, item.caption) for item in items) == [
        ("a.png", 10, "this is a"),
        ("b.png", 10, "this is b"),
        ("c.png", 1, "this is c"),
    ]


def test_an_analysis_is_imported_as_by_its_own_command(kohya, tmp_path):
    records = [
        {"image": "a.png", "description": "a dog", "confidence": 0.9},
        {"image": "b.png", "caption": "low", "confidence": 0.2},
    ]
    file = tmp_path / "said.json"
    file.write_text(json.dumps({"results": records}))
    images = kohya / "img" / "10_sks dog"
    assert run("import-analysis", file, "--images", images, "--output", tmp_path / "one") == 0
    assert run("import", file, "--images", images, "--output", tmp_path / "two") == 0
    assert listing(tmp_path / "one") == listing(tmp_path / "two")
    summary = json.loads((tmp_path / "two" / "data_summary.json").read_text())
    assert (summary["kept"], summary["dropped"]) == (1, {"low confidence": 1})


def test_a_zip_that_is_hostile_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * 5_000_000)
    with (
        pytest.raises(SettingsError, match="grow"),
        convert.preview_import(ImportSettings(source=str(tmp_path / "bomb.zip"), output=str(tmp_path / "out"))),
    ):
        pass
    assert os.listdir(tmp_path) == ["bomb.zip"]


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert run("export", tmp_path / "none", "--output", tmp_path / "out") == 2
    assert run("export", tmp_path, "--formatt", "text", "--output", tmp_path / "out") == 2
    assert "did you mean --format" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("export", "--help")
    assert "imagefolder" in capsys.readouterr().out
