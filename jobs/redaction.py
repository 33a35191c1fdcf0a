"""What is never written down, whoever prints it: tokens and keys, in the log of a job and in its events.

They are known by their value, where the environment has one under a name that speaks of a secret, and by their looks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from jobs import secrets

NAMES = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|(API|ACCESS)?_?KEY)$", re.I)
LOOKS = (  # (what it looks like, what is written): group 1 is no secret
    (re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}", re.I), r"\1[token]"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{0,100}:)[^\s/@]{1,300}(?=@)", re.I), r"\1[token]"),
    (re.compile(r"([?&](?:access_|auth_|api_)?(?:token|key)=)[\w.~%+/-]{8,}", re.I), r"\1[token]"),
    (re.compile(r"\b(?:sk-[\w-]{20,}|gh[opsu]_\w{20,}|glpat-[\w-]{16,}|r8_\w{20,}|AKIA[0-9A-Z]{16})"), "[token]"),
)
HINT = re.compile(r"hf_|bearer|://|(?:token|key)=|sk-|gh[opsu]_|glpat-|r8_|AKIA", re.I)  # most lines have none of it


def redaction(environment: Mapping[str, str]) -> Callable[[str], str]:
    """A function that blots out secrets: those of this environment, and whatever looks like one."""
    named = {name: value for name, value in environment.items() if NAMES.search(name)}
    known = {name: value for name, value in named.items() if len(value) >= secrets.SHORTEST}

    def redact(text: str) -> str:
        if HINT.search(text):
            for looks, instead in LOOKS:
                text = looks.sub(instead, text)
        return secrets.without(text, known)

    return redact
