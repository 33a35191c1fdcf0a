"""The bin of a data set: pictures that were taken out of it, each with its caption, masks and what else goes with it.

It lies beside the pictures, in `.loratory/bin/<deed>/`, with the folders as they were: where a thing came from can be
seen by anybody, also without this program. Scans pass it over, because its name begins with a dot.
"""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dataset import masks
from dataset.deeds import BIN, Deed, Deeds, Told, inside, prune
from dataset.files import FileError, named
from dataset.journal import FOLDER, Outcome
from dataset.pictures import EXTENSIONS, FOREIGN
from dataset.problem import Problem, counted

MASKS = (*masks.SUFFIXES, "-condlabel")  # behind a picture's name
PICTURES = EXTENSIONS | FOREIGN


@dataclass
class Companions:
    """The files that go with pictures: every file of the same name but for what follows a dot (captions of all kinds,
    caches), and masks. Each folder is looked into once.

    A file belongs to the picture with the longest fitting name: `a.b.txt` to `a.b.png`, not to `a.png`. What pictures
    of the same name share goes with the last of them that goes."""

    _found: dict[Path, dict[str, list[Path]]] = field(default_factory=dict)
    _pictures: dict[Path, dict[str, set[str]]] = field(default_factory=dict)

    def of(self, picture: Path) -> list[Path]:
        """Those of a picture, whether any other has its name or not; in the order of their names."""
        self._look(picture.parent)
        return self._found[picture.parent].get(_stem(picture.name), [])

    def taken_with(self, picture: Path) -> list[Path]:
        """Those that go when the picture goes, which it then has."""
        self._look(picture.parent)
        same = self._pictures[picture.parent].get(_stem(picture.name), set())
        same.discard(picture.name)
        return [] if same else self.of(picture)

    def _look(self, folder: Path) -> None:
        if folder in self._found:
            return
        names = _listing(folder)
        folders = [name for name in names if name.lower() == masks.FOLDER]
        pictures: dict[str, set[str]] = {}
        others = []
        stems = {_stem(name) for name in names if _is_picture(name)}
        for name in names:
            if _is_picture(name) and _masked(_stem(name)) not in stems:
                pictures.setdefault(_stem(name), set()).add(name)
            else:
                others.append(name)
        found: dict[str, list[Path]] = {}
        for name in others:
            if owner := _owner(name, pictures):
                found.setdefault(owner, []).append(folder / name)
        for inner in folders:
            for name in _listing(folder / inner):
                if _is_picture(name) and _stem(name) in pictures:
                    found.setdefault(_stem(name), []).append(folder / inner / name)
        self._found[folder], self._pictures[folder] = found, pictures


@dataclass(frozen=True)
class Binned:
    """One picture in the bin, or a file that went without one."""

    id: str  # of this thing
    path: Path  # where it is
    origin: Path  # where it was
    with_it: tuple[Path, ...]  # companions, where they are
    deed: str
    label: str  # of the deed that put it there
    time: float
    bytes: int


class Bin:
    """What was taken out of the data set in `root`."""

    def __init__(self, root: Path | str):
        self.deeds = Deeds(root)
        self.root = self.deeds.root
        self.folder = self.root / BIN

    def things(self) -> list[Binned]:
        """All that is in it, what came last first."""
        deeds = {deed.id: deed for deed in self.deeds.history()}
        found = [thing for name in sorted(_listing(self.folder), reverse=True)
                 for thing in self._of(self.folder / name, deeds.get(name))]
        return sorted(found, key=lambda thing: -thing.time)

    def put_back(self, ids: Iterable[str]) -> Outcome:
        """Put things back where they were. What would come onto another file stays in the bin, and is told."""
        wanted = set(ids)
        things = [thing for thing in self.things() if thing.id in wanted]
        if not things:
            return Outcome()
        kept: list[Problem] = []
        with self.deeds.begin(f"Put back {counted(len(things), 'file')}") as deed:
            for thing in things:
                try:
                    for path in (thing.path, *thing.with_it):
                        deed.move(path, self._origin(path))
                except FileError as error:
                    kept.append(Problem(error.path, error.reason, error.fix))
            outcome = Outcome(deed.files, kept, deed.id if deed.files else None)
        self._tidy()
        return outcome

    def empty(self) -> int:
        """Delete for good what is in it; how many files that were."""
        inside(self.folder / "x", self.root)
        if self.folder.is_symlink():
            raise FileError(self.folder, "it is a link", "delete by hand what it leads to, if that may go")
        number = sum(len(files) for _, _, files in os.walk(self.folder))
        if self.folder.is_dir():
            with named(self.folder):
                shutil.rmtree(self.folder)
        return number

    def _of(self, folder: Path, deed: Told | None) -> Iterator[Binned]:
        if folder.is_symlink() or not folder.is_dir():
            return
        moment = deed.time if deed else folder.stat().st_mtime
        companions = Companions()
        for path, folders, names in os.walk(folder):
            place = Path(path)
            folders[:] = sorted(name for name in folders if name != FOLDER)
            theirs = {one for name in names for one in companions.of(place / name) if one != place / name}
            loose = {place / name for name in names} - theirs
            for file in sorted(loose):
                if place.name.lower() == masks.FOLDER and file in _masks_above(companions, place):
                    continue
                with_it = tuple(companions.of(file)) if _is_picture(file.name) else ()
                origin = self._origin(file)
                yield Binned(file.relative_to(self.folder).as_posix(), file, origin, with_it, folder.name,
                             deed.label if deed else "", moment, os.lstat(file).st_size)

    def _origin(self, path: Path) -> Path:
        return self.root.joinpath(*path.relative_to(self.folder).parts[1:])

    def _tidy(self) -> None:
        for name in _listing(self.folder):
            prune(self.folder / name)


def throw(deed: Deed, files: Iterable[Path]) -> None:
    """Put files of the data set into the bin. FileError for the first that can't be."""
    for file in files:
        deed.move(file, deed.bin_of(file))


def _masks_above(companions: Companions, folder: Path) -> set[Path]:
    return {mask for name in _listing(folder.parent) for mask in companions.of(folder.parent / name)}


def _owner(name: str, pictures: dict[str, set[str]]) -> str:
    """Which picture's stem a file's name begins with; the longest."""
    stem = _masked(_stem(name)) if _is_picture(name) else ""
    if stem:
        return stem if stem in pictures else ""
    whole = _stem(f"{name}.x")
    ends = [place for place, char in enumerate(whole) if char == "."]
    return next((whole[:end] for end in reversed(ends) if whole[:end] in pictures), "")


def _masked(stem: str) -> str:
    """The stem of the picture that a mask belongs to; "" for what is no mask."""
    return next((stem.removesuffix(mark) for mark in MASKS if stem.endswith(mark)), "")


def _stem(name: str) -> str:
    return unicodedata.normalize("NFC", Path(name).stem).casefold()


def _is_picture(name: str) -> bool:
    return Path(name).suffix.lower() in PICTURES


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []  # not there, or not ours to look into
