"""`python launch.py prepare resize FOLDER --output DIR`: the page "Resize & crop" without a window.

Crops that were drawn in the page are used. The last line is a summary in JSON.
"""

from __future__ import annotations

import argparse
import json
import sys

from dataset.files import FileError
from dataset.problem import Problem, printable
from dataset.resize.job import resize
from dataset.resize.plan import Plan, plan
from dataset.resize.settings import Settings
from settings import flags
from settings.errors import SettingsError, check, warnings

SHOWN = 40  # lines of the dry run in the terminal


def main(arguments: list[str]) -> int:
    """0: done, or told; 1: some pictures could not be copied, or the disk refused; 2: wrong settings."""
    try:
        options, given = flags.parse(parser(), Settings, arguments)
        settings = check(Settings, {"folder": options.pictures} | given if options.pictures else given)
        made = plan(settings)
        teller = Terminal()
        for path, warning in warnings(settings).items():
            teller.warn(f"{path} {warning}")
        if settings.dry_run:
            _table(made)
        summary = resize(settings, made, teller)
    except SettingsError as error:
        print("\n".join(f"{path}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    except FileError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{error.strerror or error} ({error.filename or settings.output}). The same command goes on from here.",
              file=sys.stderr)
        return 1
    print(made.summary()["sentence"] if settings.dry_run else _done(summary))
    print(json.dumps(summary))
    return 1 if summary.get("failed") or summary["kept"] else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="launch.py prepare resize", allow_abbrev=False, description=Settings.__doc__,
        usage="launch.py prepare resize FOLDER --output DIR [--mode MODE] [--width N] [--dry-run] [...]")
    made.add_argument("pictures", metavar="FOLDER", nargs="?", default="", help="the same as --folder")
    flags.add_flags(made, Settings)
    return made


class Terminal:
    """Tells a person who looks on."""

    def progress(self, name: str, done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r  {done:,} of {total:,} {name}", end="\n" * (done == total), file=sys.stderr, flush=True)

    def problem(self, problem: Problem) -> None:
        print(printable(f"  {problem.path}: {problem.reason}; {problem.fix}"))

    def warn(self, message: str) -> None:
        print(f"  {message}", file=sys.stderr)


def _table(made: Plan) -> None:
    for row in made.rows[:SHOWN]:
        told = row.told(made.root, made.output)
        (width, height), (to_width, to_height) = row.before, row.after
        cut = f", {told['lost']:.0%} cut off" if told["lost"] >= 0.005 else ""
        hand = " by hand" * told["by_hand"]
        print(printable(f"  {told['name']}  {width} x {height} -> {to_width} x {to_height}{cut}{hand}  {told['copy']}"
                        f"{'' if row.status == 'new' else f' ({row.status})'}"))
    if len(made.rows) > SHOWN:
        print(f"  and {len(made.rows) - SHOWN:,} more")


def _done(summary: dict[str, object]) -> str:
    parts = [f"{number:,} {name.replace('_', ' ')}" for name, number in summary.items()
             if name.startswith(("copies_", "captions_", "masks_")) and isinstance(number, int)]
    return f"{', '.join(parts) or 'Nothing to do'}: {summary['output']}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
