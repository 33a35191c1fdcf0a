"""Work in a process of its own: what it says, how it is stopped, what becomes of its folders."""

import sys
import types
from typing import Any

import pytest

from dataset import work
from dataset.problem import Problem
from jobs import process, requests
from jobs.events import read_events
from settings.errors import SettingsError
from settings.section import Section


class Counting(Section):
    """A work that counts."""

    upto: int = 3
    """How far."""
    fails: bool = False
    """Whether it then fails."""


def counting(settings: Counting, teller: work.Teller) -> dict[str, Any]:
    for number in range(settings.upto):
        teller.progress("counting", number + 1, settings.upto)
    teller.problem(Problem(teller.folder / "a.png", "it is odd", "look at it"))
    teller.warn("nearly there")
    if settings.fails:
        raise SettingsError({"upto": "count less far"})
    return {"counted": settings.upto}


@pytest.fixture
def counts(workspace, monkeypatch):
    """The kind of work "count", known to this process."""
    module = types.ModuleType("counts")
    module.Settings, module.work = Counting, counting
    monkeypatch.setitem(sys.modules, "counts", module)
    monkeypatch.setitem(work.KINDS, "count", "counts")


def kinds(job):
    return [event["kind"] for event in read_events(job.events_path)[0]]


def test_a_work_tells_what_it_did(counts):
    job = work.create("count", Counting(upto=5))
    assert work.main([str(job.folder)]) == 0
    assert kinds(job)[0] == "started"
    assert job.state() == "finished"
    assert job.last_event["counted"] == 5
    (problem,) = [event for event in read_events(job.events_path)[0] if event["kind"] == "problem"]
    assert problem["name"] == "a.png"
    (last,) = [event for event in read_events(job.events_path)[0] if event["kind"] == "progress"][-1:]
    assert (last["done"], last["total"]) == (5, 5)


def test_a_failure_has_a_cause_and_a_fix(counts, capsys):
    job = work.create("count", Counting(fails=True))
    assert work.main([str(job.folder)]) == 1
    assert job.last_event["kind"] == "failed"
    assert "count less far" in job.last_event["cause"]
    assert "start again" in job.last_event["fix"]


def test_it_stops_when_asked(counts):
    job = work.create("count", Counting(upto=2))
    requests.ask(job.folder, "stop")
    assert work.main([str(job.folder)]) == 0
    assert job.state() == "stopped"


def test_two_of_one_second_have_folders_of_their_own_and_old_ones_go(counts, monkeypatch):
    monkeypatch.setattr(work, "KEPT", 2)
    made = []
    for _ in range(5):
        made.append(work.create("count", Counting()))
        work.main([str(made[-1].folder)])
    assert len({job.folder for job in made}) == 5
    there = [job.folder.exists() for job in made]
    assert there == [False, False, True, True, True]


@pytest.mark.parametrize("kind", work.KINDS)
def test_every_kind_runs_in_a_process_of_its_own(kind, workspace):
    """Without settings it has nothing to do or names what is missing, but it always says how it ended."""
    job = work.create(kind, work.section(kind)())
    process.spawn(job).wait(60)
    assert job.state() in ("finished", "failed")
    assert "Traceback" not in job.last_event.get("cause", "")
