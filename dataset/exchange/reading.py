"""What several formats do when they read: pictures below a folder, columns of a table, texts of files."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from dataset import masks, pictures
from dataset.captions import MAX_TABLE_BYTES, decode
from dataset.exchange.names import DEEPEST, below, is_picture, walk
from dataset.exchange.record import Found, Record
from dataset.import_analysis import CAPTIONS, IMAGES
from settings.errors import SettingsError

PICTURE_COLUMNS = ("file_name", "image_file_name", "image_path", "image_file", "filename", "image", "path", "file",
                   *IMAGES)
CAPTION_COLUMNS = ("text", "caption", "en_text", *CAPTIONS, "captions", "tags", "title", "label")
YES = {"1", "true", "yes"}


def below_folder(root: Path) -> list[Path]:
    """Every picture below a folder, by name; their masks are left out."""
    found: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in walk(root):
        if is_picture(path.name):
            found[path.parent].append(path)
    names = {folder: [path.name for path in paths] for folder, paths in found.items()}
    left = {folder: masks.among(names[folder]) for folder in found}
    return [path for folder, paths in found.items() if not masks.is_folder_of(folder, names.get(folder.parent, ()))
            for path in paths if path.name not in left[folder]]


def relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def usable(path: Path, found: Found) -> bool:
    """Whether a picture can be trained on; what can't is told."""
    if path.suffix.lower() in pictures.FOREIGN:
        found.leave_out(path, f"pictures of the kind {path.suffix.lower()} can't be read", "save it as JPEG or PNG")
        return False
    try:
        str(path).encode()
        pictures.header(path)
        if not pictures.looks_whole(path):
            pictures.read(path)
    except UnicodeEncodeError:
        found.leave_out(path, "its name isn't valid text", "rename it")
    except pictures.PictureError as error:
        found.leave_out(path, error.reason, error.fix)
    except OSError as error:
        found.leave_out(path, f"the file can't be read ({error.strerror})", "check the file and its permissions")
    else:
        return True
    return False


def text_of(path: Path) -> str:
    """A table's text, whatever its encoding. Raises SettingsError."""
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise SettingsError({"source": f"{path.name} is larger than {MAX_TABLE_BYTES / 1e6:.0f} MB; split it"})
        return decode(path.read_bytes())[0]
    except OSError as error:
        raise SettingsError({"source": f"{path} can't be read: {error.strerror}"}) from error


def json_of(path: Path) -> Any:
    """The value in a JSON file; None where it is none."""
    try:
        return json.loads(text_of(path))
    except (ValueError, RecursionError):
        return None


def column(names: Iterable[str], wanted: str, usual: tuple[str, ...], what: str) -> str:
    """The column that was asked for, or the most usual one that is there, or "". Raises SettingsError for a name that
    isn't there."""
    names = list(names)
    if wanted:
        if wanted not in names:
            raise SettingsError({f"{what}_field": f"there is no {wanted}; there are {', '.join(names[:20])}"})
        return wanted
    lowered = {name.lower(): name for name in reversed(names)}
    return next((lowered[name] for name in usual if name in lowered), "")


def of_row(row: Mapping[str, Any], root: Path, image: str, caption: str, found: Found, where: Path) -> None:
    """Add the record of one line of a table that names its picture; `where` tells a person which line that is."""
    name = row.get(image)
    if not isinstance(name, str) or not name.strip():
        return found.leave_out(where, "it names no picture", "mend this line, or leave it out")
    path = located(root, name.strip())
    if path is None:
        return found.leave_out(where, f"its picture isn't there: {name.strip()[:200]}",
                               "put it there, or say where the pictures are; only what lies below is taken")
    if not is_picture(path.name):
        return found.leave_out(where, f"{path.name} is no picture", "name a JPEG, PNG or WebP file")
    if usable(path, found):
        said = row.get(caption)
        found.records.append(Record(
            relative(Path(os.path.normpath(path)), root), path, said if isinstance(said, str) else "",
            number(row.get("repeats")), words(row.get("class_words")), truth(row.get("regularisation"))))


def located(root: Path, said: str) -> Path | None:
    """The file below `root` that a table means. A whole path, from another machine perhaps, is looked for by its last
    parts."""
    if path := below(root, said):
        return path
    pure = PureWindowsPath(said) if "\\" in said or PureWindowsPath(said).drive else PurePosixPath(said)
    parts = pure.parts[1:] if pure.anchor else ()
    tries = ("/".join(parts[index:]) for index in range(max(0, len(parts) - DEEPEST), len(parts)))
    return next((path for name in tries if (path := below(root, name))), None)


def number(value: Any) -> int:
    """A count of repeats; 1 for what is none."""
    try:
        return min(9999, max(1, int(value)))
    except (TypeError, ValueError):
        return 1


def words(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def truth(value: Any) -> bool:
    return str(value).strip().lower() in YES


def extra(record: Record) -> dict[str, Any]:
    """What a table says of a record beside its caption."""
    return {"repeats": record.repeats, "class_words": record.words, "regularisation": record.regularisation}
