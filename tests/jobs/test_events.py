import json
import math
import multiprocessing
import time
from pathlib import Path

import pytest

from jobs.events import EventWriter, last_event, read_events, tail_log


def kinds(path: Path, offset: int = 0) -> list[str]:
    return [event["kind"] for event in read_events(path, offset)[0]]


def test_events_come_back_with_nan_as_text(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"

    class Scalar:  # as numpy and torch have it
        def item(self) -> float:
            return 0.5

    EventWriter(path).write(
        "step", loss=math.nan, lrs={"unet": -math.inf, 1: Scalar()}, path=Path("a/猫"), bad="\udcff", seen=(True, None)
    )
    (event,) = read_events(path)[0]
    assert abs(event.pop("time") - time.time()) < 60
    assert event == {
        "kind": "step", "loss": "nan", "lrs": {"unet": "-inf", "1": 0.5}, "path": "a/猫", "bad": "\udcff",
        "seen": [True, None],
    }  # fmt: skip
    json.loads(path.read_text(), parse_constant=pytest.fail)


def test_reading_goes_on_where_it_ended_and_stops_at_the_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert read_events(path) == ([], 0)
    writer = EventWriter(path)
    writer.write("a")
    _, offset = read_events(path)
    writer.write("b")
    with path.open("ab") as file:
        file.write(b'{"kind": "c')
    events, offset = read_events(path, offset)
    assert [event["kind"] for event in events] == ["b"]
    with path.open("ab") as file:
        file.write(b'"}\n')
    assert kinds(path, offset) == ["c"]


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventWriter(path).write("a")
    with path.open("ab") as file:
        file.write(b'{"kind": "torn", "x')
    assert last_event(path)["kind"] == "a"
    EventWriter(path).write("b")  # the next process of the same job
    with path.open("ab") as file:
        file.write(b'\n\xff\xfe\n[1]\n5\n{"no": "kind"}\n')
    assert kinds(path) == ["a", "b"] and last_event(path)["kind"] == "b"


def test_a_line_cut_by_a_full_disk_does_not_spoil_the_next(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # as a disk with room for ten bytes
    try:
        with pytest.raises(OSError, match="in part"):
            writer.write("lost")
        with pytest.raises(OSError):
            writer.write("lost too")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    writer.write("kept")
    assert path.read_bytes().startswith(b'{"time": 1') and kinds(path) == ["kept"]


def test_an_offset_beyond_the_end_reads_all(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    EventWriter(path).write("a")
    assert kinds(path, 10_000) == ["a"]


def test_the_last_event_is_found_behind_a_very_long_one(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert last_event(path) is None
    writer = EventWriter(path)
    writer.write("first")
    assert last_event(path)["kind"] == "first"
    writer.write("failed", traceback="x" * 300_000)
    assert last_event(path)["kind"] == "failed"
    path.write_bytes(b"\n\n")
    assert last_event(path) is None


def test_long_files_are_quick_to_follow(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    line = json.dumps({"kind": "step", "time": 1.0, "loss": 0.1, "x": "y" * 100}).encode() + b"\n"
    path.write_bytes(line * 100_000)
    times = []
    for _ in range(20):
        began = time.process_time()
        events, offset = read_events(path, len(line) * 99_990)
        last_event(path)
        times.append(time.process_time() - began)
    assert len(events) == 10 and offset == path.stat().st_size
    assert min(times) < 0.02


def write_many(path: Path, name: str) -> None:
    writer = EventWriter(path)
    for number in range(300):
        writer.write("step", name=name, number=number, padding="x" * 500)


def test_two_programs_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(path, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    events = read_events(path)[0]
    for name in "ab":
        assert [event["number"] for event in events if event["name"] == name] == list(range(300))


def test_a_log_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert tail_log(path) == {"offset": 0, "reset": True, "lines": []}
    path.write_bytes(b"\x1b[31mred\x1b[0m\r\n 10%|#\r 50%|##\r100%|###\n\n\xff\nhalf")
    first = tail_log(path)
    assert first["reset"] and first["lines"] == ["red", "100%|###", "", "\ufffd"]
    assert tail_log(path, first["offset"]) == {"offset": first["offset"], "reset": False, "lines": []}
    with path.open("ab") as file:
        file.write(b" a line\n")
    assert tail_log(path, first["offset"])["lines"] == ["half a line"]


def test_a_long_log_begins_near_its_end_and_a_new_one_starts_over(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {number}\n" for number in range(20_000)))
    first = tail_log(path)
    assert first["lines"][-1] == "line 19999" and first["lines"][0].startswith("line 1") and len(first["lines"]) < 7000
    path.write_text("new\n")
    assert tail_log(path, first["offset"]) == {"offset": 4, "reset": True, "lines": ["new"]}


def test_an_endless_line_does_not_stop_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"x" * 300_000 + b"\nend\n")
    first = tail_log(path, 0)
    assert first["offset"] > 0
    assert tail_log(path, first["offset"])["lines"][-1] == "end"


def test_a_long_file_is_read_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    writer = EventWriter(path)
    for number in range(50):
        writer.write("step", step=number, text="é" * (500 if number == 7 else 1))
    seen, offset, parts = [], 0, 0
    while True:
        events, offset = read_events(path, offset, 300)
        if not events:
            break
        seen += [event["step"] for event in events]
        parts += 1
    assert seen == list(range(50)) and parts > 5 and offset == path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"kind": "half')
    assert read_events(path, offset, 300) == ([], offset)


def test_pieces_of_torn_lines_are_not_taken_together_for_an_event(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('[1\n2]\n{"kind": "step", "of": [{"kind": "a"}\n{"kind": "b"}]}\n{"kind": "whole"}\n"text"\n')
    assert [event["kind"] for event in read_events(path)[0]] == ["whole"]
