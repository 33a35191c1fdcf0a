"""The folders that the tag editor has open: each opened once, whoever looks at it, and what its filter line may ask.

All pages share one `Album` of a folder, so two browsers that write the same caption meet there. A page names a folder
by the key that opening it gave: after a restart the keys are others, and the page opens the folder anew instead of
mistaking one picture's number for another's.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dataset import tokens
from dataset.doctor.alike import joined
from dataset.editor import filter, order
from dataset.editor.album import Album
from dataset.new_words import NONE, NewWords
from gui.copying import Copying
from gui.work import Works

KEPT = 3  # folders
PATIENCE = 1.5  # seconds between two looks at the disk, however many pages ask
SHARE = 10  # and at least so many times what a look takes: 100,000 files take a second
AT_ONCE = 4
WAIT = 20.0  # seconds that an answer may take; what is longer is asked for again, or a proxy between would give up
TICKETS = 100


class Editing:
    """The open folders, the last ones that were looked at. `cache`: where what is slow to find out is kept. `works`:
    what looks for copies."""

    def __init__(self, cache: Path, works: Works | None = None):
        self._cache, self._works = cache, works or Works()
        self._lock = threading.Lock()
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._open: OrderedDict[str, Opened] = OrderedDict()  # by key
        self._workers = ThreadPoolExecutor(AT_ONCE, "editing")
        self._tickets: OrderedDict[str, Future[dict[str, Any]]] = OrderedDict()

    def open(self, root: str, extension: str = ".txt", separator: str = ",") -> Opened:
        """The folder, opened if it isn't yet. Raises OSError where it can't be read."""
        if not os.path.isdir(os.path.expanduser(root)):
            raise NotADirectoryError(f"There is no folder {root}.")
        path = os.path.realpath(os.path.expanduser(root))
        settings = (path, extension, separator)
        with self._opening[path]:  # a second page waits for the first instead of reading all of it too
            with self._lock:
                known = next((one for one in self._open.values() if one.settings == settings), None)
            if known:
                known.refresh(now=True)
            found = known or Opened(settings, Album(Path(path), extension, separator, self._cache), self._works)
            with self._lock:
                self._open[found.key] = found
                self._open.move_to_end(found.key)
                old = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - KEPT)]
        for one in old:
            one.album.close()
        return found

    def find(self, key: str) -> Opened | None:
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
            return self._open.get(key)

    def begin(self, act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Do what may take minutes, as writing thousands of files: its answer, or {"working": ticket} for now."""
        ticket = secrets.token_urlsafe(9)
        with self._lock:
            self._tickets[ticket] = self._workers.submit(act)
            while len(self._tickets) > TICKETS:
                self._tickets.popitem(last=False)
        return self.outcome(ticket)

    def outcome(self, ticket: str, wait: float | None = None) -> dict[str, Any]:
        """What became of it, {"working": ticket} while it goes on. KeyError for a ticket that isn't known; raises what
        the work raised."""
        with self._lock:
            future = self._tickets[ticket]
        try:
            answer = future.result(WAIT if wait is None else wait)
        except TimeoutError:
            if future.done():
                raise
            return {"working": ticket}
        finally:
            if future.done():
                with self._lock:
                    self._tickets.pop(ticket, None)
        return answer


class Opened:
    """A folder and what was found out about it."""

    def __init__(self, settings: tuple[str, str, str], album: Album, works: Works):
        self.key = secrets.token_urlsafe(9)
        self.settings = settings
        self.album = album
        self.root = Path(settings[0])
        self.separator = settings[2]
        self.copying = Copying(works, self.root)
        self.trigger = ""
        self._new = NONE
        self.scored: Callable[[Sequence[Path], str], Mapping[Path, float]] = lambda paths, tag: {}
        self._lock = threading.Lock()
        self._looked, self._pause = time.monotonic(), PATIENCE
        self._counts: dict[str, int] = {}  # caption -> its tokens
        self._digests: dict[tuple[str, int, int], str] = {}
        self._numbers: dict[str, int] = {}  # id of a picture -> its number
        self._numbered = -1

    def refresh(self, now: bool = False) -> None:
        """Look at the disk again, unless that was done a moment ago."""
        with self._lock:
            begun = time.monotonic()
            if not now and begun - self._looked < self._pause:
                return
            self.album.refresh()
            self._looked = time.monotonic()
            self._pause = max(PATIENCE, SHARE * (self._looked - begun))

    def number_of(self, picture: str, id_of: Callable[[Path], str]) -> int | None:
        """The number of a picture, by the id that the page knows it by."""
        with self._lock:
            if self._numbered != len(self.album.entries):
                self._numbers = {id_of(entry.path): number for number, entry in enumerate(self.album.entries)}
                self._numbered = len(self.album.entries)
            return self._numbers.get(picture)

    def changed_since(self, revision: int) -> list[int]:
        return [number for number, entry in enumerate(self.album.entries) if entry.revision > revision]

    def let_through(self, line: str, by: str = "", facts: Facts | None = None) -> list[int]:
        """The numbers of the pictures that a filter line lets through, in an order of `order.CHOICES`. Raises
        FilterError."""
        facts = facts or Facts(self)
        found = [number for number in filter.parse(line).apply(facts) if not facts.entries[number].gone]
        return order.arranged(found, facts, by)

    def teach(self, new: NewWords) -> None:
        """From now on these words count as what they are in the run."""
        if new != self._new:
            self._new, self._counts = new, {}

    def tokens_of(self, text: str) -> int:
        count = self._counts.get(text)
        if count is None:
            count = self._counts[text] = tokens.count(text, self._new)
        return count

    def digest(self, path: Path, about: os.stat_result) -> str:
        """Of a file's bytes, read once; "" for a file that can't be read."""
        key = (os.fsdecode(path), about.st_mtime_ns, about.st_size)
        if key not in self._digests:
            try:
                with path.open("rb") as file:
                    self._digests[key] = hashlib.file_digest(file, "blake2b").hexdigest()
            except OSError:
                return ""
        return self._digests[key]


class Facts:
    """What a filter line may ask, as it is at one moment (`dataset.editor.filter.Facts`). `fresh`: also of copies that
    were found since they were last asked for; without it an edit means the same pictures as the page shows."""

    def __init__(self, opened: Opened, fresh: bool = False):
        self.compared, self._fresh = False, fresh
        view = opened.album.view
        self.entries, self.index, self.trigger = view.entries, view.index, opened.trigger
        self._opened = opened

    def tokens(self, number: int) -> int:
        return self._opened.tokens_of(self.entries[number].text)

    def scores(self, tag: str) -> dict[int, float]:
        numbers = {entry.path: number for number, entry in enumerate(self.entries)}
        return {numbers[path]: score for path, score in self._opened.scored(list(numbers), tag).items()}

    def duplicates(self, kind: str) -> list[list[int]]:
        """As far as is known: `Opened.copying`. Files that are the same to the byte are found without a look."""
        if self._fresh and not self.compared:
            self._opened.copying.read(self.entries)
        self.compared = True
        copies = self._opened.copying.copies(self.entries)
        groups = {"near": lambda: copies.near, "mirrored": lambda: copies.mirrored}
        groups["same"] = lambda: [*copies.same, *self._same_files()]
        wanted = [kind] if kind else list(groups)
        return [copies.ranked(group) for group in joined(group for one in wanted for group in groups[one]())]

    def _same_files(self) -> list[list[int]]:
        sizes: defaultdict[int, list[tuple[int, os.stat_result]]] = defaultdict(list)
        for number, entry in enumerate(self.entries):
            try:
                about = entry.path.stat()
            except OSError:  # taken away meanwhile
                continue
            sizes[about.st_size].append((number, about))
        same: defaultdict[str, list[int]] = defaultdict(list)
        for group in sizes.values():
            for number, about in group if len(group) > 1 else ():
                same[self._opened.digest(self.entries[number].path, about)].append(number)
        return [group for digest, group in same.items() if digest and len(group) > 1]


def units(text: str, place: int) -> int:
    """A place in a text as JavaScript counts: letters beyond the first 65,536 are two."""
    return len(text[:place].encode("utf-16-le", "surrogatepass")) // 2


def from_units(text: str, place: int) -> int:
    """The other way round."""
    return len(text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, place)].decode("utf-16-le", "ignore"))
