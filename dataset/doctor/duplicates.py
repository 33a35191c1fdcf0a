"""Pictures that are there more than once: the same, nearly the same, or mirrored; and which of them to keep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dataset.doctor.alike import Copies, Shown
from dataset.doctor.check import Case, Finding, Subject, check, finding
from dataset.scan import Item

REPEATED = "The model sees such a picture so many times as often as the others, and learns it by heart."


@check
def exact(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "duplicates.exact", "warning", _cases(subject, copies(subject, subject.items).same, "the same pixels"),
        "{picture} there more than once", REPEATED,
        "Keep the one that is marked, and move the others out with their captions.")


@check
def near(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "duplicates.near", "warning", _cases(subject, copies(subject, subject.items).near, "nearly the same"),
        "{group} of nearly the same pictures",
        "Resized, recompressed or retouched copies and frames of one scene weigh as much as repeats do.",
        "Compare them; keep the one that is marked unless another is better, and move the others out.")


@check
def mirrored(subject: Subject) -> Iterator[Finding]:
    yield from finding(
        "duplicates.mirrored", "warning", _cases(subject, copies(subject, subject.items).mirrored, "mirrored"),
        "{group} of mirrored pictures",
        "A mirrored copy is a repeat too; lettering, partings and scars are then learnt on both sides.",
        'Keep the one that is right way round. To train mirrored on purpose, turn on "Mirror at random" instead.')


def copies(subject: Subject, items: Sequence[Item]) -> Copies:
    """By places in `items`."""
    return Copies({place: Shown(subject.looks[item.path], item.width * item.height, item.caption_from is not None)
                   for place, item in enumerate(items)})


def best_of(subject: Subject, items: Sequence[Item]) -> Item:
    """The one to keep."""
    return items[copies(subject, items).best(range(len(items)))]


def _cases(subject: Subject, groups: list[list[int]], detail: str) -> tuple[Case, ...]:
    cases = []
    for group in sorted(groups, key=lambda group: (-len(group), str(subject.items[min(group)].path))):
        items = [subject.items[place] for place in group]
        sizes = "" if len({(item.width, item.height) for item in items}) == 1 else ": " + ", ".join(
            f"{item.width:,} x {item.height:,}" for item in items)
        both = "; some are regularisation pictures" if len({item.regularisation for item in items}) == 2 else ""
        cases.append(Case(tuple(item.path for item in items), detail + sizes + both, items[0].path))
    return tuple(cases)
