"""Starts programs of ours from a process that has imported the window's modules already, which takes longer than all
that a window does after it. Each is a fork: a process of its own, as if Python had been started for it.

A line of JSON for each on stdin, {"python": arguments of Python, "environment": ..., "log": a file}; its pid on stdout.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from typing import Any


def main() -> None:
    from gui.__main__ import forget_gradio_settings

    forget_gradio_settings()  # as the window does it, before Gradio is imported
    import uvicorn  # noqa: F401

    import gui.app  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for their results
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            return become(asked)
        print(child, flush=True)


def become(asked: dict[str, Any]) -> None:
    """The program, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for new, old in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(new, old)
    os.environ.clear()
    os.environ.update(asked["environment"])
    first, *rest = asked["python"]
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = asked["python"]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    main()
