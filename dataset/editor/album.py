"""An open data set: every picture's caption in memory with an index of tags, kept in step with the disk.

The files are the truth and the album is a copy. It is told apart by time and length which files to read again; before
anything is written the file itself is asked. What readers get is never changed, only replaced: they need no lock.
"""

from __future__ import annotations

import gc
import os
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from dataset import journal
from dataset.captions import EXTENSIONS, TABLES, CaptionFinder, dotted
from dataset.editor import marks, words
from dataset.editor.history import History, Version
from dataset.editor.sizes import Sizes
from dataset.editor.watch import Stamp, Watch, stamp_of
from dataset.editor.writing import Task, Writing, Written
from dataset.files import FileError
from dataset.journal import Journal, Outcome
from dataset.problem import Problem
from dataset.scan import Item, Scan, folders
from settings.paths import absolute

FEW = 100  # pictures whose captions are looked for one by one
CAPTIONS = frozenset({*EXTENSIONS, *(os.path.splitext(name)[1] for name in TABLES)})


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture. Its number in the album stays its own for as long as the album is open."""

    path: Path
    width: int
    height: int
    text: str  # its caption, "" for none
    tags: tuple[str, ...]  # of prose: the whole of it
    prose: bool
    folder: str  # relative to the root, "" for the root itself
    source: Path | None  # the file that the caption is in
    stars: int  # 0..5
    excluded: bool  # from training
    note: str
    edited: bool  # by an action in this journal
    regularisation: bool
    repeats: int
    revision: int = field(compare=False)  # of the album when this entry changed last
    gone: bool = False  # the picture was taken away since the album was opened


@dataclass(frozen=True)
class View:
    """The album at one moment."""

    entries: list[Entry]
    index: dict[str, frozenset[int]]  # what counts as the same tag (`words.key`) -> which entries have it
    revision: int


class Album:
    """The data set below `root`. `cache` is a folder for what makes the next opening quicker.

    Every method may be called from any thread. Opening never raises for what is on disk: that is in `problems`."""

    def __init__(self, root: Path | str, caption_extension: str = ".txt", separator: str = words.SEPARATOR,
                 cache: Path | None = None):
        self.root = absolute(root)
        self._above = len(os.path.join(self.root, ""))
        self.separator = separator
        self.prose: bool | None = None  # None: guessed for each caption
        self.extension = caption_extension
        self.journal = Journal(self.root)
        self._watch = Watch({*CAPTIONS, dotted(caption_extension).lower()})
        self._lock = threading.RLock()
        self._sizes = Sizes(self.root, cache)
        self._history = History(self.journal, caption_extension)
        self._numbers: dict[str, int] = {}  # path below the root -> its number
        self._keys: dict[str, list[int]] = defaultdict(list)  # path below the root without extension -> its pictures
        self._folders: dict[str, list[int]] = defaultdict(list)
        self._finders: list[Path] = []  # number -> the folder up to which its captions are looked for
        self._marks: dict[str, marks.Mark] = {}
        self._marks_stamp: Stamp = None
        self._edited: frozenset[str] = frozenset()
        self._problems: list[Problem] = []
        self._marks_problem: list[Problem] = []
        self._view = View([], {}, 0)
        with self._lock, _uncollected():
            self._flags()
            self._scan()
            self._sizes.save()

    @property
    def view(self) -> View:
        """The entries with the index that belongs to them. It stays as it is; ask again for what is new."""
        return self._view

    @property
    def entries(self) -> list[Entry]:
        """All pictures in a stable order; those that were taken away since are `gone`."""
        return self._view.entries

    @property
    def index(self) -> dict[str, frozenset[int]]:
        return self._view.index

    @property
    def revision(self) -> int:
        """Grows with every change, also with those from outside."""
        return self._view.revision

    @property
    def problems(self) -> list[Problem]:
        """What is odd on the disk, as of now."""
        return self._problems + self._marks_problem

    def refresh(self) -> list[int]:
        """Look at the disk again, and tell which entries are not what they were. While another thread is writing:
        nothing yet."""
        if not self._lock.acquire(blocking=False):
            return []
        try:
            return self._refresh()
        finally:
            self._lock.release()

    def write(self, label: str, texts: Mapping[int, str], expected: Mapping[int, str]) -> Written:
        """Give pictures captions, as one action. Each is written only if the picture still has the `expected` one. An
        empty text takes the caption away, from wherever the picture has one.

        JournalError where nothing can be noted, OSError where nothing can be written (the disk is full): what was
        written until then stays and can be undone."""
        with self._lock:
            tasks, lost = self._tasks(texts, expected)
            if not tasks:
                return Written(problems=lost)
            touched: set[Path] = set()
            try:
                with self.journal.begin(label) as action:
                    writing = Writing(self.root, action, Written(problems=lost), touched)
                    writing.run(tasks)
                    writing.result.id = action.id if action.files else None
                return writing.result
            finally:
                self._taken({task.number for task in tasks}, touched)

    def mark(self, numbers: Iterable[int], stars: int | None = None, excluded: bool | None = None,
             note: str | None = None, expected: Mapping[int, str] | None = None) -> list[int]:
        """Mark pictures; None leaves a mark as it is. `expected` are the notes that the person saw: where another is
        found, the picture isn't marked. Tells the numbers that were. FileError or OSError if it can't be noted."""
        with self._lock:
            names = {self._name(self.entries[number].path): number for number in numbers}
            notes = {self._name(self.entries[number].path): text for number, text in (expected or {}).items()}
            done = marks.change(self.root, names, marks.Change(stars, excluded, note), notes)
            self._reflagged(self._flags())
            return [names[name] for name in done.marked]

    def undo(self, id: str | None = None) -> Outcome:
        """Put back what was there before an action of the journal, any program's; None: the newest that isn't undone.
        What was changed since is kept. JournalError where that can't be done now."""
        with self._lock:
            try:
                return self.journal.undo(id)
            finally:
                self._refresh(settled=True)

    def redo(self, id: str | None = None) -> Outcome:
        """Do again what was undone; None: what was undone last, if nothing else was done since."""
        with self._lock:
            if id is None and not self._redoable():
                return Outcome()
            try:
                return self.journal.redo(id)
            finally:
                self._refresh(settled=True)

    def history(self) -> list[journal.Entry]:
        """Every action of the journal, newest first."""
        return self.journal.history()

    def versions(self, number: int) -> list[Version]:
        """The captions that a picture had, newest first; to go back to one, write it."""
        return self._history.versions(self._name(self.entries[number].path))

    def read_as(self, separator: str, prose: bool | None) -> None:
        """Take captions for tags between these separators, for prose (True), or guess (None)."""
        with self._lock:
            self.separator, self.prose = separator, prose
            self._reflagged(range(len(self.entries)))

    def close(self) -> None:
        """Remember what makes the next opening quicker. The album can still be used."""
        with self._lock:
            self._sizes.save()

    # What is on the disk

    def _scan(self) -> list[int]:
        """Look for pictures everywhere, and tell which entries are new, changed or gone."""
        self._watch.begin()
        work = _Walk(self.extension, self._sizes, self._watch)
        found: dict[str, tuple[Item, Path]] = {}
        for folder in folders(self.root):
            first, count = len(work.items), len(work.finders)
            work.add(folder)
            for item in work.items[first:]:
                found[self._name(item.path)] = (item, work.finders[count].root)
        self._problems = [problem for problem in work.problems if problem.kind != "no caption"]
        changes = {}
        for name, (item, root) in found.items():
            number = self._number(name)
            self._finders[number] = root
            source = item.caption_from
            changes[number] = self._entry(name, item, item.caption if source else "", source)
        for name, number in self._numbers.items():
            if name not in found:
                old = self.entries[number]
                changes[number] = replace(old, text="", tags=(), prose=False, source=None, gone=True)
        return self._replace(changes)

    def _number(self, name: str) -> int:
        number = self._numbers.setdefault(name, len(self._numbers))
        if number == len(self._finders):
            self._finders.append(self.root)
            key = self._history.key(name)
            self._keys[key].append(number)
            self._folders[key.rpartition("/")[0]].append(number)
        return number

    def _entry(self, name: str, item: Item | Entry, text: str, source: Path | None) -> Entry:
        """The entry of a picture with this caption, and what is known now of its marks and edits."""
        prose = words.is_prose(text, self.separator) if self.prose is None else self.prose
        mark = self._marks.get(name, marks.NONE)
        return Entry(item.path, item.width, item.height, text, words.split(text, self.separator, prose), prose,
                     name.rpartition("/")[0], source, mark.stars, mark.excluded, mark.note,
                     self._history.key(name) in self._edited, item.regularisation, item.repeats, self.revision + 1)

    def _reflagged(self, numbers: Iterable[int]) -> list[int]:
        """Show these entries anew, from what is known now."""
        entries = ((number, self.entries[number]) for number in numbers)
        return self._replace({number: self._entry(self._name(entry.path), entry, entry.text, entry.source)
                              for number, entry in entries if not entry.gone})

    def _refresh(self, settled: bool = False) -> list[int]:
        stale, flagged = self._watch.look(settled), self._flags()
        if stale is None:
            return sorted({*self._reflagged(flagged), *self._scan()})
        return self._reread(self._concerned(set(map(self._name, stale))), flagged)

    def _concerned(self, files: set[str]) -> set[int]:
        """Whose captions may be in these files, given below the root: of the same stem, or all below a table."""
        found = {number for file in files for number in self._keys.get(self._history.key(file), ())}
        for above in {file.rpartition("/")[0] for file in files if file.rpartition("/")[2] in TABLES}:
            for folder, numbers in self._folders.items():
                if not above or folder == above or folder.startswith(above + "/"):
                    found.update(numbers)
        return found

    def _reread(self, numbers: Collection[int], flagged: Collection[int] = ()) -> list[int]:
        """Read the captions of these pictures again, and tell which entries are other ones; also of those that have
        other marks."""
        finders = self._finders_of(numbers)
        changes, read = {}, set[Path]()
        for number in sorted({*numbers, *flagged}):
            entry = self.entries[number]
            if entry.gone:
                continue
            text, source = entry.text, entry.source
            if number in numbers:
                finder = finders[self._finders[number]]
                caption = finder.find(entry.path)
                text, source = (caption.text, caption.source) if caption else ("", None)
                if self._problems:
                    read.update(finder.sidecars(entry.path))
            changes[number] = self._entry(self._name(entry.path), entry, text, source)
        fresh = [problem for finder in finders.values() for problem in finder.problems]
        read.update(problem.path for problem in fresh)
        self._problems = [problem for problem in self._problems if problem.path not in read] + fresh
        return self._replace(changes)

    def _finders_of(self, numbers: Collection[int]) -> dict[Path, CaptionFinder]:
        """For each folder up to which captions are looked for: one that looks at the disk as it is now."""
        kind = CaptionFinder if len(numbers) > FEW else _Probing
        found = {root: kind(root, self.extension) for root in {self._finders[number] for number in numbers}}
        odd = {} if kind is CaptionFinder else self._watch.capitals()
        for finder in found.values() if odd else ():
            finder.known = odd
        return found

    def _replace(self, changes: dict[int, Entry]) -> list[int]:
        """Show other entries; tells which are not what they were."""
        old, revision = self.entries, self.revision + 1
        entries, changed = list(old), []
        for number, entry in sorted(changes.items()):
            if number < len(old) and entry == old[number]:
                continue
            changed.append(number)
            entries[number : number + 1] = [entry if entry.revision == revision else replace(entry, revision=revision)]
        if changed:
            few = len(changed) * 4 < len(entries)
            index = _reindexed(self.index, old, entries, changed) if few else _index(entries)
            self._view = View(entries, index, revision)
        return changed

    def _name(self, path: Path) -> str:
        """Of a file or folder below the root: its path from there, with forward slashes."""
        return str(path)[self._above :].replace(os.sep, "/")

    # What is written

    def _tasks(self, texts: Mapping[int, str], expected: Mapping[int, str]) -> tuple[list[Task], list[Problem]]:
        finders = self._finders_of(texts)
        tasks, lost, habits = [], [], self._habits() if any(not expected[number] for number in texts) else {}
        for number in sorted(texts):
            entry = self.entries[number]
            if entry.gone:
                lost.append(Problem(entry.path, "the picture isn't there any more", "put it back, or leave it"))
                continue
            tasks.append(Task(number, entry.path, finders[self._finders[number]], habits.get(entry.folder, ""),
                              texts[number], expected[number]))
        return tasks, lost

    def _habits(self) -> dict[str, str]:
        """For each folder whose captions are mostly in a table: which sort of table."""
        counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for entry in self.entries:
            if entry.source:
                counts[entry.folder][entry.source.name if entry.source.name in TABLES else ""] += 1
        return {folder: max(found, key=found.__getitem__) for folder, found in counts.items()}

    def _taken(self, numbers: set[int], touched: set[Path]) -> None:
        """See what was written, as if anybody had written it."""
        for file in touched:
            self._watch.wrote(file)
        flagged = self._flags()
        self._reread(numbers | self._concerned(set(map(self._name, touched))), flagged)

    def _redoable(self) -> bool:
        records = self.journal.history()
        undone = [record for record in records if record.state == "undone"]
        newest = max((record.time for record in records if record.state != "undone"), default=0.0)
        return bool(undone) and newest <= max(record.moved for record in undone)

    # What is marked

    def _flags(self) -> set[int]:
        """Read the marks, and which pictures were edited, if that has changed; tells whose have."""
        before, edited, stamp = self._marks, self._edited, stamp_of(marks.place(self.root))
        self._edited = self._history.edited()
        if stamp is None or stamp != self._marks_stamp:
            self._read_marks(stamp)
        if self._edited is edited and self._marks is before:
            return set()
        found = {number for key in edited ^ self._edited for number in self._keys.get(key, ())}
        names = {name for name in {*before, *self._marks} if before.get(name) != self._marks.get(name)}
        return found | {number for name in names if (number := self._numbers.get(name)) is not None}

    def _read_marks(self, stamp: Stamp) -> None:
        self._marks_stamp, self._marks_problem = stamp, []
        try:
            self._marks = marks.read(self.root)
        except FileError as error:
            self._marks_problem = [Problem(error.path, error.reason, error.fix, used=True)]


class _Walk(Scan):
    """A scan that tells the watch what was in the folders before anything was read."""

    def __init__(self, extension: str, sizes: Sizes, watch: Watch):
        super().__init__(extension, sizes.header, everything=True)
        self.watch = watch

    def listed(self, folder: Path, entries: list[os.DirEntry[str]]) -> None:
        self.watch.saw(str(folder), entries)


class _Probing(CaptionFinder):
    """Finds the captions of a few pictures without listing their folders, which takes a while with 50,000 in them.
    Extensions in capitals are found as far as they are known."""

    known: Mapping[str, str] = {}  # path of a caption file with its extension in lower case -> as it is written

    def _listing(self, folder: str) -> _Probe:
        return _Probe(folder, self.known)


class _Probe:
    """Names in a folder, asked one by one."""

    def __init__(self, folder: str, known: Mapping[str, str]):
        self.folder, self.known = folder, known

    def get(self, name: str) -> str | None:
        path = os.path.join(self.folder, name)
        if os.path.lexists(path):
            return name
        odd = self.known.get(path)
        return os.path.basename(odd) if odd and os.path.lexists(odd) else None

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would look through everything again and again as an album grows: a third of
    the time of opening a large one."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _index(entries: list[Entry]) -> dict[str, frozenset[int]]:
    spelt: dict[str, list[int]] = defaultdict(list)
    for number, entry in enumerate(entries):
        for tag in entry.tags:
            spelt[tag].append(number)
    found: dict[str, set[int]] = defaultdict(set)
    for tag, numbers in spelt.items():
        found[words.key(tag)].update(numbers)
    return {tag: frozenset(numbers) for tag, numbers in found.items()}


def _reindexed(index: dict[str, frozenset[int]], old: list[Entry], new: list[Entry],
               changed: Iterable[int]) -> dict[str, frozenset[int]]:
    """The index after some entries have changed; only what concerns them is made anew."""
    added, taken = defaultdict(set), defaultdict(set)
    for number in changed:
        before = words.keys(old[number].tags) if number < len(old) else set()
        after = words.keys(new[number].tags)
        for tag in before - after:
            taken[tag].add(number)
        for tag in after - before:
            added[tag].add(number)
    result = dict(index)
    for tag in {*added, *taken}:
        numbers = (result.get(tag, frozenset()) - taken.get(tag, set())) | added.get(tag, set())
        if numbers:
            result[tag] = numbers
        else:
            result.pop(tag, None)
    return result
