"""The prompt that a generated picture carries, in the words of the program that made it.

A1111 writes one text: the prompt, a line `Negative prompt: …`, a line of settings. ComfyUI writes the graph of nodes
that made the picture; the prompt is what flows into a sampler's `positive` input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, UnidentifiedImageError

from dataset.caption_files import one_line
from dataset.pictures import BROKEN

EXIF_PLACE, COMMENT = ExifTags.IFD.Exif, ExifTags.Base.UserComment
DEPTH = 60  # nodes between a sampler and its words
SETTINGS = re.compile(r"\n(?=Steps: \d)")
LORA = re.compile(r"<(?:lora|lyco|hypernet):[^<>]*>")
WEIGHT = re.compile(r":\s*[+-]?\d+(?:\.\d+)?\s*(?=[)\]])")
TEXTS = ("text", "text_g", "t5xxl", "prompt", "string", "value", "text_l", "clip_l", "positive", "text_positive",
         "string_a", "string_b", "text_a", "text_b", "populated_text", "wildcard_text")


def prompt_of(path: Path) -> str:
    """The prompt inside a picture, one line; "" where there is none that can be understood."""
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            texts = {key: value for key, value in image.info.items() if isinstance(value, str)}
            texts |= dict(_exif(image))
    except (UnidentifiedImageError, Image.DecompressionBombError, *BROKEN):
        return ""
    for key, understand in (("parameters", from_a1111), ("UserComment", from_a1111), ("prompt", from_comfyui)):
        if prompt := understand(texts.get(key, "")):
            return one_line(prompt)
    return ""


def from_a1111(text: str) -> str:
    """The prompt in A1111's text."""
    if text.lstrip().startswith("{"):
        return ""  # another program's; theirs begins with the prompt itself
    text = text.replace("\r\n", "\n")
    text = re.split(r"(?:^|\n)Negative prompt: ", text)[0]
    return SETTINGS.split(f"\n{text}")[0].strip()


def from_comfyui(text: str) -> str:
    """The prompt in ComfyUI's graph: what the first sampler takes as positive; if no sampler is known, the only text
    that is encoded."""
    try:
        graph = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return ""
    nodes = {str(key): node for key, node in graph.items() if isinstance(node, dict)} if isinstance(graph, dict) else {}
    inputs = {key: node["inputs"] for key, node in nodes.items() if isinstance(node.get("inputs"), dict)}
    for key in sorted(inputs, key=_number):
        if "positive" in inputs[key] and "ampler" in str(nodes[key].get("class_type")):
            if words := _words(inputs[key]["positive"], inputs, DEPTH):
                return words
    for key in sorted(inputs, key=_number):  # samplers of the newer sort get a guider, which has the conditioning
        if "guider" in str(nodes[key].get("class_type")).lower():
            link = inputs[key].get("conditioning") or inputs[key].get("positive")
            if words := _words(link, inputs, DEPTH):
                return words
    encoded = {words for key in inputs if "TextEncode" in str(nodes[key].get("class_type"))
               if (words := _words([key, 0], inputs, DEPTH))}
    return encoded.pop() if len(encoded) == 1 else ""


def plain_words(prompt: str) -> str:
    """A prompt without what only a generator understands: weights, brackets, <lora:...>, BREAK."""
    prompt = LORA.sub("", prompt)
    prompt = re.sub(r"\s*\bBREAK\b\s*", ", ", prompt)
    kept = {"\\(": "\ue000", "\\)": "\ue001", "\\[": "\ue002", "\\]": "\ue003"}
    for written, mark in kept.items():
        prompt = prompt.replace(written, mark)
    prompt = re.sub(r"[()\[\]]", "", WEIGHT.sub("", prompt))
    for written, mark in kept.items():
        prompt = prompt.replace(mark, written[1])
    parts = (" ".join(part.split()) for part in prompt.split(","))
    return ", ".join(part for part in parts if part)


def _words(link: Any, inputs: dict[str, dict[str, Any]], depth: int) -> str:
    """The text that flows along a link; a text itself is what it is."""
    if isinstance(link, str):
        return link.strip()
    if depth == 0 or not isinstance(link, list) or not link or str(link[0]) not in inputs:
        return ""
    node = inputs[str(link[0])]
    found = [words for name in TEXTS if name in node if (words := _words(node[name], inputs, depth - 1))]
    if found:
        return ", ".join(dict.fromkeys(found))
    links = (value for name, value in node.items() if name.startswith("conditioning") or name in ("input", "any"))
    return next((words for value in links if (words := _words(value, inputs, depth - 1))), "")


def _exif(image: Image.Image) -> Iterator[tuple[str, str]]:
    """A1111's comment, and what ComfyUI's savers put into the camera's make and model."""
    exif = Image.Image.getexif(image)
    comment = exif.get_ifd(EXIF_PLACE).get(COMMENT)
    if isinstance(comment, bytes):
        yield "UserComment", _decoded(comment)
    elif isinstance(comment, str):
        yield "UserComment", comment
    for value in exif.values():
        if isinstance(value, str) and value.lower().startswith("prompt:"):
            yield "prompt", value[len("prompt:") :].strip().strip("\0")


def _decoded(comment: bytes) -> str:
    """The EXIF standard's eight bytes say which letters follow; which way round UTF-16 stands, it doesn't say."""
    head, body = comment[:8], comment[8:]
    if head == b"UNICODE\0":
        big = body[::2].count(0) >= body[1::2].count(0)
        return body.decode("utf-16-be" if big else "utf-16-le", "replace").strip("\0\ufeff")
    return (body if head in (b"ASCII\0\0\0", b"\0" * 8) else comment).decode("utf-8", "replace").strip("\0")


def _number(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() and len(key) < 19 else (1 << 62, key)
