"""Makes a data set of an upload that is whole: files under their names, zips unpacked, only what training could use."""

from __future__ import annotations

import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dataset import pictures
from dataset.exchange import unzip
from dataset.exchange.names import Names, contained, is_picture
from dataset.exchange.unzip import ZipError
from dataset.exchange.uploads import Upload, UploadError, Uploads, limit
from dataset.files import FileError
from dataset.pictures import PictureError
from dataset.problem import Problem
from jobs.folder import home
from settings.errors import SettingsError
from settings.section import Section

CHUNK = 1 << 20
STALE = 24 * 3600  # seconds


class Settings(Section):
    """Makes a data set of what was uploaded."""

    id: str = ""
    """Which upload."""


def uploads() -> Uploads:
    return Uploads(home() / "uploads")


def work(settings: Settings, teller: Any) -> dict[str, Any]:
    """Make it, in a new folder below `datasets` of the workspace. The upload is cleared away then."""
    try:
        upload = uploads().find(settings.id)
    except UploadError as error:
        raise SettingsError({"id": str(error)}) from error
    if not upload.is_whole():
        raise SettingsError({"id": "it hasn't come whole yet; go on with it first"})
    problems: list[Problem] = []
    with _made(upload.about()["name"]) as (place, root):
        _unpack(upload, root, problems, teller)
        kept = _checked(root, problems, teller)
        if not kept:
            why = f": {problems[0].path.name}: {problems[0].reason}" if problems else ""
            raise FileError(Path(upload.about()["name"]), f"there is no picture in it that can be read{why}",
                            "upload JPEG, PNG or WebP files, or a zip of them")
    for problem in problems:
        teller.problem(problem)
    shutil.rmtree(upload.folder, ignore_errors=True)
    return {"folder": str(place), "pictures": kept}


@contextmanager
def _made(name: str) -> Iterator[tuple[Path, Path]]:
    """(the data set's folder, which it is when the block has ended well; where to put the files until then)."""
    parent = home() / "datasets"
    stem = (contained(name.replace("/", " ")) or "upload").lstrip(". ").removesuffix(".zip").rstrip(". ") or "upload"
    place, number = parent / stem, 2
    while place.exists():
        place, number = parent / f"{stem}_{number}", number + 1
    for left in parent.glob(".*.part"):  # by works that were killed
        if time.time() - left.stat().st_mtime > STALE:
            shutil.rmtree(left, ignore_errors=True)
    aside = parent / f".{secrets.token_hex(8)}.part"
    inside = aside / "files"
    inside.mkdir(parents=True)
    try:
        yield place, inside
        unzip.unwrapped(inside).rename(place)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _unpack(upload: Upload, root: Path, problems: list[Problem], teller: Any) -> None:
    names, files = Names(), upload.files()
    for done, (name, start, size) in enumerate(files, start=1):
        with upload.open(start, size, name) as source:
            if name.lower().endswith(".zip"):
                _unzip(source, root / names.free(contained(name)[:-4]), problems, teller)
            else:
                path = root / names.free(contained(name))
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
        teller.progress("unpacking", done, len(files))


def _unzip(source: Any, place: Path, problems: list[Problem], teller: Any) -> None:
    place.mkdir(parents=True, exist_ok=True)
    try:
        problems += unzip.unzip(source, place, int(limit()), teller.progress)
    except ZipError as error:
        shutil.rmtree(place)  # what had come out of it, too
        problems.append(Problem(Path(source.raw.name), str(error), "nothing of it was taken"))


def _checked(root: Path, problems: list[Problem], teller: Any) -> int:
    """Take away what isn't what its name says; how many pictures there are."""
    files = [path for path in root.rglob("*") if not path.is_dir()]
    kept = 0
    for done, path in enumerate(files, start=1):
        teller.progress("checking", done, len(files))
        if not stat.S_ISREG(path.lstat().st_mode):
            path.unlink()
        elif is_picture(path.name):
            try:
                pictures.header(path)
                kept += 1
            except PictureError as error:
                problems.append(Problem(path.relative_to(root), error.reason, error.fix))
                path.unlink()
    return kept
