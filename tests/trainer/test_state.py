"""A state is whole or absent, at every moment and whatever happens to the disk."""

import os
import shutil

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
    )


def read(folder) -> tuple[int, list[str]]:
    said: list[str] = []
    found = state.load(folder, said.append)
    return (found.position["step"] if found else -1), said


def test_what_is_saved_is_what_is_loaded(tmp_path):
    state.save(tmp_path, made(7))
    found = state.load(tmp_path, pytest.fail)
    assert torch.equal(found.adapters["a"], torch.full((3, 4), 7.0)) and found.position == {"step": 7, "skipped": 0}
    assert found.optimizer["state"][0]["step"] == 7 and found.optimizer["param_groups"] == [{"lr": 0.1}]
    assert state.last_step(tmp_path) == 7 and state.last_step(tmp_path / "none") == 0


def test_the_two_newest_are_kept(tmp_path):
    for step in (1, 2, 10, 9):
        state.save(tmp_path, made(step))
    assert [path.name for path in state.saved(tmp_path)] == ["step-00000010", "step-00000009"]
    assert read(tmp_path) == (10, [])


@pytest.mark.parametrize("name", ["adapters.safetensors", "optimizer.pt", "position.json", "manifest.json"])
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


def test_nothing_saved_is_nothing_loaded(tmp_path):
    assert read(tmp_path / "state") == (-1, [])
