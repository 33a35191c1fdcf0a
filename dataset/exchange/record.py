"""One picture of a data set with what is said about it, whatever format it comes from or goes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from dataset.caption_files import one_line
from dataset.problem import Problem


@dataclass(frozen=True)
class Cell:
    """The bytes of a picture that lies inside a larger file, fetched when they are needed."""

    size: int
    fetch: Callable[[], bytes]


Content = Path | bytes | Cell


@dataclass(frozen=True)
class Record:
    name: str  # its path in the set, with slashes; folders keep their words and lose their repeats: "sks dog/a.png"
    content: Content  # its file, or its bytes: copied as they are, never encoded anew
    caption: str = ""  # one line; "" for none
    repeats: int = 1
    words: str = ""  # the class words of its folder, as in `10_sks dog`
    regularisation: bool = False
    mask: Path | None = None  # where a trainer should look: white is learnt

    def __post_init__(self) -> None:
        object.__setattr__(self, "caption", one_line(self.caption))

    @property
    def plain(self) -> bool:
        """Whether there is nothing to it but a name, a picture and a caption."""
        return self.repeats == 1 and not self.words and not self.regularisation

    @property
    def folder(self) -> str:
        """The folders in front of its name, "" for none."""
        parent = PurePosixPath(self.name).parent.as_posix()
        return "" if parent == "." else parent

    @property
    def file(self) -> str:
        return PurePosixPath(self.name).name

    def bytes(self) -> bytes:
        if isinstance(self.content, Path):
            return self.content.read_bytes()
        return self.content.fetch() if isinstance(self.content, Cell) else self.content

    @property
    def size(self) -> int:
        if isinstance(self.content, Path):
            return self.content.stat().st_size
        return self.content.size if isinstance(self.content, Cell) else len(self.content)

    def called(self, name: str) -> Record:
        return replace(self, name=name)


@dataclass
class Found:
    """What reading gives: the records, and by name what can't be one or needs a remark."""

    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def leave_out(self, path: Path, reason: str, fix: str) -> None:
        self.problems.append(Problem(path, reason, fix))

    def remark(self, path: Path, reason: str, fix: str) -> None:
        self.problems.append(Problem(path, reason, fix, used=True))
