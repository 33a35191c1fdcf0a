import errno
import os
import time
from pathlib import Path

import pytest

from jobs import output
from jobs.events import tail_log
from jobs.output import Output


def as_it_is(text: str) -> str:
    return text


def printed(folder: Path, data: bytes) -> None:
    with (folder / "output").open("ab") as file:
        file.write(data)


def log(folder: Path) -> str:
    return (folder / "log.txt").read_text()


def test_whole_lines_are_carried_over_and_the_rest_waits(tmp_path: Path) -> None:
    carrier = Output(tmp_path, as_it_is)
    carrier.carry()
    printed(tmp_path, b"one\ntw")
    carrier.carry()
    assert log(tmp_path) == "one\n"
    printed(tmp_path, b"o\r\n\x1b[31mthree\x1b[0m")
    carrier.carry()
    assert log(tmp_path) == "one\ntwo\n"
    carrier.finish()
    assert log(tmp_path) == "one\ntwo\nthree\n" and not list(tmp_path.glob("output*"))


def test_a_token_in_two_writes_is_still_one(tmp_path: Path) -> None:
    carrier = Output(tmp_path, lambda line: line.replace("secret", "[token]"))
    printed(tmp_path, b"a sec")
    carrier.carry()
    printed(tmp_path, b"ret\n")
    carrier.carry()
    assert log(tmp_path) == "a [token]\n"


def test_who_comes_next_goes_on_where_the_other_was(tmp_path: Path) -> None:
    printed(tmp_path, b"one\nt")
    Output(tmp_path, as_it_is).carry()
    printed(tmp_path, b"wo\n")
    Output(tmp_path, as_it_is).carry()
    assert log(tmp_path) == "one\ntwo\n"


def test_bars_keep_their_last_state_and_live_ones_show_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = Output(tmp_path, as_it_is)
    printed(tmp_path, b"".join(b"\r%d%%" % percent for percent in range(50)))
    carrier.carry()
    assert not (tmp_path / "log.txt").exists()
    monkeypatch.setattr(output, "BAR_SECONDS", -1.0)
    carrier.carry()
    assert log(tmp_path) == "48%\n"
    monkeypatch.setattr(output, "BAR_SECONDS", 10.0)
    printed(tmp_path, b"\r100%\nnext\n")
    carrier.carry()
    assert log(tmp_path) == "48%\n100%\nnext\n"


def test_a_line_without_an_end_is_broken(tmp_path: Path) -> None:
    carrier = Output(tmp_path, as_it_is)
    printed(tmp_path, b"x" * (output.LONGEST + 5))
    carrier.carry()
    assert len(log(tmp_path)) > output.LONGEST


def test_a_long_log_becomes_the_older_one_and_readers_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "LIMIT", 1000)
    carrier = Output(tmp_path, as_it_is)
    printed(tmp_path, b"a" * 900 + b"\n")
    carrier.carry()
    known = tail_log(tmp_path / "log.txt")["offset"]
    printed(tmp_path, b"b" * 200 + b"\n")
    carrier.carry()
    printed(tmp_path, b"c\n")
    carrier.carry()
    assert log(tmp_path) == "c\n" and (tmp_path / "log.1.txt").read_text() == "a" * 900 + "\n" + "b" * 200 + "\n"
    assert tail_log(tmp_path / "log.txt", known) == {"offset": 2, "reset": True, "lines": ["c"]}
    assert (tmp_path / "output").stat().st_size == 2, "what is carried over does not fill the disk twice"
    printed(tmp_path, b"d" * 1001 + b"\n" + b"e" * 1001 + b"\n")
    carrier.finish()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["log.1.txt"]


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier, opened = Output(tmp_path, as_it_is), Path.open

    def full(path: Path, mode: str = "r", **more: object) -> object:
        if path.name == "log.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return opened(path, mode, **more)

    printed(tmp_path, b"one\n")
    monkeypatch.setattr(Path, "open", full)
    carrier.carry()
    monkeypatch.setattr(Path, "open", opened)
    printed(tmp_path, b"two\n")
    carrier.carry()
    assert log(tmp_path) == "\n[some lines are missing: the disk was full]\ntwo\n"


def test_a_million_lines_in_seconds(tmp_path: Path) -> None:
    printed(tmp_path, b"step 12/40  epoch 1.00  loss 0.1234  1.20 it/s  12:40 left\n" * 50_000)
    began = time.process_time()
    Output(tmp_path, as_it_is).carry()
    assert time.process_time() - began < 1, "20 times as much within 20 seconds"
    assert log(tmp_path).count("\n") == 50_000
