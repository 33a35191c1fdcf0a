"""What is wrong with a file of the data set: named, explained and fixable, while the other files go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """`reason` and `fix` are clauses in plain words, written to stand after the file's name."""

    path: Path
    reason: str
    fix: str
    used: bool = False  # True: only a remark, the picture is used all the same
    kind: str = ""  # for those who sort remarks; "" where nobody does


def counted(number: int, thing: str) -> str:
    """ "1 picture", "1,200 pictures"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def printable(text: str) -> str:
    """For the terminal: names and captions come from anywhere, and what would steer it is shown as a code instead."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
