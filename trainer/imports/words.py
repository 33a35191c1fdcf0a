"""Rules for textual inversion, in kohya's programs a script of its own: one new word, and nothing else learns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.config.words import WORD
from trainer.imports.network import SWITCH
from trainer.imports.translation import Translation
from trainer.imports.values import number

# sd-scripts' arguments -> those of a new word here.
NAMES = {"init_word": "initialiser", "num_vectors_per_token": "vectors", "weights": "start_from"}
TEMPLATES = ("use_object_template", "use_style_template", "template")


def taught(t: Translation) -> None:
    """The word that is learnt, with what belongs to it."""
    if not t.has("token_string"):
        return None
    word: dict[str, Any] = {"word": t.text("token_string")}
    if not WORD.fullmatch(word["word"]):
        return t.leave("token_string", "here it is one word of letters, digits, - and _: give it another")
    for theirs, ours in NAMES.items():
        if t.has(theirs):
            word[ours] = number(t.take(theirs)) if ours == "vectors" else t.text(theirs)
            t.off(theirs, "stands with the word")
    if rate := number(t.take("learning_rate")):
        word["learning_rate"] = rate
        t.off("learning_rate", "stands with the word")
    t.put("token_string", "words.new", [word], "one of several words that may be learnt here")
    parts = ["denoiser", *t.family.text_encoders]
    t.put("token_string", [f"lora.{part}.train" for part in parts], False, SWITCH)
    for name in TEMPLATES:
        if (said := t.take(name)) not in (None, False, "caption"):
            t.leave(name, f"captions are not made from a template ({said}): write them, with the word in them")
    return None


RULES: list[Callable[[Translation], Any]] = [taught]
