"""Prepare training data: copy pictures and captions into the folders that kohya's tools and ours train from.

`preview` decides everything and touches nothing; `prepare` copies what it decided. Nothing of the person's is ever
deleted or overwritten, and a file appears under its name only when it is whole, so that a run that was stopped is
finished by running it again.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dataset.captions import TABLES, CaptionFinder, sidecar
from dataset.problem import Problem, counted
from dataset.scan import COUNTED, Item, scan
from dataset.settings import Folder
from settings.errors import SettingsError
from settings.paths import absolute
from settings.section import Section, Ui

FORBIDDEN = set('<>:"/\\|?*')  # in names on Windows; the folder is likely to travel there some day
MAX_NAME = 255  # bytes in a file's name, on every common file system
SPARE = 100_000_000  # bytes of the disk that stay free

Repeats = Annotated[int, Field(ge=1, le=9999)]


class PrepareSettings(Section):
    """Copies your pictures into the folders that training reads: img/10_sks dog, reg/1_dog, model, log."""

    trigger: Annotated[str, Ui("Trigger word", level="quick", kohya="instance prompt")] = ""
    """The word that will call your subject up, for example sks. Best one that means nothing yet."""

    class_words: Annotated[str, Ui("Class", level="quick", kohya="class prompt")] = ""
    """What your subject is, for example dog, woman, teapot. For a style it may be empty."""

    source: Annotated[str, Ui("Pictures", level="quick", kind="folder", kohya="training images")] = ""
    """The folder with your pictures, and their captions if there are any. It stays as it is."""

    repeats: Annotated[Repeats, Ui(level="quick", kohya="repeats")] = 10
    """How often each picture is shown in an epoch."""

    regularisation: Annotated[str, Ui("Regularisation pictures", kind="folder", kohya="regularisation images")] = ""
    """A folder with pictures of the whole class. Empty: none."""

    regularisation_repeats: Annotated[Repeats, Ui("Regularisation repeats", kohya="repeats")] = 1
    """How often each regularisation picture is shown in an epoch."""

    destination: Annotated[str, Ui(level="quick", kind="folder", kohya="destination training directory")] = ""
    """The folder to make. One that is already there is added to."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not (self.trigger + self.class_words).strip():
            yield "trigger", "say the word that will call your subject up"
        if self.regularisation.strip() and not self.class_words.strip():
            yield "class_words", "say what the regularisation pictures show"
        for path in ("trigger", "class_words"):
            if wrong := unfit_for_names(getattr(self, path)):
                yield path, f"becomes part of a folder's name, and can't have {wrong}"
        if self.image_folder.endswith("."):
            yield "class_words" if self.class_words.strip() else "trigger", "can't end with a full stop"
        if len(self.image_folder.encode(errors="replace")) > MAX_NAME:
            yield "trigger", "is too long for a folder's name together with the class"
        for path in ("source", "destination"):
            if not getattr(self, path).strip():
                yield path, "choose a folder"

    @property
    def image_folder(self) -> str:
        """Name of the folder below img/."""
        return f"{self.repeats}_{' '.join(f'{self.trigger} {self.class_words}'.split())}"

    @property
    def regularisation_folder(self) -> str:
        """Name of the folder below reg/."""
        return f"{self.regularisation_repeats}_{' '.join(self.class_words.split())}"


@dataclass
class Preparation:
    """What will be done. `texts` are captions that come from a table and get a file of their own."""

    folders: list[Path]  # made if they are not there
    copies: list[tuple[Path, Path]] = field(default_factory=list)
    texts: list[tuple[str, Path]] = field(default_factory=list)
    already: int = 0  # files that are in place, with the same content
    problems: list[Problem] = field(default_factory=list)
    bytes: int = 0  # to be copied
    sentence: str = ""


class PrepareError(OSError):
    """Copying had to stop; the message says why and what to do. What was copied stays, and the next run goes on."""


def preview(settings: PrepareSettings) -> Preparation:
    """Everything that `prepare` would do. Reads, writes nothing. Raises SettingsError if it can't be done at all."""
    source, target = _folder(settings.source), _folder(settings.destination)
    problems = dict(_wrong_folders(settings, source, target))
    if problems:
        raise SettingsError(problems)
    preparation = Preparation([target / name for name in ("img", "reg", "model", "log")])
    pictures = _Planner(preparation, source, target / "img" / settings.image_folder).plan()
    regularisation = 0
    if settings.regularisation.strip():
        place = target / "reg" / settings.regularisation_folder
        regularisation = _Planner(preparation, _folder(settings.regularisation), place).plan()
    if not pictures:
        raise SettingsError({"source": "there are no pictures in it that can be used"})
    beside = list(_beside(settings, target))
    preparation.problems += beside
    _check_space(preparation, target)
    preparation.sentence = _sentence(preparation, settings, pictures, regularisation)
    if beside:
        preparation.sentence += f" {counted(len(beside), 'other folder')} there will be trained on too (see below)."
    return preparation


def prepare(preparation: Preparation, progress: Callable[[int, int, Path], object] | None = None) -> None:
    """Do what `preview` decided. `progress(done, of, path)` is called after each file; an exception that it raises
    stops the copying between two files. Raises PrepareError when the disk won't go on."""
    for done, total, path in copying(preparation):
        if progress:
            progress(done, total, path)


def copying(preparation: Preparation) -> Iterator[tuple[int, int, Path]]:
    """The same, a file at a time: yields (files done, files in all, the file just written). What can't be copied is
    added to `preparation.problems`; the rest goes on."""
    total = len(preparation.copies) + len(preparation.texts)
    jobs = [(_copied, source, path) for source, path in preparation.copies]
    jobs += [(_written, text, path) for text, path in preparation.texts]
    try:
        for folder in preparation.folders:
            folder.mkdir(parents=True, exist_ok=True)
        for done, (write, content, path) in enumerate(jobs, start=1):
            path.parent.mkdir(parents=True, exist_ok=True)
            problem = _placed(path, write, content)
            if problem:
                preparation.problems.append(problem)
            yield done, total, path
    except OSError as error:
        raise PrepareError(f"{error.strerror or error} ({error.filename or preparation.folders[0]}). "
                           "Mend that and prepare again: it goes on where it stopped.") from error


def fields(settings: PrepareSettings) -> dict[str, Any]:
    """What "Copy info to respective fields" fills in the training form: {setting's path: value}."""
    target = _folder(settings.destination)
    folders = [Folder(path=str(target / "img")).model_dump()]
    if settings.regularisation.strip() or _has_entries(target / "reg"):
        folders.append(Folder(path=str(target / "reg"), regularisation=True).model_dump())
    return {
        "dataset.folders": folders,
        "save.folder": str(target / "model"),
        "save.logging_folder": str(target / "log"),
    }


def unfit_for_names(text: str) -> str:
    """The characters of a text that a folder's name can't have on some system, to be shown; "" if there are none."""
    wrong = sorted({char for char in text if char in FORBIDDEN or not char.isprintable()})
    return " ".join(char if char.isprintable() else f"U+{ord(char):04X}" for char in wrong)


def _folder(text: str) -> Path:
    return absolute(text.strip())


def _wrong_folders(settings: PrepareSettings, source: Path, target: Path) -> Iterator[tuple[str, str]]:
    sources = {"source": source}
    if settings.regularisation.strip():
        sources["regularisation"] = _folder(settings.regularisation)
    for name, path in sources.items():
        if not os.path.isdir(path):
            yield name, f"there is no such folder: {path}"
        elif relation := overlap(path, target):
            yield "destination", f"{relation} the {name} folder; choose a new one beside it"
    if "regularisation" in sources and overlap(source, sources["regularisation"]):
        yield "regularisation", "must be another folder than that of your pictures, neither inside nor around it"
    if os.path.exists(target) and not os.path.isdir(target):
        yield "destination", "this is a file; choose a folder"
    elif not os.access(_existing(target), os.W_OK | os.X_OK):
        yield "destination", f"nothing may be written in {_existing(target)}; choose another folder"


def overlap(source: Path, target: Path) -> str:
    """How the target lies to the source, in words, by way of all links; "" where they have nothing in common."""
    source, target = Path(os.path.realpath(source)), Path(os.path.realpath(target))
    if source == target:
        return "is"
    if source in target.parents:
        return "lies inside"
    return "contains" if target in source.parents else ""


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if os.path.isdir(folder))


@dataclass
class _Planner:
    """Decides, for one source folder, what goes where below `place`."""

    preparation: Preparation
    source: Path
    place: Path
    owners: dict[str, tuple[Path, str]] = field(default_factory=dict)  # new stem in small letters -> whose it is
    decided: set[Path] = field(default_factory=set)

    def plan(self) -> int:
        """Add the copies; returns how many pictures there are."""
        dataset = scan([Folder(path=str(self.source))])
        self.preparation.problems += [problem for problem in dataset.problems if not problem.used]
        self.preparation.folders.append(self.place)
        captions = CaptionFinder(self.source)
        for item in dataset.items:
            self._picture(item, captions)
        return len(dataset.items)

    def _picture(self, item: Item, captions: CaptionFinder) -> None:
        target = self.place / f"{self._stem(item.path)}{item.path.suffix}"
        self._copy(item.path, target)
        if item.caption_from and item.caption_from.name in TABLES:
            self._text(item.caption, sidecar(target))
            return
        for path in captions.sidecars(item.path):
            self._copy(path, target.with_suffix(path.suffix))

    def _stem(self, path: Path) -> str:
        """A picture's name without extension in the one flat folder, made of its own path alone so that it is the same
        in every later run: folders in front, a digest where that is too long or another's. Pictures that share a name
        (and so a caption file) in the source go on sharing it."""
        owner, relative = (path.parent, path.stem), path.relative_to(self.source)
        digest = hashlib.sha256(relative.with_suffix("").as_posix().encode()).hexdigest()[:10]
        room = MAX_NAME - len(".caption")
        stem = "_".join((*relative.parts[:-1], path.stem))
        short = f"{stem.encode()[: room - 11].decode(errors='ignore')}-{digest}"
        if len(relative.parts) > 1 and len(stem.encode()) > room:
            stem = short
        if self.owners.setdefault(stem.casefold(), owner) != owner:
            stem = short
            self.owners[stem.casefold()] = owner
        return stem

    def _copy(self, source: Path, target: Path) -> None:
        if self._is_free(target, lambda: filecmp.cmp(source, target, shallow=False)):
            self.preparation.copies.append((source, target))
            self.preparation.bytes += source.stat().st_size

    def _text(self, text: str, target: Path) -> None:
        if self._is_free(target, lambda: target.read_bytes() == _bytes(text)):
            self.preparation.texts.append((text, target))

    def _is_free(self, target: Path, same: Callable[[], bool]) -> bool:
        """Whether a file is to be written under this name; if one is there, note whether it is the same."""
        if target in self.decided:
            return False  # the caption file of two pictures of the same name
        self.decided.add(target)
        if not os.path.lexists(target):
            return True
        if target.is_file() and same():
            self.preparation.already += 1
        else:
            self.preparation.problems.append(_in_the_way(target))
        return False


def _in_the_way(target: Path) -> Problem:
    return Problem(target, "a file of this name with other content is already there; it was left as it is",
                   "delete or rename it and prepare again if you want the new one")


def _beside(settings: PrepareSettings, target: Path) -> Iterator[Problem]:
    """Folders of an earlier preparation with other words or repeats, perhaps of the same pictures."""
    reg = settings.regularisation_folder if settings.regularisation.strip() else ""
    for place, own in ((target / "img", settings.image_folder), (target / "reg", reg)):
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else ():
            if name != own and COUNTED.fullmatch(name) and os.path.isdir(place / name):
                yield Problem(place / name, "this folder is there already, and its pictures will be trained on too",
                              "delete or move it if they are the same pictures", used=True)


def _check_space(preparation: Preparation, target: Path) -> None:
    free = shutil.disk_usage(_existing(target)).free
    if preparation.bytes + SPARE > free:
        raise SettingsError({"destination": f"{_size(preparation.bytes)} are needed and {_size(free)} free; "
                                            "choose another disk or make room"})


def _sentence(preparation: Preparation, settings: PrepareSettings, pictures: int, regularisation: int) -> str:
    files = len(preparation.copies) + len(preparation.texts)
    what = counted(pictures, "picture")
    place = f"img/{settings.image_folder}"
    if regularisation:
        what += f" and {counted(regularisation, 'regularisation picture')}"
        place += f" and reg/{settings.regularisation_folder}"
    todo = f"{counted(files, 'file')} ({_size(preparation.bytes)}) will be copied" if files else "nothing to copy"
    parts = [f"{what} for {place}: {todo}"]
    if preparation.already:
        parts.append(f"{preparation.already:,} already there")
    left = sum(not problem.used for problem in preparation.problems)
    if left:
        parts.append(f"{left:,} left out (see below)")
    return ", ".join(parts) + "."


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _bytes(text: str) -> bytes:
    return f"{text}\n".encode()


def _placed(path: Path, write: Callable[[Any, Path], None], content: Any) -> Problem | None:
    """Write beside the final name, then give it that name unless someone has it by now."""
    aside = path.with_name(f".{secrets.token_hex(8)}.part")  # hidden: no scan takes it for a picture
    try:
        write(content, aside)
        return None if _named(aside, path) else _in_the_way(path)
    except (FileNotFoundError, PermissionError) as error:
        if not isinstance(content, Path) or str(error.filename) != str(content):
            raise  # the destination's fault, which every further file would share
        return Problem(content, f"it could not be read ({error.strerror})", "check the file and prepare again")
    finally:
        aside.unlink(missing_ok=True)


def _named(aside: Path, path: Path) -> bool:
    """Give a finished file its name; False if the name is taken. A link, unlike a rename, never replaces a file."""
    try:
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without links, such as a memory stick's
        if os.path.lexists(path):
            return False
        aside.rename(path)
    return True


def _copied(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("xb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
    facts = source.stat()
    os.utime(target, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # not the mode: a read-only caption can't be edited


def _written(text: str, target: Path) -> None:
    with target.open("xb") as writing:
        writing.write(_bytes(text))


def _has_entries(folder: Path) -> bool:
    return os.path.isdir(folder) and bool(os.listdir(folder))
