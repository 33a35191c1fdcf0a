"""A container is told to stop: what runs saves and ends, and nothing new begins."""

import sys
import threading

from jobs import folder, queue, shutdown
from jobs.process import is_running
from tests.jobs.conftest import runners, supervisor_ends

SAVES = """
import pathlib, sys, time
job = pathlib.Path(sys.argv[1])
while not (job / "requests" / "stop").exists():
    time.sleep(0.02)
(job / "saved").touch()
with (job / "events.jsonl").open("a") as events:
    events.write('{"kind": "stopped", "time": 1}\\n')
"""


def test_what_runs_is_saved_and_what_waits_goes_on_waiting(workspace, wait):
    first, second = (folder.create("test", name, "", [sys.executable, "-c", SAVES, "{job}"]) for name in "ab")
    queue.submit(first)
    queue.submit(second)
    wait(lambda: is_running(first.folder))
    ended = []
    thread = threading.Thread(target=lambda: ended.append(shutdown.end_all(folder.home())))
    thread.start()
    thread.join(300)
    assert ended == [1] and (first.folder / "saved").exists() and first.state() == "stopped"
    assert second.state() == "queued" and not (second.folder / "process.json").exists()
    supervisor_ends(first)
    assert runners() == [] and queue.queued(folder.home()) == [second]
