"""What a job's folder says of its state is true, whatever died and in whatever order; with real processes."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jobs.events import EventWriter
from jobs.files import REPOSITORY
from jobs.folder import Job, State, create
from jobs.process import is_running, is_watched, kill, spawn, start
from jobs.queue import ensure_runner, resume, submit, withdraw
from jobs.requests import ask
from tests.jobs.conftest import Make, Wait, runners, supervisor, supervisor_ends

Happening = Callable[[Job, int], None]


def nothing(job: Job, pid: int) -> None:
    """The window is closed: it has nothing to do with it."""


def supervisor_killed(job: Job, pid: int) -> None:
    one = supervisor(job)
    one.kill()
    one.wait()


def trainer_killed(job: Job, pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    supervisor_ends(job)


def both_killed(job: Job, pid: int) -> None:
    supervisor_killed(job, pid)
    os.kill(pid, signal.SIGKILL)


def ended_by_a_person(job: Job, pid: int) -> None:
    kill(job)


def asked_to_stop(job: Job, pid: int) -> None:
    ask(job.folder, "stop")
    supervisor_ends(job)


def stopped_without_a_supervisor(job: Job, pid: int) -> None:
    supervisor_killed(job, pid)
    ask(job.folder, "stop")
    psutil.Process(pid).wait(20)


def reboot(job: Job, pid: int) -> None:
    """Everything is gone, and the number belongs to another process of another start of the machine."""
    both_killed(job, pid)
    known = json.loads((job.folder / "process.json").read_text())
    (job.folder / "process.json").write_text(json.dumps(known | {"pid": os.getpid(), "born": "earlier 7"}))


def pid_reused(job: Job, pid: int) -> None:
    both_killed(job, pid)
    known = json.loads((job.folder / "process.json").read_text())
    (job.folder / "process.json").write_text(json.dumps(known | {"pid": os.getpid()}))


TABLE: list[tuple[Happening, State]] = [
    (nothing, "running"),
    (supervisor_killed, "running"),
    (trainer_killed, "failed"),
    (both_killed, "interrupted"),
    (ended_by_a_person, "stopped"),
    (asked_to_stop, "stopped"),
    (stopped_without_a_supervisor, "stopped"),
    (reboot, "interrupted"),
    (pid_reused, "interrupted"),
]


@pytest.mark.parametrize(("happens", "state"), TABLE, ids=[happens.__name__ for happens, _ in TABLE])
def test_the_state_is_true(make: Make, wait: Wait, happens: Happening, state: State) -> None:
    job = make()
    assert job.state() == "queued"
    pid = start(job)
    wait(lambda: job.last_event)
    assert job.state() == "running"
    happens(job, pid)
    wait(lambda: job.state() == state)
    assert Job(job.folder).state() == state
    if state in ("failed", "interrupted", "stopped"):  # all of these can go on
        supervisor_ends(job)
        resume(job)
        wait(lambda: job.state() == "running")
        assert os.getpid() != json.loads((job.folder / "process.json").read_text())["pid"]


@pytest.mark.parametrize("word", ["finished", "stopped", "paused", "failed"])
def test_the_last_word_counts_whoever_lives_on(make: Make, word: str) -> None:
    job = make()
    process = spawn(job)
    process.kill()
    process.wait()
    EventWriter(job.events_path).write(word)
    assert job.state() == word


def test_a_zombie_has_ended(make: Make, wait: Wait) -> None:
    job = make("be_killed")
    process = spawn(job)
    wait(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert job.state() == "interrupted"


def test_between_the_end_and_the_word_about_it_nothing_is_interrupted(make: Make, wait: Wait) -> None:
    """The supervisor is held in the moment in which it would say how the process ended."""
    job = make("deaf")
    pid = start(job)
    one = supervisor(job)
    one.suspend()
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not is_running(job.folder, thorough=False))
    assert job.state() == "running"
    one.resume()
    wait(lambda: job.state() == "failed")


def test_everything_is_killed_and_the_queue_goes_on(make: Make, wait: Wait) -> None:
    first, second, third = make(), make("finish"), make("finish")
    for job in (first, second, third):
        submit(job)
    wait(lambda: first.last_event)
    pid = json.loads((first.folder / "process.json").read_text())["pid"]
    for one in (*runners(), supervisor(first), psutil.Process(pid)):
        one.kill()
    wait(lambda: not runners() and not is_watched(first.folder) and not is_running(first.folder, thorough=False))
    assert [job.state() for job in (first, second, third)] == ["interrupted", "queued", "queued"]
    ensure_runner()  # as the next window does, and `launch.py queue`
    wait(lambda: third.state() == "finished")
    assert second.last_event["time"] <= third.last_event["time"] and first.state() == "interrupted"


def test_a_job_that_lost_all_its_watchers_gets_new_ones(make: Make, wait: Wait) -> None:
    first, second = make(), make("finish")
    submit(first)
    submit(second)
    wait(lambda: first.last_event)
    for one in (*runners(), supervisor(first)):
        one.kill()
        one.wait()
    ensure_runner()
    wait(lambda: is_watched(first.folder))
    assert first.state() == "running" and second.state() == "queued"
    ask(first.folder, "stop")
    wait(lambda: second.state() == "finished")
    assert first.state() == "stopped"


def test_without_a_runner_the_next_one_is_started_by_whoever_watched_the_last(make: Make, wait: Wait) -> None:
    first, second = make(), make("finish")
    submit(first)
    submit(second)
    wait(lambda: first.last_event)
    for one in runners():
        one.kill()
        one.wait()
    ask(first.folder, "stop")
    wait(lambda: second.state() == "finished")
    assert first.state() == "stopped"


@pytest.mark.parametrize("before", ["stopped", "failed", "interrupted"])
def test_a_job_taken_back_out_of_the_queue_is_what_it_was(make: Make, wait: Wait, before: State) -> None:
    first, job = make(), make("be_killed" if before == "failed" else "until_stop")
    pid = start(job)
    if before == "stopped":
        ask(job.folder, "stop")
    elif before == "interrupted":
        both_killed(job, pid)
    wait(lambda: job.state() == before)
    supervisor_ends(job)
    said = job.last_event
    submit(first)  # takes the device
    wait(lambda: first.state() == "running")
    resume(job)
    assert job.state() == "queued"
    withdraw(job)
    assert job.state() == before
    if before != "interrupted":
        assert {**job.last_event, "time": 0} == {**said, "time": 0}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte; skipped where none may be mounted."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def filled(place: Path) -> None:
    with (place / "filler").open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError as error:
            assert error.errno == errno.ENOSPC


def test_a_full_disk_leaves_the_truth_and_room_makes_it_go_on(small_disk: Path, wait: Wait) -> None:
    job = create("test", "full", "", ["python", "-m", "tests.jobs.worker", "{job}", "chatter"], at=small_disk / "job")
    start(job)
    wait(lambda: job.last_event)
    filled(small_disk)
    supervisor_ends(job)  # the worker dies of it, as one without a care does
    assert job.state() in ("interrupted", "failed"), "never running, never finished"
    (small_disk / "filler").unlink()
    start(job)
    wait(lambda: (job.last_event or {}).get("kind") == "step" and job.state() == "running")
    ask(job.folder, "stop")
    wait(lambda: job.state() == "stopped")
    supervisor_ends(job)


def test_on_a_full_disk_nothing_is_started_that_nobody_could_find_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, others, begun = make("deaf"), psutil.Process().children(), []

    def full(*_: object) -> None:
        begun.extend(child for child in psutil.Process().children() if child not in others)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("jobs.process.replace", full)
    with pytest.raises(OSError, match="no space"):
        spawn(job)
    (child,) = begun
    child.wait(10)
    assert job.state() == "queued"


def test_the_window_is_killed_with_its_whole_group(make: Make, wait: Wait) -> None:
    job = make()
    code = "import sys, time; from pathlib import Path; from jobs.folder import Job; from jobs.queue import submit\n"
    code += "submit(Job(Path(sys.argv[1]))); print(flush=True); time.sleep(60)"
    argv = [sys.executable, "-c", code, str(job.folder)]
    window = subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, start_new_session=True)
    assert window.stdout and window.stdout.readline()
    os.killpg(window.pid, signal.SIGKILL)
    window.communicate()
    wait(lambda: job.state() == "running")
    ask(job.folder, "stop")
    wait(lambda: job.state() == "stopped")
