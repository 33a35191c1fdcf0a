"""What can be done with a click about a finding: each fix is one function, found by the finding's name.

A fix gets the cases that a person has chosen and gives steps; nothing is changed before they are applied. It looks at
the files as they are now, so what is mended already gives no step, and a fix that is done twice is done once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from dataset import pictures
from dataset.bin import Companions
from dataset.caption_tables import TABLES_BY_NAME
from dataset.captions import MAX_TABLE_BYTES, CaptionFinder
from dataset.doctor.captions import has_trigger
from dataset.doctor.check import NOTHING, Aim, Case
from dataset.doctor.drafts import Drafts, clean
from dataset.doctor.files import EXTENSIONS
from dataset.doctor.steps import Exclude, Flatten, Plan, Rename, Step, ToBin, Write
from dataset.editor import edits, marks, words
from dataset.files import FileError, content
from dataset.pictures import PictureError
from dataset.problem import Problem, counted
from settings.errors import SettingsError

Made = Iterator[Step | Problem]
READ = "as many as are read"  # for a choice of how many tokens stay


@dataclass(frozen=True)
class Option:
    """What a person may choose about a fix."""

    name: str
    label: str
    choices: tuple[str, ...]  # the first one is the usual


@dataclass(frozen=True)
class Ground:
    """What a fix may know, beside its cases. `root` is the folder that was examined."""

    root: Path
    caption_extension: str = ".txt"
    aim: Aim = NOTHING
    keep: frozenset[Path] = frozenset()  # of duplicates: what a person wants to keep, rather than what is suggested
    options: Mapping[str, str] = field(default_factory=dict)
    companions: Companions = field(default_factory=Companions)

    def kept(self, case: Case) -> set[Path]:
        """Which of a group stay."""
        chosen = self.keep.intersection(case.paths)
        return set(chosen) if chosen else {case.keep or case.paths[0]}


@dataclass(frozen=True)
class Fix:
    """`label` is what its button says, `done` what the history says of it."""

    how: str
    label: str
    done: str
    names: tuple[str, ...]  # of findings, with * for anything
    steps: Callable[[Ground, list[Case]], Made]
    but: tuple[str, ...] = ()
    all: bool = True  # whether it is usually wanted for every case; else a person looks at each
    options: tuple[Option, ...] = ()

    def fits(self, finding: str) -> bool:
        return any(fnmatchcase(finding, name) for name in self.names) and not any(
            fnmatchcase(finding, name) for name in self.but)

    def plan(self, ground: Ground, cases: Iterable[Case]) -> Plan:
        """What it would do. SettingsError for an option that it hasn't, or a choice that the option hasn't."""
        chosen = {option.name: option.choices[0] for option in self.options}
        for name, value in ground.options.items():
            option = next((option for option in self.options if option.name == name), None)
            if option is None or value not in option.choices:
                known = "; ".join(f"{one.name}: {', '.join(one.choices)}" for one in self.options)
                raise SettingsError({"options": f"no choice of this fix: {name}={value}; known are {known or 'none'}"})
            chosen[name] = value
        cases = list(cases)
        ground = Ground(ground.root, ground.caption_extension, ground.aim, ground.keep, chosen)
        return Plan.of(f"{self.done}: {counted(len(cases), 'case')}", self.steps(ground, cases))


FIXES: list[Fix] = []


def fixes(finding: str) -> list[Fix]:
    """What can be done about a finding, the usual first."""
    return [fix for fix in FIXES if fix.fits(finding)]


def fix_of(finding: str, how: str = "") -> Fix:
    """One of them; the usual one for "". SettingsError where there is none."""
    known = fixes(finding)
    found = next((fix for fix in known if how in ("", fix.how)), None)
    if found is None:
        ways = f"; known are {', '.join(fix.how for fix in known)}" if known else ""
        raise SettingsError({"how" if known else "fix": f"nothing can be done by itself about {finding!r}"
                             f"{f' by {how!r}' if how else ''}{ways}"})
    return found


def fix(how: str, label: str, done: str, *names: str, **more: object) -> Callable[[Callable], Callable]:
    """Marks a function as a fix of these findings."""
    def registered(function: Callable[[Ground, list[Case]], Made]) -> Callable:
        FIXES.append(Fix(how, label, done, names, function, **more))
        return function

    return registered


@fix("clean", "Write them on one line", "Captions on one line", "captions.lines",
     options=(Option("lines", "Of several lines", ("join all", "keep the first")),))
def one_line(ground: Ground, cases: list[Case]) -> Made:
    drafts = Drafts(ground.root, ground.caption_extension)
    for file in _files(cases):
        yield from drafts.clean(file, first=ground.options["lines"] == "keep the first")


@fix("clean", "Save them as UTF-8", "Captions saved as UTF-8", "captions.encoding",
     options=(Option("encoding", "They were written as", ("as guessed", "cp1252", "cp1250", "cp1251", "shift_jis",
                                                          "gb18030", "euc_kr", "big5")),))
def as_utf8(ground: Ground, cases: list[Case]) -> Made:
    """Only where it isn't UTF-8: the encoding is chosen for the files of the finding, not for those mended since."""
    encoding = ground.options["encoding"]
    drafts = Drafts(ground.root, ground.caption_extension)
    for file in _files(cases):
        yield from drafts.clean(file, encoding="" if encoding == "as guessed" else encoding, foreign=True)


@fix("delete", "Delete the empty files", "Empty caption files deleted", "captions.empty")
def without_empty(ground: Ground, cases: list[Case]) -> Made:
    for file in _files(cases):
        data = content(file)
        if data is not None and not clean(data):
            yield Write(file, file, data, None)


@fix("trigger", "Add the trigger word", "Trigger word added", "captions.trigger")
def with_trigger(ground: Ground, cases: list[Case]) -> Made:
    if not ground.aim.trigger.strip():
        raise SettingsError({"trigger": "say which word"})
    front = edits.Prefix(text=ground.aim.trigger)
    yield from _edited(ground, cases, lambda caption: (
        caption.text if has_trigger(caption.text, ground.aim.trigger) else front.apply(caption)))


@fix("truncate", "Cut them off", "Captions cut off", "captions.long",
     options=(Option("tokens", "Tokens that stay", (READ, "75", "150", "225")),))
def truncated(ground: Ground, cases: list[Case]) -> Made:
    reader, wanted = ground.aim.reader, ground.options["tokens"]
    most = reader.limit if wanted == READ else int(wanted)
    yield from _edited(ground, cases, edits.Truncate(tokens=most, encoder=reader.encoder).apply)


@fix("remove", "Take these tags out", "Common tags taken out", "captions.common", all=False)
def without_tags(ground: Ground, cases: list[Case]) -> Made:
    """From every caption; one that is nothing else keeps it, because a caption is not to be empty."""
    gone = words.keys(case.about for case in cases)

    def shorter(caption: edits.Caption) -> str:
        return caption.with_tags(tag for tag in caption.tags if words.key(tag) not in gone) or caption.text

    drafts = Drafts(ground.root, ground.caption_extension)
    yield from drafts.edit(drafts.pictures(), shorter)


@fix("rename", "Rename them", "Extensions put right", "files.misnamed")
def with_right_extension(ground: Ground, cases: list[Case]) -> Made:
    renamed = []
    for picture in _pictures(cases):
        try:
            known = EXTENSIONS.get(pictures.header(picture).format, ())
        except PictureError as error:
            yield Problem(picture, error.reason, error.fix)
            continue
        if known and picture.suffix.lower() not in known:
            to = picture.with_suffix(known[0])
            if os.path.lexists(to) and not os.path.samefile(to, picture):
                yield Problem(picture, f"there is a {to.name} already", "rename one of the two first")
                continue
            renamed.append((picture, to))
            yield Rename(picture, to)
    yield from _rows_renamed(ground, renamed)


@fix("rename", "Give each its own name", "Equal names told apart", "files.same_name")
def with_own_names(ground: Ground, cases: list[Case]) -> Made:
    """The first keeps its name. The others get a number behind it, and a copy of the caption that they shared."""
    renamed, taken = [], set()
    drafts = Drafts(ground.root, ground.caption_extension)
    for case in cases:
        there = [path for path in case.paths if os.path.lexists(path)]
        for picture in there[1:]:
            to = _free(picture, taken)
            renamed.append((picture, to))
            yield Rename(picture, to)
            yield from drafts.copied(picture, to)
    yield from _rows_renamed(ground, renamed)


@fix("bin", "Move the others to the bin", "Others to the bin", "meaning.alike", all=False)
@fix("bin", "Move the others to the bin", "Others to the bin", "duplicates.*", "files.same_name")
def others_to_bin(ground: Ground, cases: list[Case]) -> Made:
    others, problems = _others(ground, cases)
    yield from problems
    yield from _binned(ground, others)


@fix("exclude", "Leave the others out of training", "Others left out of training", "meaning.alike", all=False)
@fix("exclude", "Leave the others out of training", "Others left out of training", "duplicates.*",
     "files.same_name")
def others_excluded(ground: Ground, cases: list[Case]) -> Made:
    others, problems = _others(ground, cases)
    yield from problems
    yield from _excluded(ground, others)


@fix("flatten", "Make a flat copy", "Flat copies made", "files.animated", "files.transparent")
def flat(ground: Ground, cases: list[Case]) -> Made:
    """A PNG of what is trained on now: the first frame, on white. The original goes to the bin."""
    renamed = []
    for picture in _pictures(cases):
        to = picture.with_suffix(".png")
        if to != picture and os.path.lexists(to):
            yield Problem(picture, f"there is a {to.name} already", "rename one of the two first")
        elif _is_layered(picture):
            renamed.append((picture, to))
            yield Flatten(picture, to)
    yield from _rows_renamed(ground, [(old, new) for old, new in renamed if old != new])


@fix("include", "Train on them again", "Included again", "files.excluded", all=False)
def included(ground: Ground, cases: list[Case]) -> Made:
    yield from _excluded(ground, _pictures(cases), excluded=False)


@fix("swap", "Swap their captions", "Captions swapped", "meaning.swapped", all=False)
def swapped(ground: Ground, cases: list[Case]) -> Made:
    """Each gets the other's, as they are now."""
    finder = CaptionFinder(ground.root, ground.caption_extension)
    both, texts = [], []
    for pair in (case.paths for case in cases):
        captions = [finder.find(path) if path.is_file() else None for path in pair]
        if all(captions) and not set(pair) & set(both):
            both += pair
            texts += [caption.text for caption in reversed(captions) if caption]
    waiting = iter(texts)  # each picture's caption is asked for once, in their order
    yield from Drafts(ground.root, ground.caption_extension).edit(both, lambda _: next(waiting))


# What any other finding about pictures can be answered with, also those of checks that are yet to be written
SPECIAL = ("duplicates.*", "files.same_name", "files.excluded", "files.turned", "files.empty", "files.remarks",
           "captions.lines", "captions.empty", "captions.encoding", "captions.trigger", "captions.common",
           "meaning.swapped", "meaning.alike")


@fix("exclude", "Leave them out of training", "Left out of training", "*", all=False,
     but=(*SPECIAL, "files.left_out"))
def excluded(ground: Ground, cases: list[Case]) -> Made:
    yield from _excluded(ground, _pictures(cases))


@fix("bin", "Move them to the bin", "Moved to the bin", "*", all=False, but=SPECIAL)
def to_bin(ground: Ground, cases: list[Case]) -> Made:
    yield from _binned(ground, _files(cases))


def _binned(ground: Ground, paths: Iterable[Path]) -> Made:
    for path in dict.fromkeys(paths):
        if path.is_symlink() or path.is_file():
            yield ToBin(path, tuple(ground.companions.taken_with(path)))
        elif path.exists():
            yield Problem(path, "it is a folder", "move it away yourself, if you want to")


def _others(ground: Ground, cases: list[Case]) -> tuple[list[Path], list[Problem]]:
    """Of groups of duplicates those that aren't kept, as long as one that is kept is there."""
    others, problems = [], []
    for case in cases:
        kept = ground.kept(case)
        if any(path.is_file() for path in kept):
            others += [path for path in case.paths if path not in kept]
        else:
            problems.append(Problem(case.paths[0], "the one to keep isn't there any more", "examine the folder again"))
    return others, problems


def _excluded(ground: Ground, paths: Iterable[Path], excluded: bool = True) -> Made:
    known = marks.read(ground.root)
    for path in dict.fromkeys(paths):
        name = path.relative_to(ground.root).as_posix()
        if path.is_file() and known.get(name, marks.NONE).excluded != excluded:
            yield Exclude(path, excluded)


def _edited(ground: Ground, cases: list[Case], change: Callable[[edits.Caption], str]) -> Made:
    yield from Drafts(ground.root, ground.caption_extension).edit(_pictures(cases), change)


def _files(cases: list[Case]) -> dict[Path, None]:
    """Each once: a table may have several cases."""
    return dict.fromkeys(path for case in cases for path in case.paths)


def _pictures(cases: list[Case]) -> list[Path]:
    """Those of the cases that are there."""
    return [path for path in _files(cases) if path.is_file()]


def _is_layered(picture: Path) -> bool:
    try:
        found = pictures.decoded(picture)
    except PictureError:
        return False
    return found.animated or found.transparent


def _free(picture: Path, taken: set[Path]) -> Path:
    """A name for a picture that nothing in its folder begins with."""
    names = {path.stem.casefold() for path in (*picture.parent.iterdir(), *taken) if path.parent == picture.parent}
    number = 2
    while f"{picture.stem}_{number}".casefold() in names:
        number += 1
    to = picture.with_name(f"{picture.stem}_{number}{picture.suffix}")
    taken.add(to)
    return to


def _rows_renamed(ground: Ground, renamed: list[tuple[Path, Path]]) -> Made:
    """Tables of captions name pictures, some with their extensions."""
    folders = dict.fromkeys(folder for old, _ in renamed for folder in old.parents
                            if folder.is_relative_to(ground.root))
    for folder in folders:
        for name, kind in TABLES_BY_NAME.items():
            data = content(folder / name, limit=MAX_TABLE_BYTES) if (folder / name).is_file() else None
            if data is None:
                continue
            try:
                table = kind(folder / name, data)
                below = [pair for pair in renamed if pair[0].is_relative_to(folder)]
                if any([table.rename(old, new) for old, new in below]):
                    yield Write(folder / name, folder / name, data, table.bytes())
            except FileError as error:
                yield Problem(error.path, error.reason, error.fix)
