"""What a CLIP finds odd: captions that fit another picture better, pictures unlike the rest, and such that are alike.

Similarities mean nothing by themselves (a model's may lie between 0.1 and 0.3, and all pictures of one dog are alike),
so everything here is measured against the set: how far from what is usual in it. Nothing is told where the model can't
tell the set's own pictures apart. No model runs: it has looked before (`prepare check --clip`), or there is silence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dataset.doctor import duplicates
from dataset.doctor.check import Case, Finding, Subject, check, finding
from dataset.doctor.hashes import BITS, Print
from dataset.doctor.vectors import Pairs, pairs
from dataset.scan import Item

ENOUGH = 8  # pictures of which it can be said what is usual
KNOWS = 1.0  # spreads by which a picture's own caption usually fits better than the others, or the model is no judge
FAR = 3.0  # robust spreads below the usual that are told
BETTER = 1.5  # spreads by which another picture's caption fits better where this one's is called wrong
AHEAD = 2.0  # and how much more that is than where captions are right: of many alike one is always a little better
NEIGHBOURS = 3  # four pictures of something are part of what the set is about
LONELY = 4.5  # robust spreads of the logarithm of distances: they have a long tail
SAME, CLOSE = 0.93, 0.3  # similarity of two pictures of the same at least; share of the usual distance
COMPARED = 10_000  # pictures that each is compared with; of more, every so manieth
BLOCK = 512  # rows of the table of all pairs that are in memory at a time
TO_MAD = 1.4826  # from the median deviation to the standard deviation of a normal distribution
SHOWN = 60  # characters of a caption in a detail
WRONG = ("What such a caption names is learnt from a picture that doesn't show it, and what that shows is tied to the "
         "wrong words.")


@dataclass(frozen=True)
class Words:
    """How captions fit. Spreads are those of all captions for the same picture, so 0 is a caption taken at random."""

    own: np.ndarray  # float [n]: how many spreads the own caption fits better than one at random
    similarity: np.ndarray  # float [n]: cosine of picture and own caption
    better: np.ndarray  # int [n]: which picture's other caption fits best
    lead: np.ndarray  # float [n]: by how many spreads that fits better than the own one
    other: np.ndarray  # float [n]: its cosine


@dataclass(frozen=True)
class Company:
    """How pictures lie among each other."""

    near: np.ndarray  # float [n]: mean cosine with the nearest
    nearest: np.ndarray  # int [n]: which is the very nearest
    closest: np.ndarray  # float [n]: its cosine


@check
def compared(subject: Subject) -> Iterator[Finding]:
    items = subject.training
    files = [bytes.fromhex(subject.looks[item.path].sha256) for item in items]
    own = [item.caption if item.caption_from is not None else "" for item in items]  # class words fit all alike
    known = pairs(files, own)
    if known is None:
        return
    seen = [items[number] for number in known.which]
    yield from _captions(known, seen)
    yield from _pictures(subject, known, seen)


def _captions(known: Pairs, seen: list[Item]) -> Iterator[Finding]:
    with_words = np.flatnonzero(known.captions.any(axis=1))
    items = [seen[number] for number in with_words]
    texts = {item.caption for item in items}
    if len(texts) < ENOUGH:
        return
    words = fitting(known.pictures[with_words], known.captions[with_words], [item.caption for item in items])
    # Quarters, not medians: half of the captions may be in the wrong places, and are told then as well.
    good, ahead = float(np.quantile(words.own, 0.75)), float(np.quantile(words.lead, 0.25))
    if good < KNOWS:
        return
    wrong = (words.own < good / 2) & (words.lead > max(BETTER, ahead + AHEAD))
    below = words.own < np.median(words.own) - FAR * _upper(words.own)
    order = np.argsort(words.own, kind="stable")
    pairs = _swapped(words, wrong)
    yield from finding(
        "meaning.swapped", "warning", (_swap(items, words, number, other) for number, other in pairs.items()),
        "{pair} of pictures whose captions may be swapped", WRONG,
        f"Look at each pair, and swap the captions where they are. By {known.model.name}, which can be mistaken.")
    paired = {*pairs, *pairs.values()}
    yield from finding(
        "meaning.captions", "warning",
        (_mistaken(items, words, number) for number in order if wrong[number] and number not in paired),
        "{caption} that fit another picture better", WRONG,
        f"Look at each: was it written for another picture? By {known.model.name}, which can be mistaken.")
    yield from finding(
        "meaning.unfit", "note",
        (Case((items[number].path,), f"similarity {words.similarity[number]:.3f}, the set's median "
                                     f"{np.median(words.similarity):.3f}: \"{_short(items[number].caption)}\"")
         for number in order if below[number] and not wrong[number]),
        "{caption} that fit far less than the others",
        "They may name what can't be seen or leave out what can, and then teach little or something wrong.",
        f"Look at them, the least fitting first. By {known.model.name}, which can be mistaken.")


def fitting(pictures: np.ndarray, captions: np.ndarray, texts: list[str]) -> Words:
    """Vectors [n, width] of pictures and of their captions, each of length 1; the same text counts as the same."""
    places: dict[str, int] = {}
    for number, text in enumerate(texts):
        places.setdefault(text, number)
    first = np.array(list(places.values()))
    numbers = {text: number for number, text in enumerate(places)}
    which = np.array([numbers[text] for text in texts])
    each = captions[first]
    # What all pictures and all captions have in common says nothing; without it the mean of every row is 0.
    apart = each - each.mean(axis=0)
    seen = pictures - pictures.mean(axis=0)
    own, lead, other = (np.zeros(len(texts)) for _ in range(3))
    better = np.zeros(len(texts), int)
    for start in range(0, len(texts), BLOCK):
        rows = slice(start, start + BLOCK)
        table = seen[rows] @ apart.T
        place = np.arange(len(table))
        spread = np.maximum(table.std(axis=1), 1e-9)
        mine = table[place, which[rows]].copy()
        table[place, which[rows]] = -np.inf
        best = table.argmax(axis=1)
        own[rows], lead[rows] = mine / spread, (table[place, best] - mine) / spread
        better[rows] = first[best]
        other[rows] = (pictures[rows] * each[best]).sum(axis=1)
    return Words(own, (pictures * captions).sum(axis=1), better, lead, other)


def _swapped(words: Words, wrong: np.ndarray) -> dict[int, int]:
    """Pictures whose captions are both wrong, and each of which fits the other one best; the least fitting first."""
    found: dict[int, int] = {}
    for number in np.argsort(words.own, kind="stable").tolist():
        other = int(words.better[number])
        if wrong[number] and wrong[other] and int(words.better[other]) == number and other not in found:
            found[number] = other
    return found


def _swap(items: list[Item], words: Words, number: int, other: int) -> Case:
    said = (f"\"{_short(items[one].caption)}\" fits its own picture {words.similarity[one]:.3f} and the other "
            f"{words.other[two]:.3f}" for one, two in ((number, other), (other, number)))
    return Case((items[number].path, items[other].path), "; ".join(said))


def _mistaken(items: list[Item], words: Words, number: int) -> Case:
    other = items[int(words.better[number])]
    return Case((items[number].path,),
                f"its caption \"{_short(items[number].caption)}\" fits {words.similarity[number]:.3f}, that of "
                f"{other.path.name}, \"{_short(other.caption)}\", {words.other[number]:.3f}")


def _pictures(subject: Subject, known: Pairs, seen: list[Item]) -> Iterator[Finding]:
    if len(seen) < ENOUGH:
        return
    company = among(known.pictures)
    usual, far = float(np.median(company.near)), np.log(np.maximum(1 - company.near, 1e-4))
    lonely = far > np.median(far) + LONELY * _deviation(far)
    order = np.argsort(company.near, kind="stable")
    yield from finding(
        "meaning.outliers", "warning",
        (Case((seen[number].path,), f"similarity to the most similar ones {company.near[number]:.3f}, in this set "
                                    f"usually {usual:.3f}")
         for number in order if lonely[number]),
        "{picture} unlike all the others",
        "Another subject or style in the set is learnt along with yours, and the trigger word calls it up, too.",
        f"Look at them: leave out what doesn't belong, or find more like it. By {known.model.name}.")
    yield from finding(
        "meaning.alike", "note", _alike(subject, seen, company, known.pictures),
        "{pair} of pictures that show nearly the same",
        "They are not copies, but teach the same again: the set has less variety than its number says.",
        f"Keep both if they differ in what matters to you; else the one that is marked. By {known.model.name}.")


def among(pictures: np.ndarray) -> Company:
    """Vectors [n, width] of length 1."""
    count = len(pictures)
    step = -(-count // COMPARED)
    others = pictures[::step]
    few = min(NEIGHBOURS, max(2, count // 4), len(others) - 1)
    near, closest = np.zeros(count), np.zeros(count)
    nearest = np.zeros(count, int)
    for start in range(0, count, BLOCK):
        table = pictures[start : start + BLOCK] @ others.T
        place = np.arange(start, min(start + BLOCK, count))
        itself = place % step == 0
        table[np.flatnonzero(itself), place[itself] // step] = -np.inf
        best = table.argmax(axis=1)
        nearest[place], closest[place] = best * step, table[np.arange(len(table)), best]
        near[place] = np.partition(table, -few, axis=1)[:, -few:].mean(axis=1)
    return Company(near, nearest, closest)


def _alike(subject: Subject, seen: list[Item], company: Company, pictures: np.ndarray) -> Iterator[Case]:
    """Pairs that are each other's nearest or nearly so, and far nearer than is usual; the most alike first."""
    usual = 1 - float(np.median(company.closest))
    least = max(SAME, 1 - CLOSE * usual)
    told = set()
    for number in np.argsort(-company.closest, kind="stable"):
        if company.closest[number] < least:
            return
        pair = tuple(sorted((int(number), int(company.nearest[number]))))
        items = [seen[one] for one in pair]
        if pair not in told and not _copies(subject, *items):
            told.add(pair)
            best = duplicates.best_of(subject, items)
            yield Case(tuple(item.path for item in items), f"similarity {company.closest[number]:.3f}", best.path)


def _copies(subject: Subject, one: Item, other: Item) -> bool:
    """Whether the two are told among the duplicates."""
    first, second = subject.looks[one.path], subject.looks[other.path]
    return first.content == second.content or any(
        _bits(first.print, print) <= BITS for print in (second.print, second.mirrored))


def _bits(one: Print, other: Print) -> int:
    return (one.phash ^ other.phash).bit_count() + (one.dhash ^ other.dhash).bit_count()


def _deviation(values: np.ndarray) -> float:
    """Robust: what a standard deviation would be without the odd ones."""
    return TO_MAD * float(np.median(np.abs(values - np.median(values))))


def _upper(values: np.ndarray) -> float:
    """The same from the better half alone, so that many bad ones don't hide each other."""
    middle = np.median(values)
    return TO_MAD * float(np.median(values[values >= middle] - middle))


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1].rstrip() + "…"
