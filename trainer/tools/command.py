"""`python launch.py lora …`: what can be done with LoRA files from the shell.

python launch.py lora inspect FILE [--json]
python launch.py lora convert FILE --to DIALECT [--out PATH]
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from trainer.lora.keys import DIALECTS, LoraError
from trainer.tools.convert import convert
from trainer.tools.inspect import EXAMPLES, inspect, lines


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="launch.py lora", description="Look into LoRA files and write them anew.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog="  lora inspect FILE [--family NAME] [--json]\n"
        f"  lora convert FILE --to {'|'.join(DIALECTS)} [--out PATH] [--family NAME] [--json]")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="inspect|convert")
    look = verbs.add_parser("inspect", help="what a file is: family, names, ranks, what it changes, its metadata")
    change = verbs.add_parser(
        "convert", help="the same weights under other names", formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="dialects:\n" + "\n".join(f"  {name:14}{what}" for name, what in DIALECTS.items()))
    for verb in (look, change):
        verb.add_argument("file", type=Path, help="a .safetensors file, or a folder of PEFT or diffusers")
        verb.add_argument("--family", default="", help="only where the file does not tell")
        verb.add_argument("--json", action="store_true", help="for programs")
    change.add_argument("--to", required=True, choices=DIALECTS, metavar="DIALECT", help=", ".join(DIALECTS))
    change.add_argument("--out", type=Path, help="where to; nothing is overwritten. Else beside the file")
    return top


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        if options.verb == "inspect":
            report = inspect(options.file, options.family)
            print(json.dumps(report) if options.json else "\n".join(lines(report)))
            return 0
        done = convert(options.file, options.to, options.out, options.family)
    except (LoraError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(done) | {"path": str(done.path)}))
        return 0
    print(f"{done.path}: {done.layers:,} layers of {done.family}")
    if done.unmatched:
        examples = ", ".join(done.unmatched[:EXAMPLES])
        print(f"left out: {len(done.unmatched):,} keys that fit no layer, such as {examples}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
