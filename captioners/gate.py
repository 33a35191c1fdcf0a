"""Whether what a model said can stand as a caption: models that write freely at times say nothing, loop or refuse."""

from __future__ import annotations

import re
import string
from collections import Counter

SCRIPTS_WITHOUT_SPACES = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
WORD = re.compile(rf"[{SCRIPTS_WITHOUT_SPACES}]|[^\W{SCRIPTS_WITHOUT_SPACES}]+(?:['’][^\W_]+)?")
SENTENCE = re.compile(r"[.!?:;\n]")
AT_ONCE = 4  # words; a caption may well say the same four words twice ("a star on a blue ..."), hardly three times
OFTEN = 3
REFUSAL = re.compile(
    r"^\W*(as an? (ai|language|artificial)\b"
    r"|(i['’]?m|i am) (sorry|afraid|unable|not able|an? ai)\b"
    r"|(i apologi[sz]e|my apologies|unfortunately)\b"
    r"|sorry,? (but )?i\b"
    r"|i (cannot|can ?not|can['’]?t|won['’]?t|will not|am unable to|do not|don['’]?t) "
    r"(help|assist|describe|identify|provide|create|fulfil|comply|see|view|process|generate|analy|caption|engage|"
    r"continue|discuss|answer|have))",
    re.IGNORECASE,
)
MARKS = re.compile(r"<\|?(image|im_start|im_end|begin_of_text|eot_id|pad|s|/s|unk)\|?>|^(user|assistant|human)\s*:",
                   re.IGNORECASE)


def objection(text: str, prompt: str = "") -> str:
    """Why a text cannot stand as a caption, in words that follow "the answer"; "" if it can. `prompt` is what the
    model was asked; {fields} in it may have been filled."""
    words = WORD.findall(text.lower())
    if not words:
        return "is empty"
    if REFUSAL.match(text):
        return "is a refusal"
    if echoes(words, prompt) or MARKS.search(text):
        return "repeats the prompt"
    if repeated(words):
        return "repeats itself"
    return ""


def repeated(words: list[str]) -> bool:
    """Whether four words in a row come three times, or one word four times in a row."""
    runs = Counter(tuple(words[start : start + AT_ONCE]) for start in range(len(words) - AT_ONCE + 1))
    return any(count >= OFTEN or len(set(run)) == 1 for run, count in runs.items())


def echoes(words: list[str], prompt: str) -> bool:
    """Whether the answer is the question, or has a longer sentence of it in it."""
    sentences = [WORD.findall(sentence.lower()) for piece in literals(prompt) for sentence in SENTENCE.split(piece)]
    if words == [word for sentence in sentences for word in sentence]:
        return True
    starts = range(len(words))
    return any(sentence == words[start : start + len(sentence)]
               for sentence in sentences if len(sentence) > AT_ONCE for start in starts)


def literals(prompt: str) -> list[str]:
    """What of a prompt's template stays as it is."""
    try:
        return [text for text, *_ in string.Formatter().parse(prompt)]
    except ValueError:  # brackets that are no fields
        return [prompt]
