"""What is said when the memory was not enough: how much was needed, how much there was, and what would help."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jobs.failures import Fix
from trainer.config import TrainSettings
from trainer.needs.remedies import Remedy, needed, remedies, together

UNITS = {"bytes": 1e-9, "KiB": 1024e-9, "MiB": 1024**2 / 1e9, "GiB": 1024**3 / 1e9, "KB": 1e-6, "MB": 1e-3, "GB": 1.0}
AMOUNT = r"([\d.]+) (bytes|[KMG]i?B)\b"
SPARE = 0.03  # of the memory, which gets lost between the pieces


def explained(config: TrainSettings, said: str = "", moment: str = "") -> tuple[str, str, Sequence[Remedy]]:
    """(cause, fix, what helps) for a run that had too little in a `moment`. `said`: what the system said of it."""
    there, asked = available(said), amount(said, rf"(?:Tried|tried) to allocate {AMOUNT}")
    estimate = needed(config, moment)
    lacking = None
    if there:
        wanted = max(estimate.total if estimate else 0.0, there + (asked or 0.0))
        lacking = max(wanted - there * (1 - SPARE), 0.0)
    found = remedies(config, lacking, moment)
    return cause(config, estimate.sentence if estimate else "", there), fix(config, found, lacking, moment), found


def cause(config: TrainSettings, estimate: str, there: float | None) -> str:
    where = "machine" if config.accelerate.cpu else "graphics card"
    has = f"the {where} has {there:.1f} GB for it" if there else ""
    needs = f"this run needs {estimate}" if estimate else ""
    return f"The {where} has not enough memory{': ' * bool(has or needs)}{', and '.join(filter(None, (needs, has)))}."


def fix(config: TrainSettings, found: Sequence[Remedy], lacking: float | None, moment: str) -> str:
    smaller = "a smaller base model, a larger card, or close what else uses it"
    if not found:
        return f"These settings are as thrifty as they can be: choose {smaller}."
    said = f"Cheapest first: {'; '.join(remedy.sentence for remedy in found)}."
    saved = together(config, found, moment)
    if lacking is None or saved is None:
        return said
    enough = next((one for one in found if (one.saves_gb or 0.0) >= lacking), None)
    if enough:
        return f"{said} About {lacking:.1f} GB are lacking: {enough.says} is enough by itself."
    if saved >= lacking:
        return f"{said} About {lacking:.1f} GB are lacking: together they are enough."
    return f"{said} Together they save {saved:.1f} of the {lacking:.1f} GB that are lacking: choose also {smaller}."


def fixes(found: Sequence[Remedy]) -> list[Fix]:
    """For the form: each by itself, and all together."""
    each = [Fix(remedy.sentence, remedy.settings) for remedy in found]
    everything = {path: value for remedy in found for path, value in remedy.settings.items()}
    return [*each, Fix("all of them", everything)] if len(found) > 1 else each


def available(said: str) -> float | None:
    """GB that the run could have: what it held and what was free, in torch's words; None if they are not there."""
    if held := amount(said, rf"this process has {AMOUNT} memory in use"):
        return held + (amount(said, rf"of which {AMOUNT} is free") or 0.0)
    if most := amount(said, rf"max allowed: {AMOUNT}"):  # of Apple's
        return most - (amount(said, rf"other allocations: {AMOUNT}") or 0.0)
    return amount(said, rf"total capacity of {AMOUNT}")


def amount(said: str, pattern: str) -> float | None:
    """GB of the first amount that a pattern finds."""
    found = re.search(pattern, said)
    return float(found[1]) * UNITS[found[2]] if found else None
