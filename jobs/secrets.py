"""Tokens and keys that a person saves for the jobs: in one file that only its owner can read, and in no other place.

They are write-only. Whoever starts a job hands them to its process in the environment, where nobody else on the machine
can look; no page, setting, log or command line ever holds one. What a secret is for is told here and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from jobs.files import read_json, replace

KNOWN = {
    "HF_TOKEN": "Hugging Face token, for models whose licence has to be accepted and for private ones",
    "LORATORY_ENDPOINT_KEY": "Key of the caption server (captioner: Server)",
}
SHORTEST, LONGEST = 8, 500
SPELLED = re.compile(r"hf_[A-Za-z0-9]{16,}")  # what the hub's tokens look like, wherever one was pasted by mistake


class SecretError(ValueError):
    """This can't be a token. The message never repeats what was given."""


def saved(root: Path) -> dict[str, str]:
    """{variable: secret} of a workspace. For the environment of a job, and for nothing that is shown."""
    kept = read_json(_path(root)) or {}
    return {name: value for name, value in kept.items() if name in KNOWN and isinstance(value, str) and value}


def save(root: Path, name: str, secret: str) -> None:
    """Keep a secret over the one before. Raises SecretError."""
    secret = secret.strip()
    if name not in KNOWN:
        raise SecretError("there is no such token")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise SecretError("a token is one word of plain letters, digits and signs")
    if not SHORTEST <= len(secret) <= LONGEST:
        raise SecretError(f"a token has {SHORTEST} to {LONGEST} characters")
    _write(root, saved(root) | {name: secret})


def remove(root: Path, name: str) -> None:
    _write(root, {known: secret for known, secret in saved(root).items() if known != name})


def without(text: str, secrets: Mapping[str, str]) -> str:
    """The text with every secret, and whatever is spelled like a token of the hub, blotted out."""
    for secret in secrets.values():
        text = text.replace(secret, "[token]")
    return SPELLED.sub("[token]", text)


def _write(root: Path, secrets: dict[str, str]) -> None:
    replace(_path(root), json.dumps(secrets), private=True)


def _path(root: Path) -> Path:
    return root / "secrets.json"
