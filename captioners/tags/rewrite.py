"""How tags are written, and the rules by which a person renames them and leaves some out.

Models know `long_hair`, people write `long hair`; a rule means both. What kohya_ss does differently here (and why that
surprises people) is in the names of the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Faces whose underscore is a mouth or a nose: the list of the models' own demonstration program.
KAOMOJI = frozenset(
    "0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_||".split()
)
PEOPLE = re.compile(r"\d+\+?(boy|girl|other)s?")
TRAITS = re.compile(  # what makes a character recognisable, as far as it is the body and not the clothes
    r"(.*_)?(hair|eyes|eyebrows|eyelashes|bangs|sidelocks|ears|horns|horn|tail|wings|halo|skin|freckles|mole|"
    r"breasts|twintails|ponytail|braid|braids|drill|drills|pupils|sclera|fang|fangs|teeth)|"
    r"ahoge|bob_cut|hime_cut|pixie_cut|undercut|heterochromia|beard|mustache|stubble|scar|scar_on_face|tan|tanline|"
    r"dark-skinned_(fe)?male|flat_chest|muscular(_male|_female)?|hair_(between_eyes|over_one_eye|bun|intakes|flaps)|"
    r"(single|double)_(hair_)?bun|(one_side|two_side)_up|mole_under_(eye|mouth)|animal_ear_fluff|eyepatch"
)
REGEX = re.compile(r"/(.+)/")


class RuleError(ValueError):
    """A rule that can't be read; the message says why."""


@dataclass(frozen=True)
class Rule:
    """Which tags are meant: a name, a name with * and ?, or a /regular expression/."""

    text: str
    pattern: re.Pattern[str] | None = None  # None: the name itself
    is_regex: bool = False

    def matches(self, name: str) -> bool:
        """Of a tag as the model has it. A regular expression may match a part of it, in either spelling."""
        if self.pattern is None:
            return key(name) == key(self.text)
        if self.is_regex:
            return bool(self.pattern.search(name) or self.pattern.search(spaced(name)))
        return bool(self.pattern.fullmatch(key(name)))

    def renamed(self, name: str, new: str) -> str:
        """What a matching tag becomes: `new`, into which the groups of a regular expression are put."""
        if not self.is_regex or self.pattern is None:
            return new
        return self.pattern.sub(new, name if self.pattern.search(name) else spaced(name))


def rule(text: str) -> Rule:
    """Reads one rule; raises RuleError."""
    if found := REGEX.fullmatch(text):
        try:
            return Rule(text, re.compile(found[1], re.IGNORECASE), is_regex=True)
        except re.error as error:
            raise RuleError(f"{text} is no regular expression: {error}") from None
    pieces = re.split(r"(\\[*?]|[*?])", text)
    if not any(piece in ("*", "?") for piece in pieces):
        return Rule("".join(piece[1:] if piece in (r"\*", r"\?") else piece for piece in pieces))
    wild = {"*": ".*", "?": ".", r"\*": r"\*", r"\?": r"\?"}
    pattern = "".join(wild.get(piece) or re.escape(key(piece, strip=False)) for piece in pieces)
    return Rule(text, re.compile(pattern))


def rules(lines: Iterable[str]) -> list[Rule]:
    """Rules with commas between or one a line. Raises RuleError."""
    return [rule(text) for line in lines for text in items(line)]


def pairs(lines: Iterable[str]) -> list[tuple[Rule, str]]:
    """Lines "old = new" as (rule, new). Raises RuleError. The sign has spaces around it: there are tags such as =_=."""
    found = []
    for line in lines:
        old, sign, new = re.sub(r"\s=$", " = ", line.strip()).partition(" = ")
        if not sign or not old.strip():
            raise RuleError(f'write "old = new", with spaces around the sign; got {line!r}')
        found.append((rule(old.strip()), new.strip()))
    return found


def items(line: str) -> list[str]:
    """Tags of a line with commas between; a comma that is part of a tag has a backslash before it."""
    line = line.strip()
    if REGEX.fullmatch(line):
        return [line]
    parts = (part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", line))
    return [part for part in parts if part]


def key(name: str, strip: bool = True) -> str:
    """Of two spellings of a tag the same: case, underscores and the backslashes of prompts don't matter."""
    plain = re.sub(r"\\([()])", r"\1", name).replace("_", " ").casefold()
    return " ".join(plain.split()) if strip else plain


def spaced(name: str, kaomoji: bool = True) -> str:
    """long_hair -> long hair; faces such as ^_^ stay as they are."""
    return name if kaomoji and name in KAOMOJI else name.replace("_", " ")


def escaped(text: str) -> str:
    """With backslashes before brackets and backslashes, as prompts of Stable Diffusion programs want it."""
    return re.sub(r"([\\()])", r"\\\1", text)


def unescaped(text: str) -> str:
    """Undoes `escaped`."""
    return re.sub(r"\\([\\()])", r"\1", text)


def expanded(name: str) -> list[str]:
    """[character, series] of "character_(series)", whose last brackets may hold brackets; else [name]."""
    if not name.endswith(")"):
        return [name]
    depth = 0
    for place in range(len(name) - 1, -1, -1):
        depth += (name[place] == ")") - (name[place] == "(")
        if depth == 0:
            character, series = name[:place].rstrip("_ "), name[place + 1 : -1]
            return [character, series] if character and series else [name]
    return [name]


def is_trait(name: str) -> bool:
    """Whether a general tag says how a character's body looks."""
    return bool(TRAITS.fullmatch(name.replace(" ", "_")))


def implied(names: Iterable[str]) -> set[str]:
    """Those of the names that another one ends with, word by word: hair of long_hair."""
    words = {name: name.replace("_", " ").split() for name in names}
    endings = {" ".join(parts[start:]) for parts in words.values() for start in range(1, len(parts))}
    return {name for name, parts in words.items() if " ".join(parts) in endings}
