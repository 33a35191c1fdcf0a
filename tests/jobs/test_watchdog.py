from pathlib import Path

import psutil
import pytest

from jobs import watchdog
from jobs.events import EventWriter, last_event, read_events
from jobs.folder import Job
from jobs.watchdog import LOADING, QUIET, Watchdog, limit, words
from tests.jobs.conftest import Make


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def warnings(job: Job) -> list[str]:
    return [event["message"] for event in read_events(job.events_path)[0] if event["kind"] == "warning"]


@pytest.fixture
def watched(make: Make) -> tuple[Job, Clock, Watchdog]:
    job, clock = make(), Clock()
    EventWriter(job.events_path).write("step", step=120, it_s=2.0)
    return job, clock, Watchdog(job, clock)


def test_silence_is_told_with_what_to_do_and_again_when_twice_as_long(watched: tuple[Job, Clock, Watchdog]) -> None:
    job, clock, dog = watched
    told = []
    for clock.now in range(0, 4 * QUIET + 60, 30):
        dog.look()
        told.append(len(warnings(job)))
    assert told[QUIET // 30 - 1] == 0 and told[QUIET // 30] == 1
    assert told[-1] == 3, "after 10, 20 and 40 minutes, not every time"
    assert warnings(job)[0].startswith("no progress for 10 minutes: the last it said was step 120, and its programs ")
    assert "pause it and resume" in warnings(job)[0] and "compute nothing" in warnings(job)[0]


def test_an_event_is_progress_and_a_warning_of_ours_is_none(watched: tuple[Job, Clock, Watchdog]) -> None:
    job, clock, dog = watched
    clock.now = QUIET - 1
    dog.look()
    EventWriter(job.events_path).write("step", step=121)
    clock.now += 5
    dog.look()
    clock.now += QUIET - 5
    dog.look()
    assert not warnings(job)
    clock.now += 10
    dog.look()
    assert len(warnings(job)) == 1
    assert job.last_event["kind"] == "step", "the last word stays the job's own"
    assert last_event(job.events_path)["kind"] == "warning"


def test_a_warning_in_the_moment_of_the_end_does_not_change_the_state(make: Make) -> None:
    job = make()
    EventWriter(job.events_path).write("finished")
    EventWriter(job.events_path).write("warning", message="late")
    assert job.state() == "finished"


@pytest.mark.parametrize(
    ("last", "seconds"),
    [
        (None, LOADING),
        ({"kind": "phase", "name": "load model"}, LOADING),
        ({"kind": "started"}, LOADING),
        ({"kind": "progress"}, QUIET),
        ({"kind": "step", "it_s": 5}, QUIET),
        ({"kind": "step", "it_s": 0.01}, 3000),
        ({"kind": "step", "it_s": "nan"}, QUIET),
    ],
)
def test_how_long_silence_is_normal(last: dict | None, seconds: float) -> None:
    assert limit(last) == seconds


def test_before_the_first_step_other_things_are_to_be_looked_at() -> None:
    text = words(1900, {"kind": "phase", "name": "load model", "done": 0, "total": 1}, 0.97)
    assert '"load model", 0 of 1' in text and "compute (97% of a core)" in text and "network" in text


def test_work_of_children_counts(make: Make, wait, tmp_path: Path) -> None:
    from jobs.process import kill, start

    job = make("launch")
    launcher = psutil.Process(start(job))
    wait(lambda: any(sum(child.cpu_times()[:2]) > 0.05 for child in launcher.children()))
    assert watchdog.computed(job) > sum(launcher.cpu_times()[:2]) + 0.04
    kill(job)
    assert watchdog.computed(job) == 0
