"""What the tests of jobs share: a small worker's jobs, waiting until something is true, and leaving nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from jobs.folder import Job, create, home, jobs
from jobs.lock import locked
from jobs.process import LOCK, kill
from jobs.queue import pause

Make = Callable[..., Job]
Wait = Callable[[Callable[[], object]], None]


def runners() -> list[psutil.Process]:
    """The queue runners of this test's workspace."""
    return running(["-m", "jobs.runner", str(home())])


def supervisor(job: Job) -> psutil.Process:
    (found,) = running(["-m", "jobs.supervisor", str(job.folder)])
    return found


def running(words: list[str]) -> list[psutil.Process]:
    """The living programs whose command line goes on like this after the name of Python."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[1 : len(words) + 1] == words and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace whose processes end with the test."""
    monkeypatch.setenv("LORATORY_HOME", str(tmp_path / 'home of Kоt \'n "猫"'))
    yield home()
    pause(home())  # a supervisor that sees its job end would start a runner for the next one
    for runner in runners():
        runner.kill()
    for job in jobs():
        kill(job)
        supervisor_ends(job)


def supervisor_ends(job: Job) -> None:
    with locked(job.folder / LOCK, patience=10) as free:
        assert free


@pytest.fixture
def make() -> Make:
    def make(work: str = "until_stop", name: str = "test") -> Job:
        return create("test", name, "", ["python", "-m", "tests.jobs.worker", "{job}", work])

    return make


@pytest.fixture
def wait() -> Wait:
    def wait(condition: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come true"
            time.sleep(0.02)

    return wait
