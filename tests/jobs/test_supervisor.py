import os
import signal
import time
from pathlib import Path

import pytest

from jobs import requests
from jobs.events import read_events
from jobs.folder import Job
from jobs.process import attend, is_running, is_watched, processes, start
from jobs.requests import GRACE, ask
from tests.jobs.conftest import Make, Wait, running, supervisor


def kinds(job: Job) -> list[str]:
    return [event["kind"] for event in read_events(job.events_path)[0]]


def steps(job: Job) -> int:
    return kinds(job).count("step")


def test_no_secret_reaches_log_or_events(make: Make, wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "my-very-own-key")
    job = make("tell")
    start(job)
    wait(lambda: job.state() == "failed" and not is_watched(job.folder))
    told = "\n".join(path.read_text() for path in job.folder.iterdir() if path.is_file())
    assert "my-very-own-key" not in told and "hf_a" not in told and "abcdefghijklmnop" not in told
    assert job.log_path.read_text().splitlines() == [
        "key [token], token [token]", "100%", "ValueError: Authorization: Bearer [token]",
    ]
    assert job.last_event["cause"] == "no entry with [token]"


def test_what_is_not_cleaned_yet_is_for_the_owner_alone(make: Make, wait: Wait) -> None:
    job = make()
    start(job)
    assert (job.folder / "output").stat().st_mode & 0o077 == 0


def test_a_killed_supervisor_neither_ends_nor_stalls_the_work(make: Make, wait: Wait) -> None:
    job = make("chatter")
    start(job)
    wait(lambda: steps(job) > 2)
    supervisor(job).kill()
    before = steps(job)
    wait(lambda: steps(job) > before + 40)  # 160 KB: more than any pipe holds
    assert job.state() == "running" and not is_watched(job.folder)
    attend(job.folder)
    attend(job.folder)
    wait(lambda: is_watched(job.folder))
    ask(job.folder, "stop")
    wait(lambda: job.state() == "stopped" and not is_watched(job.folder))
    numbers = [int(line.split()[1]) for line in job.log_path.read_text().splitlines()]
    assert sorted(set(numbers)) == list(range(job.last_event["step"])), "no line is missing"
    assert not (job.folder / "output").exists()


def test_one_supervisor_a_job(make: Make, wait: Wait) -> None:
    job = make()
    start(job)
    for _ in range(3):
        attend(job.folder)
    wait(lambda: steps(job) > 0)
    assert supervisor(job).is_running()
    ask(job.folder, "stop")
    wait(lambda: not running(["-m", "jobs.supervisor", str(job.folder)]))
    assert job.state() == "stopped"


def test_the_end_of_an_attempt_that_nobody_saw_is_in_the_log(make: Make, wait: Wait) -> None:
    job = make("chatter")
    pid = start(job)
    wait(lambda: steps(job) > 2)
    supervisor(job).kill()
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not is_running(job.folder))
    assert job.state() == "interrupted"
    start(job)
    wait(lambda: steps(job) > 5)
    ask(job.folder, "stop")
    wait(lambda: job.state() == "stopped" and not is_watched(job.folder))
    lines = job.log_path.read_text().splitlines()
    assert [line for line in lines if line.startswith("line 0 ")] == [lines[0]] * 2


def test_told_to_end_it_asks_the_job_to_stop_and_waits_for_it(make: Make, wait: Wait) -> None:
    job = make()
    start(job)
    wait(lambda: steps(job) > 0)
    supervisor(job).terminate()
    wait(lambda: job.state() == "stopped")
    assert "killed" not in job.last_event and kinds(job)[-1] == "stopped"


def test_a_job_that_does_not_answer_is_ended_after_a_grace_time(make: Make, wait: Wait) -> None:
    job = make("deaf")
    start(job)
    ask(job.folder, "pause")
    wait(lambda: processes(job.folder))
    assert job.state() == "running"
    long_ago = time.time() - GRACE - 1
    os.utime(job.folder / "requests" / "pause", (long_ago, long_ago))
    assert requests.ignored(job.folder)
    wait(lambda: job.state() == "stopped")
    assert job.last_event["killed"] and job.last_event["hung"] and not processes(job.folder)


def test_a_run_that_is_thrown_away_meanwhile_ends_its_supervisor(make: Make, wait: Wait, tmp_path: Path) -> None:
    job = make("deaf")
    pid = start(job)
    job.folder.rename(tmp_path / "elsewhere")
    os.kill(pid, signal.SIGKILL)
    wait(lambda: not running(["-m", "jobs.supervisor", str(job.folder)]))
    assert not job.folder.exists(), "and does not make it anew"
