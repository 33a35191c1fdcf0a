"""clip-interrogator's lists of phrases, downloaded where a person agreed to it: one file, known by its checksum.

Nobody knows who compiled them (its issue 58); some phrases name real people or are not for everyone's eyes, so they are
no part of this program. Its list of artists is not taken at all.
"""

from __future__ import annotations

import hashlib
import io
import os
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from captioners.base import CaptionerError, Progress
from captioners.clip.lists import Phrases, read
from jobs.folder import home

PLACE = "https://files.pythonhosted.org/packages/30/79/a75e9129809368b3e3d9b9bc803230ac1cba7d690338f7b0c3ad46107fa3"
URL = f"{PLACE}/clip_interrogator-0.6.0-py3-none-any.whl"
BYTES = 787_802
CHECKSUM = "cd7c6bf9db170f005b4179e943fc1658aa0f8eebcc75ab3428b0a992aaeabd1c"
FILES = {  # in the archive -> SHA-256; flavors are the 100,970 that make the tables large
    "clip_interrogator/data/flavors.txt": "c99d83a7a435157339f3b60a34794c524de37159a9b72f3a2034df8245c4a2f1",
    "clip_interrogator/data/mediums.txt": "91f26b9d0d7d93f8e30139a94f895ba5a97744033ec0b174539f3a88bc49cd2c",
    "clip_interrogator/data/movements.txt": "16d60ecb48901885e877ca9243b3c32bc84a2477c4d3f0a1cf6d66086ce47483",
    "clip_interrogator/data/negative.txt": "b0a8a36e3f519dd3b07303137c8beaeecba2a765830e404a427e30845c83e8e2",
}
LICENCE = "clip_interrogator-0.6.0.dist-info/LICENSE"
NEGATIVE = "negative"
SECONDS = 30  # of silence from the server


def lists(progress: Progress) -> tuple[list[Phrases], Phrases]:
    """(mediums, movements and flavors; what spoils a picture), downloaded unless they are here. Raises
    CaptionerError."""
    folder = home() / "cache" / "clip" / "clip-interrogator"
    missing = [name for name, checksum in FILES.items() if not whole(folder / Path(name).name, checksum)]
    if missing:
        unpack(download(progress), folder)
    found = {Path(name).stem: read(folder / Path(name).name) for name in FILES}
    return [found[name] for name in ("mediums", "movements", "flavors")], found[NEGATIVE]


def whole(path: Path, checksum: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == checksum
    except OSError:
        return False


def download(progress: Progress) -> bytes:
    """The archive, whole and right or not at all. Raises CaptionerError."""
    content = bytearray()
    try:
        with urllib.request.urlopen(URL, timeout=SECONDS) as answer:
            if answer.status != 200:
                raise CaptionerError(f"clip-interrogator's lists could not be downloaded: status {answer.status}")
            while len(content) <= BYTES and (part := answer.read(1 << 16)):
                content += part
                progress("download lists", min(len(content), BYTES), BYTES)
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        why = getattr(error, "reason", None) or error
        raise CaptionerError(f"clip-interrogator's lists could not be downloaded ({why}): check the connection, or "
                             "turn published_lists off") from error
    if hashlib.sha256(content).hexdigest() != CHECKSUM:
        raise CaptionerError("clip-interrogator's lists came damaged or are not those that are known: nothing was "
                             "kept of them; try again, or turn published_lists off")
    return bytes(content)


def unpack(archive: bytes, folder: Path) -> None:
    """The lists, and their licence beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        for name in (LICENCE, *FILES):
            aside = folder / f".{Path(name).name}.{os.getpid()}"
            aside.write_bytes(file.read(name))
            os.replace(aside, folder / Path(name).name)
