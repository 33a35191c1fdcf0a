"""The doctor as a job, and the fixes in the terminal."""

import hashlib
import json
import shutil
import subprocess

import pytest

from dataset import command, work
from dataset.deeds import Deeds
from dataset.doctor import fine, job
from dataset.doctor.job import FixSettings, Settings
from jobs import requests
from settings.errors import SettingsError
from tests.dataset.doctor.test_hashes import drawn
from tests.dataset.test_deeds import contents


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "4_sks <b>"
    place.mkdir()
    for number in range(3):
        drawn(number, (160, 160)).save(place / f"{number}.png")
        (place / f"{number}.txt").write_text(f"sks, place {number}")
    (place / "1.txt").write_text("sks, one\ntwo")
    shutil.copy(place / "0.png", place / "copy.png")
    return place


def run(**values):
    """A job of these settings, worked on here."""
    made = work.create("check", Settings(**values))
    code = work.main([str(made.folder)])
    return made, code


def look(folder):
    return run(folder=str(folder), resolution=128, trigger="sks")[0]


def keys(made, name):
    told = job.result_of(made)
    return [case["key"] for one in told["findings"] if one["name"] == name for case in one["cases"]]


def test_an_examination_is_kept_in_the_job_s_folder(folder):
    made = look(folder)
    told = job.result_of(made)
    assert made.last_event["pictures"] == 4 and made.last_event["findings"] == len(told["findings"])
    assert {one.name for one in job.found_by(made)} >= {"captions.lines", "duplicates.exact"}
    assert "<b>" not in (made.folder / job.REPORT).read_text() and "data:image/jpeg" in (
        made.folder / job.REPORT).read_text()


def test_the_sums_are_those_that_sha256sum_checks(folder):
    (folder / "3.txt").write_text("back\\slash")
    drawn(5, (160, 160)).save(folder / "3.png")
    made = look(folder)
    text = (made.folder / job.SUMS).read_text()
    assert f"{hashlib.sha256((folder / '0.png').read_bytes()).hexdigest()}  0.png\n" in text
    assert f"{hashlib.sha256((folder / '1.txt').read_bytes()).hexdigest()}  1.txt\n" in text
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", made.folder / job.SUMS], cwd=folder, check=True)


def test_a_job_mends_what_was_chosen_and_looks_again(folder):
    before, first = contents(folder), look(folder)
    fix = FixSettings(finding="duplicates.exact", how="bin", examined=first.id,
                      cases=keys(first, "duplicates.exact"), keep=["copy.png"])
    made, code = run(folder=str(folder), resolution=128, trigger="sks", fix=fix)
    assert code == 0 and made.last_event["fixed"] == 2 and made.last_event["kept"] == 0
    assert not (folder / "0.png").exists() and (folder / "copy.png").exists() and not (folder / "0.txt").exists()
    assert "duplicates.exact" not in {one.name for one in job.found_by(made)}
    Deeds(folder).undo(made.last_event["deed"])
    assert contents(folder) == before


def test_another_plan_than_the_one_agreed_to_is_refused(folder):
    first = look(folder)
    wish = Settings(folder=str(folder), resolution=128, fix=FixSettings(finding="captions.lines", examined=first.id))
    digest = job.planned(wish, job.found_by(first)).digest
    (folder / "1.txt").write_text("other\nlines")
    made, code = run(folder=str(folder), resolution=128,
                     fix=FixSettings(finding="captions.lines", examined=first.id, digest=digest))
    assert code == 1 and "look at it again" in made.last_event["cause"]
    assert (folder / "1.txt").read_text() == "other\nlines"


@pytest.mark.parametrize("values, cause", [
    ({"folder": ""}, "choose the folder"), ({"folder": "/no/such"}, "no such folder"),
    ({"resolution": 500}, "multiple of 64"), ({"fix": {"finding": "x.y", "examined": "../../etc"}}, "any more"),
])
def test_wrong_settings_are_named(folder, values, cause):
    made, code = run(**{"folder": str(folder)} | values)
    assert code == 1 and cause in made.last_event["cause"] and "Traceback" not in made.last_event["cause"]


def test_it_can_be_stopped(folder):
    made = work.create("check", Settings(folder=str(folder)))
    requests.ask(made.folder, "stop")
    work.main([str(made.folder)])
    assert made.state() == "stopped" and job.result_of(made) is None
    with pytest.raises(SettingsError, match="any more"):
        job.found_by(made)


def test_what_was_found_to_be_fine_is_counted_apart(folder):
    first = look(folder)
    (case,) = next(one.cases for one in job.found_by(first) if one.name == "captions.lines")
    fine.mark(folder, "captions.lines", [case], True)
    told = job.result_of(look(folder))
    assert "captions.lines" not in {one["name"] for one in told["findings"]}
    assert [one["name"] for one in told["fine"]] == ["captions.lines"]


def check(folder, *more):
    return command.main(["check", str(folder), "--trigger", "sks", "--resolution", "128", *more])


def test_a_fix_in_the_terminal_and_its_undo(folder, capsys):
    before = contents(folder)
    assert check(folder, "--fix", "captions.lines", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "'sks, one\\ntwo' becomes 'sks, one, two'" in said and "Nothing was." in said
    assert contents(folder) == before
    assert check(folder, "--fix", "captions.lines", "--option", "lines=keep the first") == 0
    assert (folder / "1.txt").read_text() == "sks, one\n"
    assert "--undo " in capsys.readouterr().out
    assert check(folder, "--fix", "captions.lines") == 0
    assert "nothing to mend" in capsys.readouterr().out
    assert check(folder, "--fix", "duplicates.exact") == 0
    assert "copy.png: to the bin" in capsys.readouterr().out
    assert check(folder, "--undo") == check(folder, "--undo") == 0
    assert capsys.readouterr().out == "1 file as before.\n1 file as before.\n"
    assert contents(folder) == before
    assert check(folder, "--undo") == 0 and "nothing to take back" in capsys.readouterr().out


def test_only_some_cases(folder, capsys):
    for number in range(3):
        (folder / f"{number}.txt").write_text("cat")
    assert check(folder, "--fix", "captions.trigger", "--only", "1.png") == 0
    assert [(folder / f"{number}.txt").read_text() for number in range(3)] == ["cat", "sks, cat\n", "cat"]


def test_what_is_kept_ends_with_1(folder, capsys):
    check(folder, "--fix", "captions.lines")
    (folder / "1.txt").write_text("mine")
    assert check(folder, "--undo") == 1
    assert "1.txt: it was changed outside since" in capsys.readouterr().out


@pytest.mark.parametrize("more, said", [
    (["--fix", "files.turned"], "--fix: nothing can be done"),
    (["--fix", "captions.lines", "--how", "burn"], "--how: nothing can be done"),
    (["--fix", "captions.lines", "--option", "x=y"], "--option: no choice"),
    (["--undo", "none"], "nothing of the name"),
])
def test_wrong_words_are_one_line(folder, capsys, more, said):
    before = contents(folder)
    assert check(folder, *more) == 2
    assert said in capsys.readouterr().err and contents(folder) == before


def test_the_findings_tell_how_they_are_mended(folder, capsys):
    check(folder)
    said = capsys.readouterr().out
    assert "(--fix captions.lines)" in said and "(--fix duplicates.exact --how bin|exclude)" in said
    check(folder, "--json")
    assert {one["name"] for one in json.loads(capsys.readouterr().out)["findings"]} >= {"captions.lines"}
