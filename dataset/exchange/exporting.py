"""`python launch.py prepare export FOLDER --format NAME --output DIR`, and the window's work of the same name."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from dataset.exchange import convert, terminal
from dataset.exchange.convert import Plan
from dataset.exchange.settings import ExportSettings

Settings = ExportSettings
SHOWN = 5  # records that a preview shows


def work(settings: ExportSettings, teller: Any) -> dict[str, Any]:
    """Export, or only say what would be. Raises SettingsError, OSError."""
    teller.progress("reading", 0, 1)
    plan = convert.preview_export(settings)
    for loss in plan.losses:
        teller.warn(loss)
    try:
        if not settings.dry_run:
            convert.write(plan, settings, teller.progress)
    finally:
        for problem in plan.problems:
            teller.problem(problem)
    return told(plan, settings.dry_run)


def told(plan: Plan, dry_run: bool) -> dict[str, Any]:
    """What a person wants to know of it."""
    first = [{"name": record.name, "caption": record.caption} for record in plan.records[:SHOWN]]
    return {"sentence": plan.sentence, "output": str(plan.output), "dry_run": dry_run, "pictures": len(plan.records),
            "captions": plan.captions, "bytes": plan.bytes, "first": first}


def parser() -> argparse.ArgumentParser:
    usage = "export FOLDER --output DIR|FILE.zip [--format NAME] [--dry-run] [...]"
    return terminal.parser(usage, ExportSettings, "write")


def main(arguments: list[str]) -> int:
    return terminal.run(parser(), ExportSettings, work, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
