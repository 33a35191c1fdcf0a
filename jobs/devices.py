"""What jobs compute on: the devices of this machine, found without torch, and those that a job needs.

A device is named as CUDA_VISIBLE_DEVICES names it. The processor is one too: a job that uses no graphics card runs
beside one that does. Where there is no NVIDIA card, the processor stands for whatever the machine has."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Sequence, Set
from dataclasses import dataclass

CPU = "cpu"
ASK = ["nvidia-smi", "--query-gpu=index,uuid,name", "--format=csv,noheader"]


@dataclass(frozen=True)
class Device:
    """`id` as CUDA names it, or "cpu"; `name` for people."""

    id: str
    name: str


@dataclass(frozen=True)
class Needs:
    """`gpus`: how many (0: the processor does); `ids`: which, separated by commas, where that matters."""

    gpus: int = 1
    ids: str = ""

    @property
    def named(self) -> list[str]:
        return [name for name in self.ids.split(",") if name]


ONE = Needs()
NONE = Needs(gpus=0)


@functools.cache
def devices() -> tuple[Device, ...]:
    """All that jobs may be given, the processor last. A new card is seen by the next program that asks."""
    cards = _allowed(_cards())
    return (*cards, Device(CPU, "processor" if cards else "this computer"))


def _cards() -> list[tuple[str, str, str]]:
    """(index, uuid, name) of each NVIDIA card."""
    try:
        said = subprocess.run(ASK, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or one that does not answer
        return []
    rows = [[part.strip() for part in line.split(",", 2)] for line in said.splitlines()]
    return [(row[0], row[1], row[2]) for row in rows if len(row) == 3 and row[0].isdigit()]


def _allowed(cards: Sequence[tuple[str, str, str]]) -> list[Device]:
    """Those that we ourselves may use, in the order in which CUDA counts them for us."""
    ours = os.environ.get("CUDA_VISIBLE_DEVICES")
    if ours is None:
        return [Device(index, f"GPU {index}: {name}") for index, _, name in cards]
    found = []
    for word in filter(None, map(str.strip, ours.split(","))):
        known = [card for card in cards if word == card[0] or (word.startswith("GPU-") and card[1].startswith(word))]
        if word.startswith("-") or not (known or (cards and word.startswith("MIG-"))):
            break  # CUDA too sees nothing from the first name on that it does not know
        index, name = (known[0][0], known[0][2]) if known else (word, "a part of a card")
        found.append(Device(index, f"GPU {index}: {name}"))
    return found


def visible(given: Sequence[str]) -> dict[str, str]:
    """What a process has to find in its environment to use the cards it was given, and no others."""
    cards = [device for device in given if device != CPU]
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(cards)} if cards else {}


def fit(needs: Needs, free: Set[str], everything: Sequence[Device]) -> list[str] | None:
    """What a job is to get of the free devices, or None: it has to wait. One that names a card which is not there gets
    what it names: it says itself what is wrong, and waiting would not help."""
    wanted = wish(needs, everything)
    cards = [device.id for device in everything if device.id != CPU]
    if needs.named and cards:
        return needs.named if all(one in free or one not in cards for one in needs.named) else None
    chosen = [one for one in wanted if one in free][: _count(needs, cards)]
    return chosen if len(chosen) == _count(needs, cards) else None


def wish(needs: Needs, everything: Sequence[Device]) -> list[str]:
    """The devices of which the job could use any, or those that it names."""
    cards = [device.id for device in everything if device.id != CPU]
    if needs.gpus == 0 or not cards:
        return [CPU]
    return needs.named or cards


def _count(needs: Needs, cards: Sequence[str]) -> int:
    return max(1, min(needs.gpus, len(cards)))
