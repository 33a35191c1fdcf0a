"""`python launch.py prepare`: says what it will copy, asks, and copies; the window's Prepare tool without a window.

A word in front makes it something else: `check` looks for what is wrong with a folder, `see` shows what training sees
of a picture, `import-analysis` makes a folder of pictures and captions from what another program wrote about them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys

from dataset.prepare import PrepareError, PrepareSettings, copying, fields, preview
from settings import flags
from settings.errors import SettingsError, check

OTHERS = {  # word -> its module, which has `main` and `parser`
    "check": "dataset.doctor.command",
    "see": "dataset.seen_command",
    "resize": "dataset.resize.command",
    "import-analysis": "dataset.import_command",
    "export": "dataset.exchange.exporting",
    "import": "dataset.exchange.importing",
}


def main(arguments: list[str]) -> int:
    if arguments[:1] and arguments[0] in OTHERS:
        return importlib.import_module(OTHERS[arguments[0]]).main(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="launch.py prepare", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"{PrepareSettings.__doc__} Nothing is deleted or overwritten.", epilog=also())
    parser.add_argument("--yes", action="store_true", help="copy without asking")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be copied")
    flags.add_flags(parser, PrepareSettings)
    try:
        options, given = flags.parse(parser, PrepareSettings, arguments)
        settings = check(PrepareSettings, given)
        preparation = preview(settings)
    except SettingsError as error:
        print("\n".join(f"{path}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    print(preparation.sentence)
    for problem in preparation.problems:
        print(f"  {problem.path}: {problem.reason}; {problem.fix}")
    if options.dry_run:
        return 0
    if not options.yes and not agreed():
        print("Nothing was copied; --yes copies without asking.", file=sys.stderr)
        return 2
    try:
        for done, total, _ in copying(preparation):
            if sys.stderr.isatty():
                print(f"\r  {done:,} of {total:,} files", end="\n" * (done == total), file=sys.stderr, flush=True)
    except PrepareError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps({"folders": [str(folder) for folder in preparation.folders], "settings": fields(settings)}))
    return 0


def also() -> str:
    """How the others are called."""
    usages = (importlib.import_module(module).parser().format_usage() for module in OTHERS.values())
    return "".join(usages).replace("usage: ", "also:  ")


def agreed() -> bool:
    """Whether the person says yes; without a terminal nobody can."""
    return sys.stdin.isatty() and input("Copy? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
