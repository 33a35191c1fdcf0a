"""A state is whole or absent, at every moment and whatever happens to the disk."""

import os
import shutil
import signal
import sys

import pytest
import torch

from trainer import state
from trainer.state import State


def made(step: int) -> State:
    return State(
        {"a": torch.full((3, 4), float(step))},
        {"state": {0: {"step": torch.tensor(float(step)), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 0.1}]},
        {},
        {"step": step, "skipped": 0},
        f"seed = {step}\n",
    )


def read(folder) -> tuple[int, list[str]]:
    said: list[str] = []
    found = state.load(folder, said.append)
    return (found.position["step"] if found else -1), said


def test_what_is_saved_is_what_is_loaded(tmp_path):
    state.save(tmp_path, made(7))
    found = state.load(tmp_path, pytest.fail)
    assert torch.equal(found.adapters["a"], torch.full((3, 4), 7.0)) and found.position == {"step": 7, "skipped": 0}
    assert found.config == "seed = 7\n"
    assert found.optimizer["state"][0]["step"] == 7 and found.optimizer["param_groups"] == [{"lr": 0.1}]
    assert state.last_step(tmp_path) == 7 and state.last_step(tmp_path / "none") == 0


def test_the_two_newest_are_kept(tmp_path):
    for step in (1, 2, 10, 9):
        state.save(tmp_path, made(step))
    assert [path.name for path in state.saved(tmp_path)] == ["step-00000010", "step-00000009"]
    assert read(tmp_path) == (10, [])


@pytest.mark.parametrize("name", [*state.PARTS, state.CONFIG, state.MANIFEST])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_state_is_passed_over(tmp_path, name, damage):
    state.save(tmp_path, made(1))
    file = state.save(tmp_path, made(2)) / name
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(data[:-1] if damage == "cut" else data[:-2] + b"\x00\x01")
    step, said = read(tmp_path)
    assert step == 1 and "step-00000002 is damaged" in said[0]


@pytest.mark.parametrize("moment", ["save_file", "sync", "replace"])
def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch, moment):
    state.save(tmp_path, made(1))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if moment == "replace" else state, moment, full)
    with pytest.raises(OSError, match="No space"):
        state.save(tmp_path, made(2))
    assert read(tmp_path) == (1, []) and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_save_leaves_is_no_state_and_is_swept(tmp_path):
    whole = state.save(tmp_path, made(1))
    shutil.copytree(whole, tmp_path / ".step-00000002.999")
    assert read(tmp_path) == (1, [])
    state.save(tmp_path, made(3))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000003"]


def test_the_same_step_again_keeps_the_whole_one_and_mends_a_damaged_one(tmp_path):
    first = state.save(tmp_path, made(1))
    before = first.stat().st_ino
    assert state.save(tmp_path, made(1)).stat().st_ino == before
    (first / "optimizer.pt").write_bytes(b"")
    state.save(tmp_path, made(1))
    assert read(tmp_path) == (1, [])


@pytest.mark.parametrize("text", ["{}", "[]", "null", '{"adapters.safetensors": 1}', "\x00" * 50])
def test_a_manifest_that_is_none_names_nothing_whole(tmp_path, text):
    state.save(tmp_path, made(1))
    (state.save(tmp_path, made(2)) / "manifest.json").write_text(text)
    assert read(tmp_path)[0] == 1


def test_a_damaged_state_is_not_counted_as_one_that_is_kept(tmp_path):
    state.save(tmp_path, made(1))
    (state.save(tmp_path, made(2)) / "optimizer.pt").write_bytes(b"")
    state.save(tmp_path, made(3))
    assert [path.name for path in state.saved(tmp_path)] == ["step-00000003", "step-00000001"]


def test_what_is_not_written_truly_removes_nothing(tmp_path, monkeypatch):
    state.save(tmp_path, made(1))
    state.save(tmp_path, made(2))
    write = state.write

    def badly(aside, now):
        write(aside, now)
        (aside / "optimizer.pt").write_bytes(b"another disk's bytes")

    monkeypatch.setattr(state, "write", badly)
    with pytest.raises(OSError, match="not what was written"):
        state.save(tmp_path, made(3))
    assert read(tmp_path)[0] == 2 and len(state.saved(tmp_path)) == 3


def kill_at(number: int) -> None:
    """Kill this very process at its `number`th call that changes the disk, counted over all of them; some calls are
    done by libraries that Python does not see, so these die with half a file."""
    left = [number]

    def look(event: str, arguments: tuple) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and arguments[1] not in ("r", "rb")
        if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            count()

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def half(write):
        def written(first, second):
            count()
            write(first, second)
            path = second if isinstance(second, os.PathLike) else first
            size = path.stat().st_size
            if left[0] == 1:
                os.truncate(path, size // 2)
            count()

        return written

    def synced(handle: int, sync=os.fsync) -> None:
        count()
        sync(handle)

    state.save_file, state.torch.save, os.fsync = half(state.save_file), half(torch.save), synced
    sys.addaudithook(look)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork")
def test_killed_at_every_phase_of_a_save_there_is_a_whole_state(tmp_path):
    """One process a phase: it saves a third state over two, and dies at the first, second, third ... thing it does."""
    died = seen = 0
    for number in range(1, 200):
        folder = tmp_path / str(number)
        for step in (1, 2):
            state.save(folder, made(step))
        pid = os.fork()
        if pid == 0:
            kill_at(number)
            state.save(folder, made(3))
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        found = state.load(folder, lambda _: None)
        step = found.position["step"]
        assert step in (2, 3) and torch.equal(found.adapters["a"], torch.full((3, 4), float(step))), number
        assert step >= seen, "once it is there it stays"
        assert whole_ones(folder) >= 2, "the one before stays until the new one is read back"
        seen = step
        state.save(folder, made(4))
        assert read(folder) == (4, []) and not list(folder.glob(".step-*"))
        if code == 0:
            break
        died += code == -signal.SIGKILL
    assert code == 0 and died >= 20 and seen == 3


def whole_ones(folder) -> int:
    return sum(state.whole(path) for path in state.saved(folder))


def test_nothing_saved_is_nothing_loaded(tmp_path):
    assert read(tmp_path / "state") == (-1, [])
