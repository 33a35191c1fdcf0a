"""Finding the pictures of a data set, with sizes, captions and repeats, and naming every file that can't be used.

Three layouts, told apart by the folder names alone: the pictures themselves; kohya's parent of `10_sks dog` folders
(10 repeats, "sks dog" as the caption of pictures without one; only such folders count in it); any other tree, where
each folder with a number in front keeps that meaning for everything below it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataset import headers, masks, pictures
from dataset.captions import CaptionFinder
from dataset.editor import marks
from dataset.files import FileError
from dataset.journal import FOLDER
from dataset.pictures import Header, PictureError
from dataset.problem import Problem, counted
from dataset.settings import Folder

__all__ = ["Dataset", "Item", "Problem", "scan"]

COUNTED = re.compile(r"(\d{1,4})_(.*)", re.DOTALL)  # five digits and more are a date, not a count
SYSTEM_FOLDERS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"}
MANY_REPEATS = 1000
PICTURED = pictures.EXTENSIONS | pictures.FOREIGN


@dataclass(frozen=True)
class Item:
    """One picture of the data set. Sizes are those of the upright picture."""

    path: Path
    width: int
    height: int
    caption: str  # "" where nothing says what it shows
    repeats: int
    folder: str  # short name of its folder, different for different folders
    regularisation: bool
    caption_from: Path | None = None  # the file that the caption was read from; None: class words, or no caption
    weight: float = 1.0  # of its error
    drawn: bool = False  # by the run itself, before its first step: it need not be there yet


@dataclass(frozen=True)
class Dataset:
    """What `scan` found. `problems` has the files left out, and remarks on files that are used (`used`)."""

    items: list[Item]
    problems: list[Problem]

    @property
    def training(self) -> list[Item]:
        return [item for item in self.items if not item.regularisation]

    @property
    def regularisation(self) -> list[Item]:
        return [item for item in self.items if item.regularisation]

    @property
    def images(self) -> int:
        """How many pictures there are, not counting repeats."""
        return len(self.items)


def checked(entry: os.DirEntry[str]) -> Header:
    """What a picture's file says about itself; raises PictureError. Decoded only where its end looks cut off."""
    head = headers.quick(entry.path)
    if head is None:
        path = Path(entry.path)
        head = pictures.header(path)
        if not pictures.looks_whole(path):
            pictures.read(path)
    return head


def decoded(entry: os.DirEntry[str]) -> Header:
    """The same after decoding it, which finds damage in the middle too."""
    head = pictures.header(Path(entry.path))
    pictures.read(Path(entry.path))
    return head


def scan(folders: Iterable[Folder], caption_extension: str = ".txt", deep: bool = False) -> Dataset:
    """Every usable picture of the folders, in an order that depends on the names alone.

    Reads headers and end marks only; with `deep` every picture is decoded, to find damage in the middle of files.
    Pictures that a person excluded from training are left out. Never raises for what is on disk: that goes to
    `problems`."""
    work = Scan(caption_extension, decoded if deep else checked)
    for folder in folders:
        work.add(folder)
    return Dataset(work.items, work.problems)


def folders(root: Path) -> list[Folder]:
    """What is meant when a person names one folder: `img` and `reg` in it, as `prepare` makes them, else all of it."""
    inner = [root / "img", root / "reg"]
    if all(map(_is_kohya_parent, inner)):
        return [Folder(path=str(inner[0])), Folder(path=str(inner[1]), regularisation=True)]
    return [Folder(path=str(root))]


@dataclass(frozen=True)
class _Place:
    """A folder on the way down, with what the folder names above it have said."""

    path: Path
    repeats: int
    words: str
    label: str
    owner: Path  # the folder that the label is the name of


@dataclass
class Scan:
    """A scan as it goes on, for those who want to know more of it than `scan` tells. `items` and `problems` grow with
    each folder that is added."""

    extension: str
    header: Callable[[os.DirEntry[str]], Header] = checked  # raises PictureError or OSError
    everything: bool = False  # also what a person excluded
    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    seen: dict[str, Path] = field(default_factory=dict)  # real path -> the path it was first met by
    finders: list[CaptionFinder] = field(default_factory=list)  # one for each folder that was added
    labels: dict[str, str] = field(default_factory=dict)  # label -> real path of its folder
    excluded: dict[str, str] = field(default_factory=dict)  # absolute path -> where a person excluded it
    marked: set[str] = field(default_factory=set)  # folders whose marks were read

    def add(self, folder: Folder) -> None:
        root = Path(os.path.expanduser(folder.path))
        if not folder.path.strip():
            return self.leave_out(root, "no folder is given", "choose the folder with the pictures")
        if not os.path.isdir(root):
            what = "this is a file" if os.path.isfile(root) else "there is no such folder"
            return self.leave_out(root, what, "choose the folder with the pictures")
        root = self._inside_prepared(root, folder.regularisation)
        found = len(self.items) + len(self.problems)
        captions = CaptionFinder(root, self.extension)
        self.finders.append(captions)
        for above in dict.fromkeys((Path(os.path.abspath(root)), Path(os.path.realpath(root)))):
            for marker in above.parents:
                self._marks(marker)
        for place, files in self._tree(self._top(root)):
            self._folder(folder, place, files, captions)
        self.problems += captions.problems
        if found == len(self.items) + len(self.problems):
            self.leave_out(root, "there are no pictures in this folder", "choose another folder")

    def listed(self, folder: Path, entries: list[os.DirEntry[str]]) -> None:
        """Told each folder on the way, with all that is in it, before anything of it is read."""

    def leave_out(self, path: Path, reason: str, fix: str) -> None:
        self.problems.append(Problem(path, reason, fix))

    def remark(self, path: Path, reason: str, fix: str, kind: str = "") -> None:
        self.problems.append(Problem(path, reason, fix, used=True, kind=kind))

    def _inside_prepared(self, root: Path, regularisation: bool) -> Path:
        """The part that is meant when someone names the folder that holds img/, reg/, model/ and log/."""
        inner = root / ("reg" if regularisation else "img")
        if not _is_kohya_parent(root / "img") or not os.path.isdir(inner):
            return root
        self.remark(root, f"of this folder only {inner.name}/ is used", "add img/ and reg/ as folders of their own")
        return inner

    def _top(self, root: Path) -> _Place:
        name = root.name if root.name not in ("", "..") else root.resolve().name
        return self._below(_Place(root, 1, "", "", root), root, name)

    def _below(self, place: _Place, path: Path, name: str) -> _Place:
        match = COUNTED.fullmatch(name)
        if match:
            repeats = int(match[1])
            if repeats >= MANY_REPEATS:
                self.remark(path, f"the name was read as {repeats:,} repeats", "rename the folder, or set its repeats")
            return _Place(path, repeats, match[2].strip(), name, path)
        if COUNTED.fullmatch(place.owner.name) and place.label:
            return replace(place, path=path)
        return _Place(path, place.repeats, place.words, f"{place.label}/{name}".lstrip("/"), path)

    def _tree(self, top: _Place) -> Iterator[tuple[_Place, list[os.DirEntry[str]]]]:
        """Each folder with its files; hidden ones left out, links followed but no folder twice."""
        waiting, visited = [top], set()
        while waiting:
            place = waiting.pop()
            real = os.path.realpath(place.path)
            if real in visited:
                continue
            visited.add(real)
            try:
                with os.scandir(place.path) as entries:
                    entries = sorted(entries, key=_order)
            except OSError as error:
                self.leave_out(place.path, f"the folder can't be read ({error.strerror})", "check its permissions")
                continue
            self.listed(place.path, entries)
            if any(entry.name == FOLDER for entry in entries):
                self._marks(place.path)
            seen = [(entry, _is_folder(entry)) for entry in entries if not entry.name.startswith(".")]
            folders = [entry.name for entry, inner in seen if inner and entry.name not in SYSTEM_FOLDERS]
            folders, files = self._masks(place, folders, [entry for entry, inner in seen if not inner])
            folders, files = self._kohya(place, folders, files)
            yield place, files
            below = (self._below(place, place.path / name, name) for name in folders)
            waiting += reversed([inner for inner in below if self._counts(inner)])

    def _masks(self, place: _Place, folders: list[str],
               files: list[os.DirEntry[str]]) -> tuple[list[str], list[os.DirEntry[str]]]:
        """What says where to look in a picture is no picture to train on."""
        names = [entry.name for entry in files]
        found = masks.among(names)
        inner = {name for name in folders if masks.is_folder_of(place.path / name, names)}
        if found or inner:
            which = min(found, default="") or f"{min(inner)}/"
            self.remark(place.path, f"it has masks of its pictures, such as {which}",
                        "switch on masked loss to learn only what they show; rename them if they are pictures of their "
                        "own", "masks")
        return ([name for name in folders if name not in inner], [entry for entry in files if entry.name not in found])

    def _kohya(self, place: _Place, folders: list[str],
               files: list[os.DirEntry[str]]) -> tuple[list[str], list[os.DirEntry[str]]]:
        """In a parent of `10_sks dog` folders nothing else counts, as in sd-scripts; what is passed over is told."""
        numbered = [name for name in folders if COUNTED.fullmatch(name)]
        if not numbered:
            return folders, files
        for name in sorted(set(folders) - set(numbered)):
            self.leave_out(place.path / name, f"the folder's name has no repeats, unlike {numbered[0]!r} beside it",
                           f"rename it to 1_{name} to use it")
        loose = [entry for entry in files if suffix(entry.name) in pictures.EXTENSIONS]
        if loose:
            self.leave_out(place.path, f"{counted(len(loose), 'picture')} beside the folder {numbered[0]!r}, not in it",
                           "move them into one of the folders to use them")
        return numbered, []

    def _counts(self, place: _Place) -> bool:
        if place.repeats == 0:
            self.leave_out(place.path, "the name says 0 repeats", "rename it to start with 1_ to use it")
        return place.repeats > 0

    def _marks(self, folder: Path) -> None:
        """Which pictures a person excluded, as it is noted in this folder for all below it."""
        folder = Path(os.path.abspath(folder))
        if self.everything or str(folder) in self.marked:
            return
        self.marked.add(str(folder))
        try:
            found = marks.read(folder)
        except (FileError, OSError) as error:
            reason, fix = (error.reason, error.fix) if isinstance(error, FileError) else (str(error), "check the disk")
            return self.remark(marks.place(folder), f"which pictures were excluded can't be read ({reason})", fix)
        self.excluded |= {str(folder / name): mark.by for name, mark in found.items() if mark.excluded}

    def _folder(self, folder: Folder, place: _Place, files: list[os.DirEntry[str]], captions: CaptionFinder) -> None:
        label = self._label(place) if files else ""
        words = folder.class_words.strip() or place.words
        repeats = folder.repeats or max(1, place.repeats)
        first, silent, real = len(self.items), 0, os.path.realpath(place.path)
        for entry in files:
            if suffix(entry.name) not in PICTURED:
                continue
            path = place.path / entry.name
            head = self._picture(path, entry, real)
            if head is None:
                continue
            caption = captions.find(path)
            silent += caption is None
            self.items.append(Item(path, head.width, head.height, caption.text if caption else words, repeats, label,
                                   folder.regularisation, caption.source if caption else None, folder.loss_weight))
        new = self.items[first:]
        self._shared_captions(new)
        if silent and (silent < len(new) or not words):
            use = f"the class words {words!r} are used" if words else "trained without words"
            self.remark(place.path, f"{silent} of {counted(len(new), 'picture')} without a caption; {use}",
                        "write captions, or give the folder class words", "no caption")

    def _picture(self, path: Path, entry: os.DirEntry[str], folder: str) -> Header | None:
        """The header of a picture that can be used, else None; told where a person would call the file a picture."""
        kind = suffix(entry.name)
        if kind in pictures.FOREIGN:
            self.leave_out(path, f"pictures of the kind {kind} can't be read", "save it as JPEG, PNG or WebP")
        if kind not in pictures.EXTENSIONS or not self._new(path, entry, folder) or self._is_excluded(path, folder):
            return None
        try:
            str(path).encode()  # a name in an old encoding can be opened, but not written into any text
            head = self.header(entry)
        except UnicodeEncodeError:
            self.leave_out(path, "its name, or a folder's, isn't valid text", "rename it")
            return None
        except PictureError as error:
            self.leave_out(path, error.reason, error.fix)
            return None
        except OSError as error:
            self.leave_out(path, f"the file can't be read ({error.strerror})", "scan the folder again")
            return None
        if head.animated:
            self.remark(path, "the picture is animated; only its first frame is used", "save the frame that you want",
                        "animated")
        return head

    def _new(self, path: Path, entry: os.DirEntry[str], folder: str) -> bool:
        real = os.path.realpath(path) if entry.is_symlink() else os.path.join(folder, entry.name)
        first = self.seen.setdefault(real, path)
        if first is not path:
            self.leave_out(path, f"it is the same file as {first}", "list each folder once")
        return first is path

    def _is_excluded(self, path: Path, folder: str) -> bool:
        if not self.excluded:
            return False
        by = self.excluded.get(os.path.abspath(path), self.excluded.get(os.path.join(folder, path.name)))
        if by is not None:
            self.problems.append(Problem(path, f"it was excluded from training {by}".rstrip(),
                                         "take its mark away in the tag editor to train on it again", kind="excluded"))
        return by is not None

    def _label(self, place: _Place) -> str:
        """The place's short name, numbered where another folder has the same one."""
        real, number, label = os.path.realpath(place.owner), 2, place.label
        while self.labels.setdefault(label, real) != real:
            label = f"{place.label} ({number})"
            number += 1
        return label

    def _shared_captions(self, items: list[Item]) -> None:
        owners: dict[Path, Path] = {}
        for item in items:
            source = item.caption_from
            if source is None or source.stem != item.path.stem:
                continue
            first = owners.setdefault(source, item.path)
            if first is not item.path:
                self.remark(item.path, f"it shares the caption file {source.name} with {first.name}",
                            "rename one of the two if they show different things", "shared caption")


def _order(entry: os.DirEntry[str]) -> str:
    """The same order everywhere: macOS may deliver accents decomposed, and every system its own sequence."""
    return unicodedata.normalize("NFC", entry.name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # DirEntry.is_dir() raises for a link that leads to itself
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def suffix(name: str) -> str:
    """The extension in lower case with its dot; "" for none. Of thousands of names, so without the care of a Path."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 and (name[0] != "." or name[:dot].strip(".")) else ""


def _is_kohya_parent(path: Path) -> bool:
    try:
        return any(COUNTED.fullmatch(name) for name in os.listdir(path))
    except OSError:
        return False  # absent, or told when the tree is walked
