"""From probabilities to tags: thresholds, rules, order. Pure functions, so that a slider shows what a run would write.

What depends on a label alone (is it excluded, what is it called) is worked out once and remembered; a picture then
costs a few array operations and some work for each of its twenty or so tags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from captioners.base import Said, Tag
from captioners.tags.labels import Labels
from captioners.tags.options import Tagging
from captioners.tags.probabilities import Scores
from captioners.tags.rewrite import PEOPLE, escaped, expanded, implied, is_trait, key, pairs, rules, spaced

REFERENCE = {"general": 0.35, "character": 0.85}  # of the models' own demonstration program
Name = tuple[str, str, str]  # what is the same for all of its spellings, the name, the category
NEVER = 1.0  # probabilities are not above it
LEAST_CHARACTER = 0.15  # below it the largest gap between characters is noise


def limits(options: Tagging, recommended: Mapping[str, float]) -> dict[str, float]:
    """The threshold of each category: what was chosen, else what is recommended for the model."""
    character = recommended.get("character", REFERENCE["character"])
    usual = {"general": REFERENCE["general"], "character": character, "copyright": character, "artist": character}
    usual |= {"meta": NEVER, "quality": NEVER, "model": NEVER} | dict(recommended)
    return {kind: value if (value := getattr(options, f"{kind}_threshold")) is not None else usual[kind]
            for kind in ("general", "character", "copyright", "artist", "meta", "quality", "model")}


def mcut(probabilities: np.ndarray) -> float:
    """The middle of the largest gap between neighbours in size (Largeron et al., "MCut: a thresholding strategy for
    multi-label classification", 2012)."""
    falling = np.sort(np.asarray(probabilities, np.float64))[::-1]
    if len(falling) < 2:
        return float(falling[0]) if len(falling) else 1.0
    place = int((falling[:-1] - falling[1:]).argmax())
    return float((falling[place] + falling[place + 1]) / 2)


class Chooser:
    """Chooses tags for any number of pictures by the same labels and options."""

    def __init__(self, labels: Labels, options: Tagging, recommended: Mapping[str, float] | None = None):
        self.labels, self.options = labels, options
        self.limits = limits(options, recommended or {})
        self._excluded, self._first = rules(options.exclude), rules(options.first)
        self._replaced = pairs(options.replace)
        # An alias is written the other way round: the one name on the left, the others on the right.
        self._aliases = [(other, name.text) for name, others in pairs(options.alias) for other in rules([others])]
        self._lowest = self._lowest_of_labels()
        cut = {"general": options.general_mcut, "character": options.character_mcut}
        self._cut = {kind for kind in labels.places if kind != "rating" and cut.get(kind, options.other_mcut)}
        self._kinds = np.array(labels.categories)
        self._is_rating = self._kinds == "rating"
        self._known: dict[int, list[Name]] = {}  # label -> what it is called
        self._written: dict[str, str] = {}  # name -> how it stands in a caption
        self._places: dict[str, int] = {}  # what was written -> the first of its labels

    def choose(self, scores: Scores) -> Said:
        """What is said of a picture with these probabilities."""
        above = scores.values > self._lowest[scores.labels]
        if self._cut:
            above = self._with_gaps(scores, above)
        rated = self._rating(scores)
        tags: dict[str, Tag] = {}
        for label, value in zip(scores.labels[above].tolist(), scores.values[above].tolist()):
            for same, name, kind in self._tags_of(label):
                known = tags.get(same)
                if known is None or known.score < value:
                    tags[same] = Tag(name, value, kind)
        chosen = self._ordered(self._pruned(tags.values()))
        return self._said(chosen, rated)

    def everything(self, scores: Scores) -> list[Tag]:
        """All tags that are known of a picture, the most probable first, by the model's own names."""
        order = np.argsort(-scores.values, kind="stable")
        return [Tag(self.labels.names[label], value, self.labels.categories[label])
                for label, value in zip(scores.labels[order].tolist(), scores.values[order].tolist())]

    # --- which tags -----------------------------------------------------------------------------------------------

    def _lowest_of_labels(self) -> np.ndarray:
        """Above what each label counts, float32 [labels]. Ratings never do: only the best of them is looked at."""
        general = self.limits["general"]
        of_kind = {kind: self.limits.get(kind, general) for kind in self.labels.places} | {"rating": np.inf}
        lowest = np.empty(len(self.labels), np.float32)
        for kind, places in self.labels.places.items():
            lowest[places] = of_kind[kind]
        for one, share in pairs(self.options.tag_thresholds):
            for label, name in enumerate(self.labels.names):
                if self.labels.categories[label] != "rating" and one.matches(name):
                    lowest[label] = float(share)
        return lowest

    def _with_gaps(self, scores: Scores, above: np.ndarray) -> np.ndarray:
        above = above.copy()
        kinds = self._kinds[scores.labels]
        for kind in self._cut:
            mine = kinds == kind
            # What is not kept is next to 0, but it is there: the largest gap may be the one above it. A category's
            # only label has no neighbour but 0.
            missing = mine.sum() < max(2, len(self.labels.places[kind]))
            lowest = mcut(np.append(scores.values[mine], 0.0) if missing else scores.values[mine])
            above[mine] = scores.values[mine] > (max(LEAST_CHARACTER, lowest) if kind == "character" else lowest)
        return above

    def _rating(self, scores: Scores) -> Tag | None:
        rated = np.flatnonzero(self._is_rating[scores.labels])
        if not len(rated):
            return None
        best = rated[scores.values[rated].argmax()]
        label, value = int(scores.labels[best]), float(scores.values[best])
        tags = self._tags_of(label) if value >= self.options.rating_threshold else []
        return Tag(tags[0][1], value, "rating") if tags else None

    def _pruned(self, tags: Iterable[Tag]) -> list[Tag]:
        kept = sorted(tags, key=lambda tag: -tag.score)
        if self.options.drop_implied:
            names = implied(tag.name for tag in kept if tag.category == "general")
            kept = [tag for tag in kept if tag.category != "general" or tag.name not in names]
        return kept[: self.options.max_tags]

    # --- what they are called -------------------------------------------------------------------------------------

    def _tags_of(self, label: int) -> list[Name]:
        """What a label is called; nothing if it is not wanted."""
        if label not in self._known:
            self._known[label] = self._worked_out(self.labels.names[label], self.labels.categories[label])
            for _, name, _ in self._known[label]:
                self._places[name] = min(label, self._places.get(name, label))
        return self._known[label]

    def _worked_out(self, name: str, kind: str) -> list[Name]:
        name = next((new for old, new in self._aliases if old.matches(name)), name)
        if any(one.matches(name) for one in self._excluded):
            return []
        if kind == "general" and self.options.drop_traits and is_trait(name):
            return []
        parts = [(name, kind)]
        if kind == "character" and self.options.expand_characters and len(pieces := expanded(name)) == 2:
            character, series = pieces
            parts = [(name if character in self.labels.general else character, kind), (series, "copyright")]
        parts = [part for part in parts if not any(one.matches(part[0]) for one in self._excluded)]
        return [(key(new), new, of) for part, of in parts for new in self._renamed(part)]

    def _renamed(self, name: str) -> list[str]:
        for old, new in self._replaced:
            if old.matches(name):
                return [part for text in new.split(",") if (part := old.renamed(name, text.strip()))]
        return [name]

    # --- in which order -------------------------------------------------------------------------------------------

    def _ordered(self, tags: list[Tag]) -> list[Tag]:
        """`tags` come by falling probability."""
        order = self.options.order
        if order == "list":
            tags = sorted(tags, key=lambda tag: self._places[tag.name])
        elif order == "alphabet":
            tags = sorted(tags, key=lambda tag: key(tag.name))
        elif order == "booru":
            tags = sorted(tags, key=lambda tag: 0 if tag.name == "solo" else 1 if PEOPLE.fullmatch(tag.name) else 2)
        if self.options.characters_first:
            tags = sorted(tags, key=lambda tag: tag.category != "character")
        return sorted(tags, key=self._turn) if self._first else tags

    def _turn(self, tag: Tag) -> int:
        return next((turn for turn, one in enumerate(self._first) if one.matches(tag.name)), len(self._first))

    def _said(self, tags: list[Tag], rating: Tag | None) -> Said:
        """A rating that is not in the text comes last, for a template that asks for it."""
        where = self.options.rating
        rated = [rating] if rating else []
        text = {"off": tags, "first": rated + tags, "last": tags + rated, "only": rated}[where]
        both = text if where in ("first", "last", "only") else tags + rated
        return Said(self.options.separator.join(self.written(tag.name) for tag in text), tuple(both))

    def written(self, name: str) -> str:
        """A tag as it stands in a caption."""
        if name not in self._written:
            text = spaced(name, self.options.kaomoji) if self.options.underscores == "spaces" else name
            self._written[name] = escaped(text) if self.options.escape else text
        return self._written[name]


def choose(labels: Labels, scores: Scores, options: Tagging, recommended: Mapping[str, float] | None = None) -> Said:
    """What is said of one picture; for many use a `Chooser`."""
    return Chooser(labels, options, recommended).choose(scores)


