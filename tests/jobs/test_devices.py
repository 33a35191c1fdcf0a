import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs import devices as module
from jobs.devices import CPU, Device, Needs, devices, fit, visible

Cards = Callable[[int], None]
TWO = (Device("0", "GPU 0"), Device("1", "GPU 1"), Device(CPU, "processor"))
ALONE = (Device(CPU, "this computer"),)


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cards]:
    """Makes a machine with so many cards: a program called nvidia-smi says so."""

    def have(number: int) -> None:
        lines = "\n".join(f"echo '{index}, GPU-{index}abc, NVIDIA Test {index}'" for index in range(number))
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        devices.cache_clear()

    yield have
    devices.cache_clear()


def test_the_cards_and_the_processor_are_found(cards: Cards) -> None:
    cards(2)
    assert [device.id for device in devices()] == ["0", "1", CPU]
    assert devices()[1].name == "GPU 1: NVIDIA Test 1"


@pytest.mark.parametrize("broken", ["exit 9", "echo 'NVIDIA-SMI has failed'"])
def test_without_a_driver_there_is_one_device(cards: Cards, tmp_path: Path, broken: str) -> None:
    cards(1)
    (tmp_path / "bin" / "nvidia-smi").write_text(f"#!/bin/sh\n{broken}\n")
    devices.cache_clear()
    assert devices() == ALONE


@pytest.mark.parametrize(
    ("ours", "found"),
    [("1", ["1"]), ("1,0", ["1", "0"]), ("GPU-1", ["1"]), ("", []), ("-1", []), ("0,-1,1", ["0"]), ("7,0", [])],
)
def test_only_those_that_we_may_use(cards: Cards, monkeypatch: pytest.MonkeyPatch, ours: str, found: list[str]) -> None:
    cards(2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ours)
    assert [device.id for device in devices()] == [*found, CPU]


@pytest.mark.parametrize(
    ("needs", "free", "given"),
    [
        (Needs(), {"0", "1", CPU}, ["0"]),
        (Needs(), {"1", CPU}, ["1"]),
        (Needs(), {CPU}, None),
        (Needs(2), {"0", "1"}, ["0", "1"]),
        (Needs(2), {"1", CPU}, None),
        (Needs(4), {"0", "1"}, ["0", "1"]),  # it says itself that two are missing
        (Needs(1, "1"), {"0", "1"}, ["1"]),
        (Needs(1, "1"), {"0"}, None),
        (Needs(1, "5"), set(), ["5"]),  # and that there is no such card
        (Needs(0), {"0", CPU}, [CPU]),
        (Needs(0), {"0", "1"}, None),
    ],
)
def test_what_a_job_gets_on_two_cards(needs: Needs, free: set[str], given: list[str] | None) -> None:
    assert fit(needs, free, TWO) == given


@pytest.mark.parametrize("needs", [Needs(), Needs(0), Needs(2), Needs(1, "0")])
def test_without_cards_there_is_one_job_at_a_time(needs: Needs) -> None:
    assert fit(needs, {CPU}, ALONE) == [CPU] and fit(needs, set(), ALONE) is None


def test_a_process_sees_only_what_it_was_given() -> None:
    assert visible(["1", "3"])["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert visible([CPU]) == {} == visible([])
    assert module.visible(["1"])["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID", "the order in which nvidia-smi counts"
