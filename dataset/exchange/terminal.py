"""The same work as the window begins, in a terminal: progress, problems and warnings as lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

from dataset.exchange.formats import formats
from dataset.problem import Problem, counted, printable
from settings import flags
from settings.errors import SettingsError, check
from settings.section import Section

SHOWN = 20  # problems


class Terminal:
    """Has the methods of `dataset.work.Teller` that this work uses."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def progress(self, name: str, done: int, total: int) -> None:
        if sys.stderr.isatty() and total:
            print(f"\r  {name}: {done:,} of {total:,}", end="\n" * (done == total), file=sys.stderr, flush=True)

    def problem(self, problem: Problem) -> None:
        self.problems.append(problem)

    def warn(self, message: str) -> None:
        print(f" ! {printable(message)}")

    def close(self) -> None:
        for problem in self.problems[:SHOWN]:
            print(f"  {printable(str(problem.path))}: {printable(problem.reason)}; {printable(problem.fix)}")
        if more := len(self.problems) - SHOWN:
            print(f"  and {counted(more, 'more thing')} to look at" if more > 0 else "", end="\n" * (more > 0))


def parser(usage: str, section: type[Section], what: str) -> argparse.ArgumentParser:
    """A parser whose first word is the section's first setting, and whose flags are all of them; `what` the formats
    must have to be listed: read or write."""
    first = next(iter(section.model_fields))
    made = argparse.ArgumentParser(
        usage=f"launch.py prepare {usage}", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"{section.__doc__} Nothing is deleted or overwritten.", epilog=listed(what))
    made.add_argument(first, metavar=first.upper(), nargs="?", default=argparse.SUPPRESS)
    flags.add_flags(made, section)
    return made


def listed(what: str) -> str:
    """The formats that have `what`: read or write."""
    able = [module for module in formats().values() if hasattr(module, what)]
    return "formats:\n" + "\n".join(f"  {module.name:16}{module.label}" for module in able)


def run(made: argparse.ArgumentParser, section: type[Section], work: Callable[[Any, Any], dict[str, Any]],
        arguments: list[str]) -> int:
    """0: done, 1: the disk refused, 2: it can't be done like this."""
    told = Terminal()
    try:
        _, given = flags.parse(made, section, arguments)
        result = work(check(section, given), told)
    except SettingsError as error:
        print("\n".join(f"{path}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{error.strerror or error} ({error.filename or 'the output'}). Nothing was made.", file=sys.stderr)
        return 1
    finally:
        told.close()
    print(result["sentence"])
    print("Nothing was written." if result["dry_run"] else f"Written: {result['output']}")
    return 0
