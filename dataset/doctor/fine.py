"""What a person has looked at and found to be fine: it is remembered beside the data set and not told again.

`.loratory/fine.json`: {finding's name: null for all of it, or {case's key: what it is}}. The names are there for people
who read the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dataset.doctor.check import Case, Finding
from dataset.files import FileError, content, named, swap
from dataset.journal import FOLDER

NAME = "fine.json"
MAX_BYTES = 64_000_000

Fine = dict[str, dict[str, Any] | None]


def read(root: Path) -> Fine:
    """What was found to be fine; nothing where the file can't be read or isn't ours."""
    try:
        return _table(content(root / FOLDER / NAME, limit=MAX_BYTES))
    except FileError:
        return {}


def mark(root: Path, finding: str, cases: Iterable[Case] | None, fine: bool) -> None:
    """Say that cases of a finding, or all that there are and will be (None), are fine; or are not any more.

    FileError or OSError where that can't be written."""
    path = root / FOLDER / NAME
    told = None if cases is None else {case.key(root): _called(root, case) for case in cases}
    with named(path):
        path.parent.mkdir(exist_ok=True)
    for _ in range(20):
        before = content(path, limit=MAX_BYTES)
        table = _table(before)
        if told is None:
            table.pop(finding, None)
            table |= {finding: None} if fine else {}
        elif finding not in table or table[finding] is not None:
            known = {key: what for key, what in (table.pop(finding, None) or {}).items() if key not in told}
            known |= told if fine else {}
            table |= {finding: known} if known else {}
        after = json.dumps(table, indent=1, sort_keys=True).encode() + b"\n"
        if (before is None and not table) or swap(path, before, after):
            return
    raise FileError(path, "another program changes it all the time", "close that one and try again")


def parted(root: Path, findings: Iterable[Finding], fine: Fine) -> tuple[list[Finding], list[Finding]]:
    """(what is to be told, what was found to be fine); a finding may be in both, with other cases."""
    told, dismissed = [], []
    for finding in findings:
        if finding.name not in fine:
            told.append(finding)
            continue
        known = fine[finding.name]
        good = [known is None or case.key(root) in known for case in finding.cases]
        if known is None or any(good):
            dismissed.append(finding.only(case for case, one in zip(finding.cases, good) if one))
        if known is not None and not all(good):
            told.append(finding.only(case for case, one in zip(finding.cases, good) if not one))
    return told, dismissed


def _called(root: Path, case: Case) -> str:
    return case.about or ", ".join(path.name for path in case.paths)


def _table(data: bytes | None) -> Fine:
    try:
        table = json.loads(data or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(table, dict):
        return {}
    return {name: value for name, value in table.items() if value is None or isinstance(value, dict)}
