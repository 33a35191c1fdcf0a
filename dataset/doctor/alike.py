"""Which of many pictures are copies of each other, by what was seen of them, and which of the copies to keep.

Kept is the one with the most pixels that isn't blurred beside the others; of several one with a caption, then the
largest file. No finer order by sharpness: the blocks of a poor JPEG look sharp.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from dataset.doctor.hashes import Prints, groups
from dataset.doctor.look import Look

BLURRED = 0.5  # of the sharpest of the same size


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture, as far as its copies go."""

    look: Look
    pixels: int
    captioned: bool


class Copies:
    """Groups of pictures, by the caller's numbers; of each group the one to keep comes first, the others in order."""

    def __init__(self, shown: Mapping[int, Shown]):
        self._shown = shown

    @cached_property
    def same(self) -> list[list[int]]:
        """The same pixels, whatever else the files hold."""
        return [self.ranked(group) for group in self._equal if len(group) > 1]

    @cached_property
    def near(self) -> list[list[int]]:
        """Nearly the same; of those that are the same only the one to keep."""
        return [self.ranked(group) for group in self._close]

    @cached_property
    def mirrored(self) -> list[list[int]]:
        """Mirrored left to right. Of nearly the same one is enough: symmetrical ones mirror each other."""
        spare = set(chain.from_iterable(group[1:] for group in self.near))
        numbers = [number for number in self._different if number not in spare]
        others = Prints.of([self._shown[number].look.mirrored for number in numbers])
        found = groups(self._prints(numbers), others)
        return [self.ranked([numbers[place] for place in group]) for group in found]

    def ranked(self, group: Sequence[int]) -> list[int]:
        """The one to keep first; of pictures that nothing is known of the first."""
        known = [number for number in group if number in self._shown]
        best = self.best(known) if known else min(group)
        return [best, *sorted(number for number in group if number != best)]

    def best(self, numbers: Sequence[int]) -> int:
        """The one to keep."""
        most = max(self._shown[number].pixels for number in numbers)
        largest = [number for number in numbers if self._shown[number].pixels == most]
        sharpest = max(self._shown[number].look.quality.sharpness for number in largest)

        def worth(number: int) -> tuple[float, ...]:
            one = self._shown[number]
            return one.look.quality.sharpness >= BLURRED * sharpest, one.captioned, one.look.bytes

        return max(largest, key=worth)

    @cached_property
    def _equal(self) -> list[list[int]]:
        found: dict[str, list[int]] = {}
        for number, one in self._shown.items():
            found.setdefault(one.look.content, []).append(number)
        return list(found.values())

    @cached_property
    def _different(self) -> list[int]:
        """One of each picture, exact copies left aside."""
        return [self.best(group) for group in self._equal]

    @cached_property
    def _close(self) -> list[list[int]]:
        numbers = self._different
        return [[numbers[place] for place in group] for group in groups(self._prints(numbers))]

    def _prints(self, numbers: Iterable[int]) -> Prints:
        return Prints.of([self._shown[number].look.print for number in numbers])


def joined(groups: Iterable[Sequence[int]]) -> list[list[int]]:
    """Groups that have a picture in common as one."""
    of: dict[int, list[int]] = {}
    for group in groups:
        whole = list(dict.fromkeys(chain.from_iterable(of.get(number, [number]) for number in group)))
        of.update(dict.fromkeys(whole, whole))
    return list({id(group): group for group in of.values()}.values())
