import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from jobs import queue, runner
from jobs.events import EventWriter, read_events
from jobs.files import REPOSITORY, home
from jobs.folder import Job, create
from jobs.lock import locked
from jobs.process import JobError, kill, processes, start
from jobs.queue import ensure_runner, queued, resume, submit, withdraw
from jobs.requests import ask
from jobs.runner import run
from tests.jobs.conftest import Make, Wait, runners, supervisor


def finished_in(jobs: list[Job]) -> list[float]:
    return [job.last_event["time"] for job in jobs]


def test_jobs_run_one_after_another_in_order(make: Make, wait: Wait) -> None:
    work = [make("finish"), make("vanish"), make("finish", name='Кот \'n "猫" {job}')]
    for job in work:
        submit(job)
    wait(lambda: work[-1].state() == "finished")
    assert [job.state() for job in work] == ["finished", "failed", "finished"]  # a failure does not stop the others
    assert finished_in(work) == sorted(finished_in(work))


def test_only_one_runs_at_a_time(make: Make, wait: Wait) -> None:
    first, second = make(), make()
    start(first)  # by hand, not from the queue
    submit(second)
    wait(runners)
    assert second.state() == "queued" and queued(second.folder.parents[1]) == [second]
    ask(first.folder, "stop")
    wait(lambda: second.state() == "running")
    assert first.state() == "stopped"
    ask(second.folder, "stop")
    wait(lambda: second.state() == "stopped")


def test_the_window_may_die_and_the_queue_goes_on(make: Make, wait: Wait) -> None:
    work = [make(), make("finish")]
    code = (
        "import os, sys; from pathlib import Path; from jobs.folder import Job; from jobs.queue import submit\n"
        "for path in sys.argv[1:]: submit(Job(Path(path)))\n"
        "os.kill(os.getpid(), 9)"
    )
    argv = [sys.executable, "-c", code, *(str(job.folder) for job in work)]
    assert subprocess.run(argv, cwd=REPOSITORY).returncode == -signal.SIGKILL
    wait(lambda: work[0].state() == "running")
    ask(work[0].folder, "stop")
    wait(lambda: work[1].state() == "finished")


def test_the_runner_may_die_and_the_job_goes_on(make: Make, wait: Wait) -> None:
    first, second = make(), make("finish")
    submit(first)
    submit(second)
    wait(lambda: first.last_event)
    for one in runners():
        one.kill()
        one.wait()
    assert first.state() == "running" and second.state() == "queued"
    ensure_runner()  # as the next window does
    wait(runners)
    ask(first.folder, "stop")
    wait(lambda: second.state() == "finished")
    assert first.state() == "stopped"


def test_a_killed_trainer_is_reported_with_cause_and_fix(make: Make, wait: Wait) -> None:
    job = make("be_killed")
    submit(job)
    wait(lambda: job.state() == "failed")
    assert "out of memory (SIGKILL)" in job.last_event["cause"] and "need less memory" in job.last_event["fix"]


def test_a_trainer_that_vanishes_is_reported_with_what_it_said(make: Make, wait: Wait) -> None:
    job = make("vanish")
    submit(job)
    wait(lambda: job.state() == "failed")
    assert job.last_event["cause"] == "The process ended with exit code 3: ValueError: the moon is full"
    assert job.last_event["traceback"] == "getting on with it\nValueError: the moon is full"


def test_a_program_that_cannot_be_started_fails_and_the_next_runs(make: Make, wait: Wait) -> None:
    broken, fine = create("train", "a", "", ["/no/such/program"]), make("finish")
    submit(broken)
    submit(fine)
    wait(lambda: fine.state() == "finished")
    assert broken.state() == "failed" and "/no/such/program" in broken.last_event["cause"]


def test_a_trainer_that_outlives_its_launcher_is_waited_for(make: Make, wait: Wait) -> None:
    first, second = make("launch"), make("finish")
    submit(first)
    submit(second)
    wait(lambda: first.last_event)
    processes(first.folder)[0].kill()
    wait(lambda: [process.pid for process in processes(first.folder)] == [read_events(first.events_path)[0][0]["pid"]])
    assert first.state() == "running" and second.state() == "queued"
    ask(first.folder, "stop")
    wait(lambda: second.state() == "finished")
    assert first.state() == "stopped"


def test_a_job_killed_by_a_person_is_stopped_not_failed(make: Make, wait: Wait) -> None:
    job = make()
    submit(job)
    wait(lambda: job.last_event)
    kill(job)
    wait(lambda: not runners())
    assert [event["kind"] for event in read_events(job.events_path)[0]].count("failed") == 0
    assert job.state() == "stopped"


def test_resume_queues_what_ended_too_early(make: Make, wait: Wait) -> None:
    job = make("vanish")
    submit(job)
    wait(lambda: job.state() == "failed" and not runners())
    ask(job.folder, "stop")  # too late for that run, not meant for the next
    resume(job)
    assert not any((job.folder / "requests").iterdir())
    wait(lambda: job.state() == "failed" and not runners())
    assert [event["kind"] for event in read_events(job.events_path)[0]] == ["failed", "resumed", "failed"]


def test_resume_of_a_job_that_is_finished_but_for_a_part(make: Make, wait: Wait) -> None:
    job = make("finish_in_part")
    submit(job)
    wait(lambda: job.state() == "finished" and not runners())
    resume(job)
    wait(lambda: job.state() == "finished" and not runners())
    assert [event["kind"] for event in read_events(job.events_path)[0]] == ["finished", "resumed", "finished"]
    with pytest.raises(JobError, match="nothing to resume"):
        resume(job)


def test_resume_of_an_interrupted_job(make: Make, wait: Wait) -> None:
    job = make()
    pid = start(job)
    wait(lambda: job.last_event)
    supervisor(job).kill()
    os.kill(pid, signal.SIGKILL)
    wait(lambda: job.state() == "interrupted")
    resume(job)
    wait(lambda: job.state() == "running")
    ask(job.folder, "stop")
    wait(lambda: job.state() == "stopped")
    assert begun(job) == 2


def begun(job: Job) -> int:
    return sum(event["kind"] == "started" for event in read_events(job.events_path)[0])


def test_what_cannot_be_queued(make: Make, wait: Wait, tmp_path: Path) -> None:
    job = make("finish")
    with pytest.raises(JobError, match="nothing to resume"):
        resume(job)
    start(job)
    wait(lambda: job.state() == "finished")
    for do in (submit, resume):
        with pytest.raises(JobError, match="is finished"):
            do(job)
    with pytest.raises(JobError, match="not in this workspace"):
        submit(create("train", "x", "", ["python"], at=tmp_path / "elsewhere"))
    assert not runners()


def test_a_job_taken_out_of_the_queue_stays_and_is_not_run(make: Make, wait: Wait) -> None:
    first, second, third = make(), make("finish"), make("finish")
    for job in (first, second, third):
        submit(job)
    withdraw(second)
    wait(lambda: first.state() == "running")
    ask(first.folder, "stop")
    wait(lambda: third.state() == "finished" and not runners())
    assert second.state() == "queued" and queued(second.folder.parents[1]) == []


def test_a_job_only_made_is_not_run(make: Make, workspace: Path) -> None:
    job = make("finish")
    ensure_runner()
    run(workspace)
    assert job.state() == "queued" and not runners()


def test_a_job_submitted_while_the_runner_is_about_to_end_is_run(
    make: Make, workspace: Path, wait: Wait, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, look = make("finish"), runner.something_to_do

    def look_then_submit(root: Path) -> bool:
        more = look(root)
        if not more and late.state() == "queued":
            submit(late)  # sees the lock taken, so it starts no runner
            assert not runners()
        return more

    monkeypatch.setattr(runner, "something_to_do", look_then_submit)
    submit_without_runner(make("finish"), monkeypatch)
    run(workspace)
    wait(lambda: late.state() == "finished")


def submit_without_runner(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(queue, "ensure_runner", lambda: None)
        submit(job)


def test_a_second_runner_ends_at_once(make: Make, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make("finish")
    submit_without_runner(job, monkeypatch)
    with locked(workspace / "queue.lock") as mine:
        assert mine
        run(workspace)
        ensure_runner()
    assert job.state() == "queued" and not runners()


def test_a_lock_goes_with_its_holder(tmp_path: Path, wait: Wait) -> None:
    path = tmp_path / "lock"
    code = "import sys, time; from pathlib import Path; from jobs.lock import locked\n"
    code += "with locked(Path(sys.argv[1])) as mine: print(mine, flush=True); time.sleep(30)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert holder.stdout and holder.stdout.readline() == b"True\n"
    with locked(path) as mine:
        assert not mine
    holder.kill()
    holder.communicate()
    with locked(path) as mine:
        assert mine


def test_asked_for_twice_at_once_a_job_goes_on_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make("finish")
    (job.folder / "process.json").write_text("{}")
    EventWriter(job.events_path).write("failed", cause="", fix="")
    queue.pause(home())
    taken, both, refused = queue.take, threading.Barrier(2), []

    def slowly(folder: Path) -> set[str]:
        """Until the other one has come as far, if it comes."""
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return taken(folder)

    def press() -> None:
        try:
            resume(job)
        except JobError as error:
            refused.append(str(error))

    monkeypatch.setattr(queue, "take", slowly)
    presses = [threading.Thread(target=press) for _ in range(2)]
    for one in presses:
        one.start()
    for one in presses:
        one.join()
    assert [event["kind"] for event in read_events(job.events_path)[0]] == ["failed", "resumed"]
    assert refused == [f"{job.id} is queued; there is nothing to resume"]
