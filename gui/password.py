"""The password of the window: whether one is needed, where it comes from, and what the terminal says of it.

Never from the command line, which every user of a machine can read. One that was made here is kept, so that a restart
signs nobody out, and is printed once.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from jobs.files import replace

SHORTEST = 12
VARIABLE, FILE_VARIABLE = "LORATORY_TOKEN", "LORATORY_TOKEN_FILE"


class PasswordError(ValueError):
    """This is no password to be safe with; the text says what to do."""


@dataclass(frozen=True)
class Password:
    """`text` empty: nobody is asked for one."""

    text: str = ""
    told: str = ""  # a line for the terminal


def find(needed: bool, file: str, workspace: Path) -> Password:
    """The one that was chosen (environment, file), else, where one is needed, the one that was made here, now or
    earlier. Raises PasswordError."""
    if chosen := os.environ.get(VARIABLE, "").strip():
        return Password(long_enough(chosen, VARIABLE), f"Sign in with the token that is in {VARIABLE}.")
    if place := file or os.environ.get(FILE_VARIABLE, ""):
        return Password(long_enough(read(Path(place)), place), f"Sign in with the token that is in {place}.")
    return made(workspace / "token.txt") if needed else Password()


def made(kept: Path) -> Password:
    if kept.is_file() and (text := read(kept)):
        return Password(long_enough(text, str(kept)), f"Sign in with the token that is in {kept}.")
    text = secrets.token_urlsafe(24)
    replace(kept, text + "\n", private=True)
    return Password(text, f"Sign in with this token: {text}\nIt is kept in {kept} and not shown again.")


def read(place: Path) -> str:
    try:
        return place.expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise PasswordError(f"The token can't be read from {place}: {reason}.") from None


def long_enough(text: str, where: str) -> str:
    if len(text) < SHORTEST:
        raise PasswordError(f"The token in {where} must have at least {SHORTEST} characters; without it, one is made.")
    return text


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
