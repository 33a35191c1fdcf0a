"""`python -m captioners run JOB`: the process that works on a captioning job.

The one place that catches everything: whatever goes wrong ends as a `failed` event with a cause and a fix, and exit
code 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

from captioners.failures import explain
from jobs.events import EventWriter


def main(argv: list[str]) -> int:
    if len(argv) != 2 or argv[0] != "run":
        print("usage: python -m captioners run JOB", file=sys.stderr)
        return 2
    folder = Path(argv[1]).absolute()
    try:
        from captioners.run import run

        run(folder)
    except Exception as error:  # noqa: BLE001  said in full to the person, here and in the event
        failure = explain(error)
        print(f"{failure.trace}\n{failure.cause}\n{failure.fix}", file=sys.stderr, flush=True)
        words = {"cause": failure.cause, "fix": failure.fix, "traceback": failure.trace}
        EventWriter(folder / "events.jsonl").write("failed", **words)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
