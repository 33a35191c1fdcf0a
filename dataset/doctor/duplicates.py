"""Pictures that are there more than once: the same, nearly the same, or mirrored; and which of them to keep.

Suggested is the one with the most pixels that isn't blurred beside the others; of several one with a caption, then the
largest file. No finer order by sharpness: the blocks of a poor JPEG look sharp.
"""

from __future__ import annotations

from collections.abc import Iterator

from dataset.doctor.check import Case, Finding, Subject, check, finding
from dataset.doctor.hashes import Prints, groups
from dataset.scan import Item

BLURRED = 0.5  # of the sharpest of the same size
REPEATED = "The model sees such a picture so many times as often as the others, and learns it by heart."


@check
def exact(subject: Subject) -> Iterator[Finding]:
    same = [group for group in _same(subject) if len(group) > 1]
    yield from finding(
        "duplicates.exact", "warning", _cases(subject, same, "the same pixels"), "{picture} there more than once",
        REPEATED, "Keep the one that is marked, and move the others out with their captions.")


@check
def near(subject: Subject) -> Iterator[Finding]:
    items = _different(subject)
    alike = _grouped(items, groups(_prints(subject, items)))
    yield from finding(
        "duplicates.near", "warning", _cases(subject, alike, "nearly the same"), "{group} of nearly the same pictures",
        "Resized, recompressed or retouched copies and frames of one scene weigh as much as repeats do.",
        "Compare them; keep the one that is marked unless another is better, and move the others out.")


@check
def mirrored(subject: Subject) -> Iterator[Finding]:
    items = _different(subject)
    spare: set[int] = set()
    for group in groups(_prints(subject, items)):  # of which one is enough, and symmetrical ones mirror each other
        best = best_of(subject, [items[index] for index in group])
        spare |= {index for index in group if items[index] is not best}
    items = [item for index, item in enumerate(items) if index not in spare]
    others = Prints.of([subject.looks[item.path].mirrored for item in items])
    pairs = _grouped(items, groups(_prints(subject, items), others))
    yield from finding(
        "duplicates.mirrored", "warning", _cases(subject, pairs, "mirrored"), "{group} of mirrored pictures",
        "A mirrored copy is a repeat too; lettering, partings and scars are then learnt on both sides.",
        'Keep the one that is right way round. To train mirrored on purpose, turn on "Mirror at random" instead.')


def _same(subject: Subject) -> list[list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in subject.items:
        found.setdefault(subject.looks[item.path].content, []).append(item)
    return list(found.values())


def _different(subject: Subject) -> list[Item]:
    """One of each picture, exact copies left aside."""
    return [best_of(subject, group) for group in _same(subject)]


def best_of(subject: Subject, items: list[Item]) -> Item:
    most = max(item.width * item.height for item in items)
    largest = [item for item in items if item.width * item.height == most]
    sharpest = max(subject.looks[item.path].quality.sharpness for item in largest)

    def worth(item: Item) -> tuple[float, ...]:
        look = subject.looks[item.path]
        return look.quality.sharpness >= BLURRED * sharpest, item.caption_from is not None, look.bytes

    return max(largest, key=worth)


def _prints(subject: Subject, items: list[Item]) -> Prints:
    return Prints.of([subject.looks[item.path].print for item in items])


def _grouped(items: list[Item], groups: list[list[int]]) -> list[list[Item]]:
    return [[items[index] for index in group] for group in groups]


def _cases(subject: Subject, groups: list[list[Item]], detail: str) -> tuple[Case, ...]:
    cases = []
    for group in sorted(groups, key=lambda group: (-len(group), str(group[0].path))):
        best = best_of(subject, group)
        others = [item for item in group if item is not best]
        sizes = "" if len({(item.width, item.height) for item in group}) == 1 else ": " + ", ".join(
            f"{item.width:,} x {item.height:,}" for item in (best, *others))
        both = "; some are regularisation pictures" if len({item.regularisation for item in group}) == 2 else ""
        cases.append(Case(tuple(item.path for item in (best, *others)), detail + sizes + both, best.path))
    return tuple(cases)
