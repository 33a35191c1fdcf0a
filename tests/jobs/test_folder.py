import json
import os
import sys
from pathlib import Path

import pytest

from jobs.events import EventWriter
from jobs.folder import Job, create, home, jobs
from jobs.process import JobError, birth


def test_the_workspace_is_made_where_the_variable_says(workspace: Path) -> None:
    assert home() == workspace
    assert {path.name for path in workspace.iterdir()} == {"jobs", "presets", "drafts", "cache"}


def test_a_job_is_a_folder_with_what_it_takes_to_run_it_again() -> None:
    job = create("train", "Mein Kater", "rank = 4\n", ["python", "-m", "trainer", "{job}", "--x={job}/y"])
    assert job.folder.parent == home() / "jobs"
    again = Job(job.folder)
    assert (again.kind, again.name, again.config_path.read_text()) == ("train", "Mein Kater", "rank = 4\n")
    assert again.argv == [sys.executable, "-m", "trainer", str(job.folder), f"--x={job.folder}/y"]
    assert job.samples.is_dir() and job.checkpoints.is_dir() and job.id == job.folder.name
    assert job.state() == "queued" and job.last_event is None


def test_a_moved_job_works_on_its_new_place(tmp_path: Path) -> None:
    job = create("train", "a", "", ["python", "{job}"])
    assert Job(job.folder.rename(tmp_path / "elsewhere")).argv[1] == str(tmp_path / "elsewhere")


@pytest.mark.parametrize(
    "name",
    ["", "   ", "..", "../../etc", "a/b\\c", "it's \"so\" [good]", "Кот", "ねこ" * 200, "🐈" * 60, "a\nb\0c", "-rf",
     "con", "\udcff", "*?<>|:"],
)  # fmt: skip
def test_any_name_makes_a_folder_inside_the_workspace(name: str) -> None:
    job = create("train", name, "", ["python"])
    assert job.folder.parent == home() / "jobs" and len(os.fsencode(job.folder.name)) < 150
    assert Job(job.folder).name == name
    assert [found.id for found in jobs()] == [job.id]


def test_a_folder_is_never_used_twice(tmp_path: Path) -> None:
    made = [create("train", "same", "", ["python"]) for _ in range(4)]
    assert len({job.folder for job in made}) == 4
    assert jobs() == made[::-1]  # newest first, also within a second
    with pytest.raises(JobError, match="not empty"):
        create("train", "same", "", ["python"], at=made[0].folder)
    assert create("train", "x", "", ["python"], at=tmp_path / "of my own").folder == tmp_path / "of my own"


def test_broken_folders_are_passed_over() -> None:
    whole = create("train", "whole", "", ["python"])
    root = home() / "jobs"
    for number, text in enumerate(["", "{", "[]", "{}", '{"kind": "a"}', "\xff"]):
        (root / f"broken{number}").mkdir()
        (root / f"broken{number}" / "job.json").write_text(text, encoding="latin-1")
    (root / "empty").mkdir()
    (root / "a file").touch()
    assert jobs() == [whole]
    with pytest.raises(JobError, match="not the folder of a job"):
        _ = Job(root / "empty").argv


@pytest.mark.parametrize(
    ("alive", "last", "state"),
    [
        (None, None, "queued"),
        (None, "resumed", "queued"),
        (None, "failed", "failed"),  # it could not be started
        (True, None, "running"),
        (True, "step", "running"),
        (True, "finished", "running"),  # its last word is said, it has not ended yet
        (True, "failed", "running"),  # started again
        (False, None, "interrupted"),
        (False, "step", "interrupted"),
        (False, "resumed", "interrupted"),
        (False, "finished", "finished"),
        (False, "failed", "failed"),
        (False, "stopped", "stopped"),
    ],
)
def test_the_state_follows_from_the_files(alive: bool | None, last: str | None, state: str) -> None:
    job = create("train", "a", "", ["python"])
    if alive is not None:
        born = birth(os.getpid()) if alive else "another time"
        (job.folder / "process.json").write_text(json.dumps({"pid": os.getpid(), "born": born}))
    if last:
        EventWriter(job.events_path).write(last)
    assert job.state() == state
    (job.folder / "process.json").unlink(missing_ok=True)  # so that nobody kills this process at the end


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": "x", "born": 1}', '{"pid": -1, "born": ""}'])
def test_a_broken_note_of_the_process_is_no_process(text: str) -> None:
    job = create("train", "a", "", ["python"])
    (job.folder / "process.json").write_text(text)
    assert job.state() == "interrupted"
