"""What became of each setting of a foreign file. Nothing is dropped without a line that says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["kept", "changed", "left", "unknown", "off"]
HEADINGS: dict[Kind, str] = {
    "changed": "Changed",
    "left": "Without a counterpart",
    "unknown": "Not known",
    "kept": "Taken over as they were",
    "off": "Left at off, or of no effect there",
}


class ImportProblem(ValueError):
    """This file holds no settings that can be read. The message says what it is, and what to do."""


@dataclass(frozen=True)
class Line:
    """One setting of the file. `kept`: the same here; `changed`: here in other words, the note says how; `left`: no
    counterpart, the note says why; `unknown`: of no program that is known; `off`: it did nothing there either."""

    kind: Kind
    name: str
    given: str
    settings: tuple[str, ...] = ()
    value: str = ""
    note: str = ""

    def __str__(self) -> str:
        here = f" -> {', '.join(self.settings)} = {self.value}" if self.settings else ""
        return f"{self.name}{f' = {self.given}' if self.given else ''}{here}{f'  ({self.note})' if self.note else ''}"


@dataclass(frozen=True)
class Report:
    """`values`: ours, by path, each right by itself and with the others."""

    source: str
    lines: list[Line]
    values: dict[str, Any]

    def of(self, kind: Kind) -> list[Line]:
        return [line for line in self.lines if line.kind == kind]

    @property
    def sentence(self) -> str:
        count = {kind: len(self.of(kind)) for kind in HEADINGS}
        return (
            f"{self.source}: {count['kept']} settings taken over, {count['changed']} changed, "
            f"{count['left'] + count['unknown']} without a counterpart, {count['off']} that were off"
        )

    def text(self) -> str:
        """For a terminal."""
        parts = [self.sentence]
        for kind, heading in HEADINGS.items():
            if found := self.of(kind):
                parts += ["", f"{heading}:", *(f"  {line}" for line in found)]
        return "\n".join(parts)

    def told(self) -> dict[str, Any]:
        """For the window."""
        groups = [{"kind": kind, "heading": heading, "lines": [asdict(line) for line in self.of(kind)]}
                  for kind, heading in HEADINGS.items() if self.of(kind)]
        return {"sentence": self.sentence, "groups": groups}
