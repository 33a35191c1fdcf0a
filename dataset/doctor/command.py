"""`python launch.py prepare check FOLDER`: the doctor in a terminal, for scripts, as a page to keep; and its fixes."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from dataset.deeds import Deeds
from dataset.doctor import report
from dataset.doctor.check import Case, Finding
from dataset.doctor.examine import Examination, examine
from dataset.doctor.fixes import fix_of, fixes
from dataset.doctor.job import Settings, looks, planned
from dataset.doctor.known import Known
from dataset.doctor.steps import Step, apply
from dataset.problem import Problem, counted, printable
from dataset.reading import FAMILIES
from settings.errors import SettingsError, check

ROOT = Path(__file__).resolve().parents[2]
SHOWN = 8  # cases of a finding in the terminal
MARKS = {"serious": "!!", "warning": " !", "note": "  "}


def main(arguments: list[str]) -> int:
    """0: nothing serious, 1: something serious, or a file that couldn't be mended; 2: it could not be checked."""
    options = parser().parse_args(arguments)
    try:
        settings = check(Settings, _settings(options))
        root, sizes = settings.root, settings.sizes()
        if options.report:
            report.check_place(Path(options.report))
        if options.undo is not None:
            return _undo(root, options.undo or None)
        if options.clip is not None and (code := _compare(root, options)):
            return code
        with Known(looks()) as known:
            progress = _progress if sys.stderr.isatty() else None
            found = examine(root, sizes, settings.aim, bool(options.report), progress, known)
        if options.fix:
            return _fix(settings, found, options)
    except SettingsError as error:
        print("\n".join(f"{_flag(path)}: {problem}" for path, problem in error.problems.items()), file=sys.stderr)
        return 2
    except OSError as error:  # a journal that can't be written says what to do
        print(error, file=sys.stderr)
        return 2
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
                    "and what to do. Changes nothing without --fix. Ends with 1 if something is serious.")
    made.add_argument("folder", metavar="FOLDER", help="the pictures, or a folder that `prepare` made")
    made.add_argument("--trigger", default="", metavar="WORD", help="the word that every caption should have")
    made.add_argument("--family", default="sd15", choices=FAMILIES, help="what will be trained (default: sd15)")
    made.add_argument("--resolution", type=int, metavar="PIXELS", help="instead of the family's own")
    made.add_argument("--tokens", type=int, metavar="N",
                      help="how much of a caption is read, instead of the family's own")
    made.add_argument("--caption-extension", default=".txt", metavar=".EXT", help="default: .txt")
    made.add_argument("--json", action="store_true", help="everything as JSON, with hashes of every picture")
    made.add_argument("--report", metavar="FILE.html", help="also write a page with thumbnails, in one file")
    made.add_argument("--clip", nargs="?", const="", metavar="MODEL",
                      help="first compare pictures with captions by a CLIP: a folder with an open_clip model, or a hub "
                           "name (default: the first known one on this machine, else the toy)")
    made.add_argument("--download", action="store_true", help="agree to download that model, under its licence")
    mend = made.add_argument_group("mending what was found; each fix can be taken back")
    mend.add_argument("--fix", default="", metavar="NAME", help="a finding's name, as captions.lines; all its cases")
    mend.add_argument("--how", default="", metavar="FIX", help="which of its fixes, as bin or exclude (default: first)")
    mend.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="as encoding=cp1251")
    mend.add_argument("--only", action="append", default=[], metavar="FILE",
                      help="only cases with this file, or about this tag; may be repeated")
    mend.add_argument("--dry-run", action="store_true", help="only say what the fix would do")
    mend.add_argument("--undo", nargs="?", const="", metavar="ID", help="take back the last fix, or the one of this id")
    return made


def _compare(root: Path, options: argparse.Namespace) -> int:
    """Lets a CLIP look at the pictures, in a process of its own, which may load what this one may not; its exit code.
    What it sees is kept, and read by the checks."""
    command = [sys.executable, "-m", "captioners.clip.compare", str(root), "--model", options.clip,
               "--caption-extension", options.caption_extension, *["--download"] * options.download]
    return subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False).returncode


def _settings(options: argparse.Namespace) -> dict[str, object]:
    names = ("folder", "family", "resolution", "tokens", "trigger", "caption_extension")
    return {name: getattr(options, name) for name in names} | {
        "fix": {"finding": options.fix, "how": options.how, "options": options.option}}


def _flag(path: str) -> str:
    """How a setting is called here."""
    return {"folder": "FOLDER", "fix": "--fix", "how": "--how", "options": "--option", "trigger": "--trigger"}.get(
        path, path)


def _fix(settings: Settings, found: Examination, options: argparse.Namespace) -> int:
    findings = [finding.only(_only(found, finding, options.only)) for finding in found.findings]
    if not any(finding.name == options.fix and finding.cases for finding in findings):
        fix_of(options.fix, options.how)
        names = ", ".join(finding.name for finding in found.findings) or "nothing"
        print(f"There is nothing to mend: {options.fix} wasn't found. Found: {names}.")
        return 0
    plan = planned(settings, findings)
    for step in plan.steps:
        print("  " + printable(_step(found, step)))
    _tell_kept(found, plan.problems)
    if options.dry_run:
        print(f"{plan.label}: {counted(len(plan.steps), 'file')} would be changed. Nothing was.")
        return 0
    outcome = apply(found.subject.root, plan)
    _tell_kept(found, outcome.kept[len(plan.problems):])
    back = f" To take it back: --undo {outcome.id}" if outcome.id else ""
    print(f"{counted(outcome.changed, 'file')} changed.{back}")
    return 1 if outcome.kept else 0


def _undo(root: Path, id: str | None) -> int:
    outcome = Deeds(root).undo(id)
    if outcome.id is None:
        print("There is nothing to take back.")
    else:
        print(f"{counted(outcome.changed, 'file')} as before.")
    for problem in outcome.kept:
        print("  " + printable(f"{problem.path}: {problem.reason}; {problem.fix}"))
    return 1 if outcome.kept else 0


def _only(found: Examination, finding: Finding, names: list[str]) -> list[Case]:
    return [case for case in finding.cases if not names or case.about in names
            or any(name in (found.name(path), str(path)) for path in case.paths for name in names)]


def _step(found: Examination, step: Step) -> str:
    """What would happen, as a line."""
    told, name = step.told(), found.name(step.picture)
    others = ", ".join(told.get("others", ()))
    return {
        "bin": f"{name}: to the bin" + (f", with {others}" if others else ""),
        "rename": f"{name}: becomes {told.get('to')}", "flatten": f"{name}: a flat copy, {told.get('to')}",
        "exclude": f"{name}: left out of training", "include": f"{name}: trained on again",
        "delete": f"{name}: deleted",
        "write": f'{name}: {told.get("before")!r} becomes {told.get("after")!r}' if told.get("after") else
                 f"{name}: written anew",
    }[told["what"]]


def _tell_kept(found: Examination, problems: list[Problem]) -> None:
    for problem in problems:
        print("  " + printable(f"{found.name(problem.path)}: left as it is: {problem.reason}; {problem.fix}"))


def _tell(found: Examination) -> None:
    for finding in found.findings:
        print(f"{MARKS[finding.severity]} {finding.title}\n     {finding.effect}\n     {finding.fix}{_ways(finding)}")
        for line in _lines(found, finding):
            print(f"       {line}")
    serious = sum(finding.severity == "serious" for finding in found.findings)
    pictures, findings = counted(len(found.subject.items), "picture"), counted(len(found.findings), "finding")
    print(f"{pictures}, {findings}, {serious} serious.")


def _ways(finding: Finding) -> str:
    """How to mend it with a command."""
    ways = [fix.how for fix in fixes(finding.name)]
    how = f" --how {'|'.join(ways)}" if len(ways) > 1 else ""
    return f" (--fix {finding.name}{how})" if ways else ""


def _lines(found: Examination, finding: Finding) -> list[str]:
    cases = [_line(found, finding, index) for index in range(min(SHOWN, len(finding.cases)))]
    more = len(finding.cases) - len(cases)
    return [*cases, f"and {more:,} more, see --json or --report"] if more else cases


def _line(found: Examination, finding: Finding, index: int) -> str:
    case = finding.cases[index]
    names = [found.name(path) + " (keep)" * (path == case.keep) for path in case.paths]
    return printable(": ".join(filter(None, (", ".join(names), case.detail))))


def _progress(done: int, total: int) -> None:
    print(f"\r  {done:,} of {total:,} pictures", end="\n" * (done == total), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
