"""`python launch.py prepare check FOLDER`: the doctor in a terminal, for scripts, and as a page to keep."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from dataset.doctor import report
from dataset.doctor.check import Finding
from dataset.doctor.examine import Examination, examine
from dataset.problem import counted, printable
from dataset.settings import DatasetSettings
from settings.errors import SettingsError, check

FAMILIES = {"sd15": (512, 64), "sd2": (768, 64), "sdxl": (1024, 64)}  # what each is trained at: resolution, bucket step
SHOWN = 8  # cases of a finding in the terminal
MARKS = {"serious": "!!", "warning": " !", "note": "  "}


def main(arguments: list[str]) -> int:
    """0: nothing serious, 1: something serious, 2: it could not be checked."""
    options = parser().parse_args(arguments)
    folder = Path(os.path.expanduser(options.folder))
    try:
        if not folder.is_dir():
            raise SettingsError({"FOLDER": f"there is no such folder: {folder}"})
        settings = check(DatasetSettings, _settings(options))
        if options.report:
            report.check_place(Path(options.report))
    except SettingsError as error:
        print("\n".join(f"{path}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    found = examine(folder, settings, options.trigger, bool(options.report), _progress if _talks() else None)
    if options.json:
        print(json.dumps(found.as_dict(), ensure_ascii=False, indent=1))
    else:
        _tell(found)
    if options.report:
        try:
            report.write(found, Path(options.report))
        except OSError as error:
            print(f"--report: {error.strerror or error} ({options.report})", file=sys.stderr)
            return 2
    return 1 if found.serious else 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="launch.py prepare check", allow_abbrev=False,
        description="Looks for what is wrong with a folder of pictures and captions, and says what it does to training "
                    "and what to do. Changes nothing. Ends with 1 if something is serious.")
    made.add_argument("folder", metavar="FOLDER", help="the pictures, or a folder that `prepare` made")
    made.add_argument("--trigger", default="", metavar="WORD", help="the word that every caption should have")
    made.add_argument("--family", default="sd15", choices=FAMILIES, help="what will be trained (default: sd15)")
    made.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of the family's own")
    made.add_argument("--caption-extension", default=".txt", metavar=".EXT", help="default: .txt")
    made.add_argument("--json", action="store_true", help="everything as JSON, with hashes of every picture")
    made.add_argument("--report", metavar="FILE.html", help="also write a page with thumbnails, in one file")
    return made


def _settings(options: argparse.Namespace) -> dict[str, object]:
    resolution, step = FAMILIES[options.family]
    return {"resolution": options.resolution or resolution, "bucket_step": step,
            "caption_extension": options.caption_extension}


def _tell(found: Examination) -> None:
    for finding in found.findings:
        print(f"{MARKS[finding.severity]} {finding.title}\n     {finding.effect}\n     {finding.fix}")
        for line in _lines(found, finding):
            print(f"       {line}")
    serious = sum(finding.severity == "serious" for finding in found.findings)
    pictures, findings = counted(len(found.subject.items), "picture"), counted(len(found.findings), "finding")
    print(f"{pictures}, {findings}, {serious} serious.")


def _lines(found: Examination, finding: Finding) -> list[str]:
    cases = [_line(found, finding, index) for index in range(min(SHOWN, len(finding.cases)))]
    more = len(finding.cases) - len(cases)
    return [*cases, f"and {more:,} more, see --json or --report"] if more else cases


def _line(found: Examination, finding: Finding, index: int) -> str:
    case = finding.cases[index]
    names = [found.name(path) + " (keep)" * (path == case.keep) for path in case.paths]
    return printable(": ".join(filter(None, (", ".join(names), case.detail))))


def _talks() -> bool:
    return sys.stderr.isatty()


def _progress(done: int, total: int) -> None:
    print(f"\r  {done:,} of {total:,} pictures", end="\n" * (done == total), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
