import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from jobs import process
from jobs.events import EventWriter, read_events
from jobs.files import REPOSITORY
from jobs.folder import Job, create
from jobs.process import JobError, claim, is_running, job_environment, kill, processes, spawn, start
from jobs.requests import ask
from tests.jobs.conftest import Make, Wait

# A window that starts a job and then just stays there.
WINDOW = """
import sys, time
from pathlib import Path
from jobs.folder import Job
from jobs.process import start
start(Job(Path(sys.argv[1])))
print("started", flush=True)
time.sleep(30)
"""


def steps(job: Job) -> int:
    return sum(event["kind"] == "step" for event in read_events(job.events_path)[0])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_job_outlives_the_window_that_started_it(make: Make, wait: Wait, how: signal.Signals) -> None:
    job = make()
    window = subprocess.Popen(
        [sys.executable, "-c", WINDOW, str(job.folder)], stdout=subprocess.PIPE, start_new_session=True, cwd=REPOSITORY
    )
    assert window.stdout and window.stdout.readline() == b"started\n"
    wait(lambda: steps(job) > 0)
    os.killpg(window.pid, how)  # all that hangs on its terminal, as Ctrl+C or closing it would
    window.communicate()
    before = steps(job)
    wait(lambda: steps(job) > before + 2)
    assert job.state() == "running"
    ask(job.folder, "stop")
    wait(lambda: job.state() == "stopped")


def test_a_job_finds_its_surroundings_in_order(make: Make, wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "1")
    monkeypatch.setenv("HF_HOME", "/somewhere")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    job = make("surroundings", name='it\'s "Кот" 猫 $(x) `y`; [z]')
    start(job)
    wait(lambda: job.state() == "finished")
    seen = json.loads((job.folder / "seen.json").read_text())
    assert seen["cwd"] == str(REPOSITORY) and seen["input"] == "" and seen["argv"][1] == str(job.folder)
    environment = seen["environment"]
    assert "GRADIO_SERVER_PORT" not in environment and environment["HF_HOME"] == "/somewhere"
    assert environment["PYTHONPATH"] == f"{REPOSITORY}{os.pathsep}/elsewhere" and environment["PYTHONUNBUFFERED"] == "1"
    assert environment["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert job_environment()["OMP_WAIT_POLICY"] == "active"


def test_output_is_added_to_the_log(make: Make, wait: Wait) -> None:
    job = make("vanish")
    job.log_path.write_text("before\n")
    start(job)
    wait(lambda: job.state() == "failed")
    assert job.log_path.read_text() == "before\ngetting on with it\nValueError: the moon is full\n"


def test_a_job_is_not_started_twice(make: Make, wait: Wait) -> None:
    job = make()
    start(job)
    with pytest.raises(JobError, match="running already"):
        start(job)
    with pytest.raises(JobError, match="running already"):
        claim(job.folder)
    kill(job)
    wait(lambda: job.state() == "stopped")
    claim(job.folder)
    assert is_running(job.folder)
    os.environ.pop("LORATORY_JOB")
    (job.folder / "process.json").unlink()


def test_a_pid_that_belongs_to_someone_else_by_now_is_left_alone(make: Make) -> None:
    job = make()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    note = {"pid": bystander.pid, "born": "an earlier start of the machine 7"}
    (job.folder / "process.json").write_text(json.dumps(note))
    assert not is_running(job.folder) and job.state() == "interrupted"
    kill(job)
    assert bystander.poll() is None
    bystander.communicate(b"\n")


def test_a_zombie_is_not_running(make: Make, wait: Wait) -> None:
    job = make("be_killed")
    process = spawn(job)  # kept: Python fetches the result of one that nobody holds any more
    wait(lambda: psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE)
    assert not is_running(job.folder) and processes(job.folder) == []


def test_a_program_that_cannot_be_started_leaves_the_job_as_it_was() -> None:
    job = create("train", "a", "", ["/no/such/program"])
    with pytest.raises(FileNotFoundError):
        start(job)
    assert job.state() == "queued"


def worker_pid(job: Job) -> int:
    return next((event["pid"] for event in read_events(job.events_path)[0] if event["kind"] == "started"), 0)


def test_killing_takes_the_whole_tree(make: Make, wait: Wait) -> None:
    job = make("launch")
    launcher = start(job)
    wait(lambda: worker_pid(job))
    assert worker_pid(job) != launcher
    kill(job)
    assert job.state() == "stopped" and job.last_event["killed"]
    assert not psutil.pid_exists(worker_pid(job)) or psutil.Process(worker_pid(job)).status() == psutil.STATUS_ZOMBIE


def test_a_program_whose_launcher_was_killed_still_runs_and_can_be_killed(make: Make, wait: Wait) -> None:
    job = make("launch")
    launcher = start(job)
    wait(lambda: worker_pid(job))
    os.kill(launcher, signal.SIGKILL)
    wait(lambda: not is_running(job.folder, thorough=False))
    assert job.state() == "running" and [process.pid for process in processes(job.folder)] == [worker_pid(job)]
    with pytest.raises(JobError, match="running already"):
        start(job)
    kill(job)
    assert job.state() == "stopped"


def test_nothing_is_written_for_a_job_that_has_ended(make: Make, wait: Wait) -> None:
    job = make("finish")
    kill(job)  # never started
    start(job)
    wait(lambda: job.state() == "finished")
    kill(job)
    assert job.state() == "finished"


def test_a_folder_through_a_link_is_the_same_job(make: Make, tmp_path: Path, wait: Wait) -> None:
    job = make("launch")
    link = tmp_path / "link"
    link.symlink_to(job.folder)
    launcher = start(Job(link))
    wait(lambda: worker_pid(job))
    os.kill(launcher, signal.SIGKILL)
    wait(lambda: not is_running(job.folder, thorough=False))
    assert job.state() == "running"
    kill(job)
    assert Job(link).state() == "stopped"


def test_a_job_can_be_killed_while_the_disk_is_full(make: Make, wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make()
    start(job)
    wait(lambda: job.last_event)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patch:
        patch.setattr(process, "replace", full)
        patch.setattr(EventWriter, "write", full)
        kill(job)
    assert not processes(job.folder)
