"""Starts Loratory: sets up `.venv` beside this file once, then runs one verb in it.

Standard library only, and no syntax newer than Python 3.8, so that a Python that is too old (or too new) gets one
clear line instead of a traceback. The verb runs with the Python of `.venv` and sees no packages but those.
"""

from __future__ import annotations

import os
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
OLDEST, NEWEST = (3, 11), (3, 13)
LOCK, TEST_LOCK = "requirements.lock", "tests/requirements.lock"

VERBS = {  # verb -> (module that runs in .venv, what it does)
    "studio": ("gui", "open the studio in the browser (also without a verb): [--host] [--port] [--no-browser]"),
    "demo": ("toy.demo", "teach the built-in toy model a character, no download: a LoRA and before/after pictures"),
    "train": ("trainer.command", "train: CONFIG.toml [--job DIR] [--section.field VALUE ...] [--ask WISH] [--dry-run]"),
    "import-settings": ("trainer.imports.command", "kohya_ss, sd-scripts or LoRA settings: FILE [--out CONFIG.toml]"),
    "caption": ("captioners.command", "describe pictures: FOLDER [--captioner NAME] [--mode MODE] [--dry-run|--undo]"),
    "prepare": ("dataset.command", "training folders (--help); or check, see, resize, import, export, import-analysis"),
    "report": ("gui.report", "tell a run in one HTML file: JOB [--out FILE]"),
    "queue": ("jobs.command", "look at the queue: [list|pause|continue|add JOB|next JOB|up JOB|down JOB|remove JOB]"),
    "lora": ("trainer.tools.command", "LoRA files: inspect FILE [--json], convert FILE --to DIALECT [--out PATH]"),
    "test": ("pytest", "install what the tests need, then run them; further arguments go to pytest"),
    "doctor": ("setup.doctor", "check Python, packages, GPU, memory, disk and network, each with its fix: [--json]"),
}


def main(arguments: list[str]) -> int:
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        this = ".".join(str(part) for part in sys.version_info[:3]) + f" ({sys.executable})"
        start = "py -3.12 launch.py" if os.name == "nt" else "python3.12 launch.py"
        return complain(f"Loratory needs Python 3.11, 3.12 or 3.13; this is {this}. Install one, then: {start}")
    sys.path.insert(0, ROOT)
    from setup.environment import Environment, SetupError, ensure

    verb, arguments = split(arguments)
    if verb in ("help", "--help", "-h"):
        print(overview())
        return 0
    if verb not in VERBS:
        return complain(unknown(verb))
    environment = Environment(ROOT)
    locks = [LOCK, TEST_LOCK] if verb == "test" else [LOCK]
    try:
        if verb != "doctor":
            ensure(environment, locks)
        return environment.run(VERBS[verb][0], pytest(arguments) if verb == "test" else arguments)
    except SetupError as error:
        return complain(str(error))
    except KeyboardInterrupt:
        return complain("Stopped. The same command goes on where it was.")


def split(arguments: list[str]) -> tuple[str, list[str]]:
    """Verb and its arguments. No verb means the studio, also when its options come first (`launch.py --port 8000`)."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        return "studio", arguments
    return arguments[0], arguments[1:]


def pytest(arguments: list[str]) -> list[str]:
    """pytest's arguments: everything, in as many processes as there are cores; what the person adds wins. The files
    come in the order of tests/conftest.py, where xdist would put those with few tests last, however long they take."""
    os.chdir(ROOT)
    return ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", "--no-loadscope-reorder", *arguments]


def overview() -> str:
    lines = ["python launch.py [VERB] [OPTIONS]", ""]
    lines += [f"  {verb:17}{what}" for verb, (_, what) in VERBS.items()]
    return "\n".join([*lines, "", "python launch.py VERB --help lists a verb's options."])


def unknown(verb: str) -> str:
    import difflib

    near = difflib.get_close_matches(verb, VERBS, n=1)
    guess = f"did you mean `{near[0]}`?" if near else f"the verbs are {', '.join(VERBS)}."
    return f"There is no verb `{verb}`; {guess}"


def complain(line: str) -> int:
    sys.stderr.write(line + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
