"""`python launch.py prepare import SOURCE --format auto --output DIR`, and the window's work of the same name."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dataset import import_command
from dataset.exchange import convert, terminal
from dataset.exchange.convert import Plan
from dataset.exchange.exporting import told
from dataset.exchange.formats import analysis
from dataset.exchange.settings import ExportSettings, ImportSettings

Settings = ImportSettings


def work(settings: ImportSettings, teller: Any) -> dict[str, Any]:
    """Import, or only say what would be made. Raises SettingsError, OSError."""
    teller.progress("reading", 0, 1)
    with convert.preview_import(settings, teller.progress) as plan:
        for loss in plan.losses:
            teller.warn(loss)
        try:
            return _analysed(plan, settings, teller) if plan.read_as == analysis.name else _made(plan, settings, teller)
        finally:
            for problem in plan.problems:
                teller.problem(problem)


def _made(plan: Plan, settings: ImportSettings, teller: Any) -> dict[str, Any]:
    if not settings.dry_run:
        writing = ExportSettings(folder=settings.source, output=settings.output, format=settings.to, table="jsonl")
        convert.write(plan, writing, teller.progress)
    return told(plan, settings.dry_run) | {"read_as": plan.read_as, "opens": str(plan.output)}


def _analysed(plan: Plan, settings: ImportSettings, teller: Any) -> dict[str, Any]:
    """As `prepare import-analysis` does it, with its summary."""
    plan.format = "imagefolder"
    options, source = convert.with_absolute_images(settings), convert.path(settings.source)
    found, images = analysis.analysed(source, options), analysis.images(source, options)
    summary = import_command.summary(found, source, images, settings.min_confidence)
    if not settings.dry_run:
        import_command.write(found, summary, plan.output, teller.progress)
    shown = {name: summary[name] for name in ("records", "kept", "dropped", "confidence_histogram", "caption_lengths")}
    return told(plan, settings.dry_run) | {
        "read_as": plan.read_as, "opens": str(Path(plan.output, import_command.PICTURES)), "summary": shown}


def parser() -> argparse.ArgumentParser:
    usage = "import SOURCE --output DIR [--format NAME] [--to NAME] [--dry-run] [...]"
    return terminal.parser(usage, ImportSettings, "read")


def main(arguments: list[str]) -> int:
    return terminal.run(parser(), ImportSettings, work, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
