"""`python launch.py import-settings`: a foreign settings file as ours, with the report of what became of each setting.

python launch.py import-settings FILE [--out config.toml]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from settings import toml
from settings.errors import parse
from settings.flags import nested
from trainer.config import TrainSettings
from trainer.imports.reading import read
from trainer.imports.report import ImportProblem


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="launch.py import-settings", allow_abbrev=False,
        description="Read settings of kohya_ss (JSON), sd-scripts (TOML) or a LoRA file, and say what became of each. "
        "Nothing is trained.")
    parser.add_argument("file", type=Path, metavar="FILE", help="a .json, .toml or .safetensors file")
    parser.add_argument("--out", type=Path, metavar="CONFIG.toml", help="write them as settings that `train` takes")
    parser.add_argument("--force", action="store_true", help="replace CONFIG.toml if it is there")
    options = parser.parse_args(arguments)
    try:
        report = read(options.file)
        print(report.text())
        if options.out:
            write(options.out, nested(report.values), f"Imported from {options.file.name}.", options.force)
    except ImportProblem as error:
        said = str(error)
        print(said if options.file.name in said else f"{options.file.name}: {said}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{options.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 2
    return 0


def write(path: Path, values: dict, about: str, force: bool) -> None:
    """Raises ImportProblem where a file is in the way."""
    if path.exists() and not force:
        raise ImportProblem(f"{path} is there already: choose another name, or --force")
    toml.write(path, toml.dumps(parse(TrainSettings, values), header=about))
    print(f"\nWritten to {path}: python launch.py train {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
