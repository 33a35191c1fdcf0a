import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs import command, queue
from jobs.devices import CPU, Device, Needs, devices
from jobs.files import REPOSITORY
from jobs.folder import Job, create
from jobs.overview import overview
from jobs.process import JobError, devices_of, start
from jobs.queue import go_on, move, pause, place, queued, submit, withdraw
from jobs.requests import ask
from jobs.runner import chosen
from tests.jobs.conftest import Make, Wait, runners
from tests.jobs.test_devices import TWO, cards  # noqa: F401  a fixture


@pytest.fixture
def five(make: Make, workspace: Path) -> list[Job]:
    """Jobs that wait in a paused queue: a, b, c, d, e."""
    pause(workspace)
    found = [make("finish", name=name) for name in "abcde"]
    for job in found:
        submit(job)
    return found


def names(root: Path) -> str:
    return "".join(job.name for job in queued(root))


@pytest.mark.parametrize(
    ("which", "where", "then"),
    [
        (2, "up", "acbde"), (2, "down", "abdce"), (2, "next", "cabde"), (0, "up", "abcde"), (4, "down", "abcde"),
        (0, "down", "bacde"), (4, "up", "abced"), (4, "next", "eabcd"), (0, "next", "abcde"),
    ],
)
def test_moving_a_job(five: list[Job], workspace: Path, which: int, where: queue.Direction, then: str) -> None:
    move(five[which], where)
    assert names(workspace) == then


def test_a_job_is_put_before_another_or_last(five: list[Job], workspace: Path) -> None:
    place(five[4], five[1])
    assert names(workspace) == "aebcd"
    place(five[0], None)
    assert names(workspace) == "ebcda"
    place(five[1], five[1])
    assert names(workspace) == "ecdab", "before one that does not wait any more, or itself: last"


def test_a_thousand_moves_of_the_same_two_and_the_next_is_still_last(five: list[Job], make: Make,
                                                                     workspace: Path) -> None:
    for _ in range(60):
        move(five[2], "up")
        move(five[2], "down")
    move(five[3], "up")
    assert names(workspace) == "abdce"
    late = make("finish", name="f")
    submit(late)
    assert names(workspace) == "abdcef"


def test_reordering_by_many_at_once_loses_nobody(five: list[Job], workspace: Path) -> None:
    code = "import random, sys; from pathlib import Path; from jobs.folder import Job; from jobs.queue import move\n"
    code += "dice = random.Random(sys.argv[1])\n"
    code += "for _ in range(25): move(Job(Path(dice.choice(sys.argv[2:]))), dice.choice(['up', 'down', 'next']))"
    movers = [
        subprocess.Popen([sys.executable, "-c", code, str(number), *(str(job.folder) for job in five)], cwd=REPOSITORY)
        for number in range(3)
    ]
    for job in five:
        move(job, "next")
    assert [mover.wait() for mover in movers] == [0, 0, 0]
    assert sorted(names(workspace)) == list("abcde")
    places = [json.loads((job.folder / "queued.json").read_text())["at"] for job in queued(workspace)]
    assert places == sorted(set(places)), "no two have the same place"


def test_a_paused_queue_starts_nothing_and_goes_on_in_order(five: list[Job], workspace: Path, wait: Wait) -> None:
    assert not runners() and {job.state() for job in five} == {"queued"}
    withdraw(five[1])
    move(five[3], "next")
    go_on(workspace)
    order = [five[number] for number in (3, 0, 2, 4)]
    wait(lambda: not queued(workspace) and not runners())
    assert [job.state() for job in order] == ["finished"] * 4 and five[1].state() == "queued"
    times = [job.last_event["time"] for job in order]
    assert times == sorted(times)
    submit(five[1])
    wait(lambda: five[1].state() == "finished")


def test_pausing_leaves_what_runs_alone(make: Make, wait: Wait, workspace: Path) -> None:
    first, second = make(), make("finish")
    submit(first)
    submit(second)
    wait(lambda: first.last_event)
    pause(workspace)
    ask(first.folder, "stop")
    wait(lambda: first.state() == "stopped" and not runners())
    assert second.state() == "queued"
    now = overview(workspace)
    assert now["paused"] and not now["idle"] and now["waiting"][0]["why"] == "the queue is paused"


def test_what_is_not_waiting_is_not_moved_or_withdrawn(make: Make, wait: Wait) -> None:
    new, done = make(), make("finish")
    start(done)
    wait(lambda: done.state() == "finished")
    for job in (new, done):
        with pytest.raises(JobError, match="not waiting"):
            move(job, "next")
    with pytest.raises(JobError, match="is finished, not waiting"):
        withdraw(done)


def waiting(tmp_path: Path, *needs: Needs) -> list[Job]:
    return [
        create("test", "n", "", ["python"], at=tmp_path / str(number), needs=need) for number, need in enumerate(needs)
    ]


@pytest.mark.parametrize(
    ("needs", "free", "given"),
    [
        ([Needs(), Needs(), Needs()], {"0", "1", CPU}, {0: ["0"], 1: ["1"]}),
        ([Needs(), Needs(0), Needs()], {"0", "1", CPU}, {0: ["0"], 1: [CPU], 2: ["1"]}),
        ([Needs(2), Needs(), Needs(0)], {"1", CPU}, {2: [CPU]}),  # who needs two is not overtaken for ever
        ([Needs(1, "0"), Needs()], {"1", CPU}, {1: ["1"]}),
        ([Needs(1, "1"), Needs()], {"0", "1"}, {0: ["1"], 1: ["0"]}),
        ([Needs(1, "9"), Needs()], {"0", "1"}, {0: ["9"], 1: ["0"]}),
        ([Needs(2), Needs(2)], {"0", "1"}, {0: ["0", "1"]}),
    ],
)
def test_who_starts_on_two_cards(tmp_path: Path, needs: list[Needs], free: set[str], given: dict) -> None:
    jobs = waiting(tmp_path, *needs)
    assert chosen(jobs, free, TWO) == [(jobs[number], where) for number, where in given.items()]


def test_on_one_device_the_first_is_the_first(tmp_path: Path) -> None:
    jobs = waiting(tmp_path, Needs(), Needs(0))
    one = (Device(CPU, "this computer"),)
    assert chosen(jobs, {CPU}, one) == [(jobs[0], [CPU])] and chosen(jobs, set(), one) == []


def on(work: str, name: str, needs: Needs) -> Job:
    return create("test", name, "", ["python", "-m", "tests.jobs.worker", "{job}", work], needs=needs)


def test_two_cards_work_at_once_and_each_job_sees_its_own(cards, workspace: Path, wait: Wait) -> None:  # noqa: F811
    cards(2)
    assert len(devices()) == 3
    first, second, third = (on("until_stop", name, Needs()) for name in ("one", "two", "three"))
    aside = on("until_stop", "aside", Needs(0))
    for job in (first, second, third, aside):
        submit(job)
    wait(lambda: [job.state() for job in (first, second, aside)] == ["running"] * 3)
    assert [devices_of(job.folder) for job in (first, second, aside)] == [["0"], ["1"], [CPU]]
    assert third.state() == "queued"
    now = overview(workspace)
    assert [row["job"]["name"] for row in now["devices"]] == ["one", "two", "aside"]
    assert now["waiting"][0]["why"].startswith("waits for GPU 0: NVIDIA Test 0 and GPU 1: NVIDIA Test 1, where")
    ask(second.folder, "stop")
    wait(lambda: third.state() == "running")
    assert devices_of(third.folder) == ["1"]
    seen = on("surroundings", "seen", Needs())
    submit(seen)
    ask(third.folder, "stop")
    wait(lambda: seen.state() == "finished")
    environment = json.loads((seen.folder / "seen.json").read_text())["environment"]
    assert environment["CUDA_VISIBLE_DEVICES"] == "1" and environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_job_started_by_hand_takes_its_device(cards, workspace: Path, wait: Wait) -> None:  # noqa: F811
    cards(2)
    by_hand, queued_job = on("until_stop", "hand", Needs(1, "1")), on("until_stop", "queue", Needs(1, "1"))
    start(by_hand)
    submit(queued_job)
    wait(runners)
    time.sleep(1.2)  # two looks of the runner
    assert queued_job.state() == "queued"
    ask(by_hand.folder, "stop")
    wait(lambda: queued_job.state() == "running")


def test_the_shell_shows_and_changes_the_queue(five: list[Job], workspace: Path, capsys: pytest.CaptureFixture) -> None:
    def says(*words: str) -> str:
        assert command.main(words) == 0
        return capsys.readouterr().out

    assert "The queue is paused" in says() and "  1. a (" in says("list")
    assert "  1. c (" in says("next", five[2].id)
    assert "  2. c (" in says("down", "c")
    assert "  1. c (" in says("up", "2"), "by its number"
    assert "add" in says("remove", five[0].id)
    assert names(workspace) == "cbde"
    assert "  5. a (" in says("add", "a")
    assert "nothing more starts" in says("pause")


def test_the_shell_says_what_it_does_not_understand(five: list[Job], capsys: pytest.CaptureFixture) -> None:
    assert command.main(["up", "nobody"]) == 2
    said = capsys.readouterr().err
    assert "there is no job 'nobody'; these wait:" in said and five[0].id in said
    common = os.path.commonprefix([job.id for job in five])
    assert command.main(["up", common]) == 2 and "may be any of these" in capsys.readouterr().err
    for words in (["up"], ["pause", "a"], ["fly"]):
        with pytest.raises(SystemExit):
            command.main(words)
    assert "say which job" in capsys.readouterr().err


def test_go_on_from_the_shell_starts_what_waits(five: list[Job], workspace: Path, wait: Wait) -> None:
    assert command.main(["continue"]) == 0
    wait(lambda: five[-1].state() == "finished")
    assert [job.state() for job in five] == ["finished"] * 5
