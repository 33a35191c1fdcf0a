"""How long each kind of filter takes over many captions, and a preview of each bulk edit; by processor time.

    python -m benchmarks.filters [--pictures 10000] [--tags 20] [--rounds 5]

The captions are made up: tags of one to three words out of some thousands, as taggers write them. A filter is timed as
when it is typed for the first time; a pattern that is asked again costs less, because what it found is remembered.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from dataset import tokens
from dataset.editor import patterns, words
from dataset.editor.album import Entry
from dataset.editor.edits import EDITS, preview
from dataset.editor.filter import parse
from settings.errors import check

WORDS = "long short red blue dark hair eyes dress hat looking at viewer smile sky tree cat dog night street".split()
FILTERS = [
    "tag:long_hair", "tag:*hair*", "tag:/hair \\d+$/i", "cat", "hair*night", "?at", "/blue.*(cat|dog)/i",
    "/(cat|dog) 1/", "/\\bsky\\b/i", "caption:tree", "untagged", "uncaptioned", "edited", "excluded", "tokens>75",
    "tags<3", "chars>200", "w<512", "ar>1.5", "mp>1", "path:/0001", "name:*1.png", "folder:sks", "stars>=3",
    "note:blurry", "missing:trigger", 'missing:"blue eyes"', "score(smile)<.5", "dup:", "dup:near",
    "-(tag:*hair* XOR smile) OR (w<512 -h>1000)",
]  # fmt: skip
VALUES = {
    "add": {"tags": "masterpiece, cat", "where": "first"}, "remove": {"tags": "*hair*"},
    "rename": {"old": "cat", "new": "pet"}, "merge": {"tags": "cat, dog", "into": "pet"},
    "replace": {"find": "red", "by": "blue"}, "pattern": {"pattern": r"(\w+) hair", "by": r"hair \1"},
    "sort": {"by": "most frequent"}, "deduplicate": {"parts": True}, "prefix": {"text": "a photo"},
    "suffix": {"text": "hd"}, "trigger": {"word": "sks"}, "truncate": {"tokens": 40}, "underscores": {},
    "lower": {}, "strip": {}, "write": {"text": "all", "empty_only": False},
}  # fmt: skip


class Facts:
    """What a filter may ask of made-up pictures."""

    def __init__(self, number: int, tags: int):
        dice = random.Random(0)
        names = [" ".join(dice.sample(WORDS, dice.randint(1, 3))) + f" {n}" * (n > 200) for n in range(4000)]
        self.trigger = "sks"
        self.entries = [self._entry(n, words.join(dice.sample(names, tags)), dice) for n in range(number)]
        self.index: dict[str, set[int]] = defaultdict(set)
        for n, entry in enumerate(self.entries):
            for tag in entry.tags:
                self.index[words.key(tag)].add(n)
        self.counts: dict[str, int] = {}
        self.scored = {n: dice.random() for n in range(number)}

    @staticmethod
    def _entry(number: int, text: str, dice: random.Random) -> Entry:
        path = Path(f"/set/10_sks/{number:05}.png")
        return Entry(path, dice.randint(300, 2000), dice.randint(300, 2000), text, words.split(text), False, "10_sks",
                     path.with_suffix(".txt"), dice.randint(0, 5), False, "", False, False, 10, 0)

    def tokens(self, number: int) -> int:
        text = self.entries[number].text
        if text not in self.counts:
            self.counts[text] = tokens.count(text)
        return self.counts[text]

    def scores(self, tag: str) -> dict[int, float]:
        return self.scored

    def duplicates(self, kind: str) -> list[tuple[int, int]]:
        return [(n, n + 1) for n in range(0, len(self.entries) - 1, 10)]


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        patterns._memory.cache_clear()
        began = time.thread_time()
        work()
        best = min(best, time.thread_time() - began)
    return round(1000 * best, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--tags", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    facts = Facts(args.pictures, args.tags)
    letters = sum(len(entry.text) for entry in facts.entries) // args.pictures
    print(f"{args.pictures:,} captions of {letters} letters; milliseconds of a processor")
    began = time.thread_time()
    parse("tokens>75").apply(facts)
    told = {"tokens, counted for the first time": round(1000 * (time.thread_time() - began), 1)}
    for line in FILTERS:
        told[line] = milliseconds(lambda: parse(line).apply(facts), args.rounds)  # noqa: B023
    numbers = range(args.pictures)
    for name, values in VALUES.items():
        edit = check(EDITS[name], values)
        told[f"edit {name}"] = milliseconds(lambda: preview(edit, facts.entries, numbers), max(1, args.rounds // 2))  # noqa: B023
    for name, taken in told.items():
        print(f"{taken:8.1f}  {name}")
    print(json.dumps({"pictures": args.pictures, "slowest_filter_ms": max(told[line] for line in FILTERS)}))


if __name__ == "__main__":
    main()
