"""Vectors of lists of phrases, computed in chunks and kept in the workspace: a list is encoded once a model.

What is kept is known by the model's content and the phrases' own, not by names or versions, so an edited list is
encoded again, and the same list under another name is not."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from captioners.clip.rank import Encode
from captioners.tags.probabilities import identity
from jobs.folder import home

VERSION = 1  # of how phrases become vectors
AT_ONCE = 1024  # phrases between two reports of progress

Report = Callable[[int, int], None]  # (how many, of how many)


def table(labels: Sequence[str], model: str, encode: Encode, report: Report = lambda done, total: None) -> np.ndarray:
    """Vectors [n, width] of phrases, half precision. `model` is `key_of` its folder."""
    content = hashlib.sha256(json.dumps(list(labels)).encode()).hexdigest()
    path = home() / "cache" / "clip" / f"{model}-{content[:24]}.safetensors"
    known = read(path, len(labels), content)
    if known is not None:
        return known
    parts = []
    for start in range(0, len(labels), AT_ONCE):
        parts.append(encode(labels[start : start + AT_ONCE]).astype(np.float16))
        report(min(start + AT_ONCE, len(labels)), len(labels))
    vectors = np.concatenate(parts) if parts else np.empty((0, 0), np.float16)
    if len(vectors):
        write(path, vectors, content)
    return vectors


def key_of(folder: Path) -> str:
    """What tells a model from others: its weights, configuration and tokenizer."""
    files = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".json") and path.is_file())
    return identity(files, VERSION).hex()[:16]


def read(path: Path, count: int, content: str) -> np.ndarray | None:
    """Vectors that were kept; None where there are none that can be used."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            if (file.metadata() or {}).get("phrases") != content:
                return None
            vectors = file.get_tensor("vectors")
    except (OSError, SafetensorError):  # not there, or torn: then it is computed again
        return None
    return vectors if vectors.ndim == 2 and len(vectors) == count else None


def write(path: Path, vectors: np.ndarray, content: str) -> None:
    from safetensors.numpy import save

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(save({"vectors": vectors}, {"phrases": content}))
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
