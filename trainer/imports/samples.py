"""Rules for sample pictures: prompts with flags in their lines (`a cat --w 512 --l 7`), or in a file of their own."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from settings.paths import located
from trainer.imports.translation import Translation
from trainer.imports.values import number, shown

FLAG = re.compile(r"\s+--(\w+)\s+(.*?)(?=\s+--\w+\s|\s*$)", re.DOTALL)
FLAGS = {"w": "width", "h": "height", "s": "steps", "l": "guidance", "d": "seed", "n": "negative_prompt"}
LONG = {"width": "w", "height": "h", "sample_steps": "s", "scale": "l", "seed": "d", "negative_prompt": "n"}
SAMPLERS = {"k_euler": "euler", "k_euler_a": "euler_a", "dpmsolver++": "dpm++_2m"}
Prompt = tuple[str, dict[str, str]]  # the words, and the flags by their letters


def prompts(t: Translation) -> None:
    said = t.look("sample_prompts")
    found = read(t, said)
    t.take("sample_prompts")
    if not found:
        return
    flagged = any(flags for _, flags in found)
    t.put("sample_prompts", "preview.prompts", [words for words, _ in found],
          "their flags are settings of their own" if flagged else "")
    for letter in dict.fromkeys(letter for _, flags in found for letter in flags):
        one_flag(t, letter, [flags[letter] for _, flags in found if letter in flags])


def read(t: Translation, said: Any) -> list[Prompt]:
    """Prompts from the text of the form, or from the file that a TOML names."""
    if not isinstance(said, str) or not said.strip():
        return []
    if Path(said.strip()).suffix.lower() not in (".txt", ".toml", ".json") or "\n" in said.strip():
        return lines(said)
    path = located(said.strip()) or (located(str(t.beside / said.strip())) if t.beside else None)
    try:
        text = path.read_text(encoding="utf-8") if path else None
        found = None if text is None else lines(text) if path.suffix.lower() == ".txt" else tables(path, text)
    except (OSError, ValueError) as error:
        t.leave("sample_prompts", f"the file with the prompts cannot be read: {error}")
        return []
    if found is None:
        t.leave("sample_prompts", "the prompts are in a file that is not here: paste them into the form")
    return found or []


def lines(text: str) -> list[Prompt]:
    kept = (line.strip() for line in text.splitlines())
    return [split(line) for line in kept if line and not line.startswith("#")]


def split(line: str) -> Prompt:
    flags = FLAG.findall(f" {line}" if line.startswith("--") else line)
    words = FLAG.sub("", line).strip()
    return words, {letter: value.strip() for letter, value in flags}


def tables(path: Path, text: str) -> list[Prompt]:
    """A list of tables, in TOML below `prompt.subset`, with what they have in common beside it."""
    found = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text).get("prompt", {})
    common = found if isinstance(found, dict) else {}
    rows = common.get("subset", []) if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is no list of prompts")
    return [one({name: value for name, value in common.items() if name != "subset"} | row) for row in rows]


def one(row: dict[str, Any]) -> Prompt:
    return str(row.get("prompt", "")), {LONG[name]: str(value) for name, value in row.items() if name in LONG}


def one_flag(t: Translation, letter: str, values: list[str]) -> None:
    """A flag is a setting for all samples here: the first prompt's."""
    name, first = f"sample_prompts --{letter}", values[0]
    if letter not in FLAGS:
        return t.leave(name, "there is no such setting for samples here")
    note = ""
    value: Any = first
    if letter in "wh" and (side := number(first)) is not None:
        value = max(16, int(side) // 8 * 8)
        note = "" if value == side else "a multiple of 8"
    if letter == "l" and (scale := number(first)) is not None and scale < 1:
        value, note = 1.0, "below 1 there is no guidance"
    if len(set(values)) > 1:
        note = f"one for all samples here: the first prompt's, not {', '.join(map(shown, dict.fromkeys(values[1:])))}"
    elif letter == "d" and len(values) > 1:
        note = "of the first prompt; the second has the next, and so on"
    return t.put(name, f"preview.{FLAGS[letter]}", value, note)


def how_often(t: Translation) -> None:
    epochs, steps = number(t.take("sample_every_n_epochs")), number(t.take("sample_every_n_steps"))
    if epochs is not None or steps is not None:
        t.put("sample_every_n_epochs", "preview.every_epochs", epochs or 0)
    if steps is not None:
        t.put("sample_every_n_steps", "preview.every_steps", 0 if epochs else steps,
              "epochs come before it" if epochs and steps else "")
    sampler = t.text("sample_sampler")
    if sampler in SAMPLERS:
        t.put("sample_sampler", "preview.sampler", SAMPLERS[sampler], "the same in other words")
    elif sampler:
        t.put("sample_sampler", "preview.sampler", sampler)


RULES: list[Callable[[Translation], Any]] = [prompts, how_often]
