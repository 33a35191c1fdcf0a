"""Measures the window under load: ten clients watch a run of 20,000 steps whose log has a million lines, in a workspace
of 200 runs, while someone clicks through them.

    .venv/bin/python -m benchmarks.window [--clients 10] [--seconds 40] [--runs 200] [--steps 20000] [--lines 1000000]

The clients ask what the page asks, as often as it asks; a click is what the page asks for when another run is chosen:
the run, its curves, the end of its log and its notes. Its thumbnails come as they are ready, and are counted apart. The
window's processor time is told too, because machines are shared. With Chromium, a real page looks on and is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402  after the path
import psutil  # noqa: E402
from PIL import Image  # noqa: E402

LIST = "/api/history?search=&state=&kind=&tag=&sort=newest&many=50"
MOST_MB, MOST_MS = 300, 200
PROMPTS = 3
CLICKS = 12  # with nobody else there


@dataclass
class Load:
    """What was asked for, and what came of it."""

    clients: int
    seconds: float
    runs: int
    steps: int
    lines: int
    polls: list[float] = field(default_factory=list)  # seconds
    pictures: list[float] = field(default_factory=list)  # seconds until the thumbnails of a click are there
    refused: list[str] = field(default_factory=list)
    sent: int = 0  # bytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, usual in (("clients", 10), ("runs", 200), ("steps", 20_000), ("lines", 1_000_000)):
        parser.add_argument(f"--{name}", type=int, default=usual)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = vars(parser.parse_args())
    if (job := options.pop("train")) is not None:
        return train(job, options["steps"])
    with tempfile.TemporaryDirectory(prefix="loratory-window-") as folder:
        os.environ["LORATORY_HOME"] = folder
        return measure(Path(folder), Load(**options))


def measure(home: Path, load: Load) -> int:
    began = time.monotonic()
    live, ids = prepared(load)
    print(f"a workspace of {load.runs} runs, made in {time.monotonic() - began:.0f} s", flush=True)
    command = [sys.executable, "-m", "benchmarks.window", "--train", str(live), "--steps", str(load.steps)]
    trainer = subprocess.Popen(command, cwd=ROOT)
    window, url = opened(home)
    try:
        code = told(load, url, psutil.Process(window.pid), live.name, ids)
        print((home / "window.log").read_text()[-3000:] if load.refused else "", end="")
        return code
    finally:
        for process in (window, trainer):
            process.kill()
            process.wait()


def told(load: Load, url: str, window: psutil.Process, live: str, ids: list[str]) -> int:
    with httpx.Client(base_url=url, timeout=60) as client:
        idle, spent = clicks(client, window, ids[:CLICKS], load)
        print(f"clicks before anyone watches: {words(idle)}, {1000 * spent:.0f} ms of a processor each", flush=True)
        alone = window.memory_info().rss
        over = threading.Event()
        watchers = [threading.Thread(target=watch, args=(url, live, load, over)) for _ in range(load.clients)]
        for watcher in watchers:
            watcher.start()
        rss = [alone]
        time.sleep(3)
        used, since = cpu(window), time.monotonic()
        busy = []
        while time.monotonic() - since < load.seconds:
            found, _ = clicks(client, window, random.sample(ids, 5), load)
            busy += found
            rss.append(window.memory_info().rss)
            time.sleep(0.5)
        share = (cpu(window) - used) / (time.monotonic() - since)
        print(f"clicks beside {load.clients} clients that watch: {words(busy)}", flush=True)
        page = in_chromium(url)
        rss.append(window.memory_info().rss)
        over.set()
        for watcher in watchers:
            watcher.join()
    print(f"the thumbnails of its newest samples, {PROMPTS}, first seen: {words(load.pictures)} more")
    sent = f"{load.sent / 1e6:.1f} MB sent, {len(load.refused)} refused"
    print(f"{len(load.polls)} polls of theirs: {words(load.polls)}; {sent}", *load.refused, sep="\n")
    print(f"the window took {share:.0%} of a processor, and {max(rss) / 1e6:.0f} MB at most ({alone / 1e6:.0f} before)")
    if page:
        print(f"a page in Chromium beside them shows another run after {words(page)}")
    good = max(rss) / 1e6 < MOST_MB and percentile(busy) * 1000 < MOST_MS and not load.refused
    print("kept" if good else f"NOT KEPT: {MOST_MB} MB and {MOST_MS} ms")
    return 0 if good else 1


def clicks(client: httpx.Client, window: psutil.Process, ids: list[str], load: Load) -> tuple[list[float], float]:
    """Seconds that each click took, and seconds of the processor for one."""
    spent, times = 0.0, []
    for run in ids:
        began, used = time.monotonic(), cpu(window)
        shown = click(client, run)
        times.append(time.monotonic() - began)
        spent += cpu(window) - used
        for step, index, _ in shown["samples"]["have"][-PROMPTS:]:
            client.get(f"/api/runs/{quote(run)}/samples/{step}/{index}?side=256").raise_for_status()
        load.pictures.append(time.monotonic() - began - times[-1])
    return times, spent / len(ids)


def click(client: httpx.Client, run: str) -> dict:
    base = f"/api/runs/{quote(run)}"
    shown = got(client, base)
    if shown["points"]:
        got(client, f"{base}/curves")
    got(client, f"{base}/log?offset=-1")
    got(client, f"{base}/notes")
    return shown


def got(client: httpx.Client, path: str) -> dict:
    return client.get(path).raise_for_status().json()


def watch(url: str, run: str, load: Load, over: threading.Event) -> None:
    """One page that shows the live run: the detail every 1.2 seconds, the list and what runs every two."""
    base, offset, points, due = f"/api/runs/{quote(run)}", -1, None, 0.0
    with httpx.Client(base_url=url, timeout=60) as client:

        def ask(path: str) -> dict:
            began = time.monotonic()
            answer = client.get(path)
            load.polls.append(time.monotonic() - began)
            load.sent += len(answer.content)
            if answer.status_code != 200:
                load.refused.append(f"{path}: {answer.status_code} {answer.text[:200]}")
            return answer.raise_for_status().json()

        while not over.wait(random.uniform(1.1, 1.3)):
            with contextlib.suppress(httpx.HTTPError):
                shown = ask(base)
                if shown["points"] != points:
                    ask(f"{base}/curves")
                    points = shown["points"]
                offset = ask(f"{base}/log?offset={offset}")["offset"]
                if time.monotonic() > due:
                    ask(LIST)
                    ask("/api/runs?live=true")
                    due = time.monotonic() + 2


def in_chromium(url: str) -> list[float]:
    """Seconds until a real page shows the run that was clicked; nothing without a Chromium."""
    if (program := shutil.which("chromium")) is None:
        return []
    from playwright.sync_api import sync_playwright

    times = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.get_by_role("tab", name="Runs", exact=True).click(timeout=120_000)
        page.wait_for_selector(".lor-run-line")
        for number in range(2, 8):
            line = page.locator(".lor-run-line").nth(number)
            name = line.locator("b").inner_text()
            began = time.monotonic()
            line.click()
            page.locator(".lor-run h2", has_text=name).first.wait_for()
            times.append(time.monotonic() - began)
        browser.close()
    return times


def prepared(load: Load) -> tuple[Path, list[str]]:
    """The folder of a run to come with all its past, and the ids of the others."""
    from jobs import folder
    from settings import toml
    from settings.errors import check
    from trainer.config import TrainSettings

    text = toml.dumps(check(TrainSettings, {"model": {"base": "someone/some-model"}}))
    ids = []
    for number in range(load.runs - 1):
        job = folder.create("train", f"run-{number:03d}", text, ["python", "-c", "pass"])
        past(job.folder, 1000, 200)
        with job.events_path.open("a") as events:
            events.write(event("finished", steps=1000, seconds=100, lora="x.safetensors"))
        ids.append(job.id)
    job = folder.create("train", "live", text, ["python", "-c", "pass"])
    past(job.folder, load.steps, load.lines)
    return job.folder, ids


def past(job: Path, steps: int, lines: int) -> None:
    """What a run of so many steps has left: events, samples at four of them, a log."""
    with (job / "events.jsonl").open("w") as events:
        plan = {"sentence": "a plan"}
        events.write(event("started", step=0, total_steps=2 * steps, epochs=10, device="cpu", plan=plan))
        events.write(step_events(steps))
        for step in range(0, steps, steps // 4):
            for index in range(PROMPTS):
                path = f"samples/{step:08d}_{index:02d}.png"
                shutil.copyfile(drawn(index), job / path)
                events.write(event("sample", step=step, index=index, prompt=f"prompt {index}", seed=index, path=path))
    with (job / "log.txt").open("w") as log:
        for thousand in range(lines // 1000):
            log.write(f"step {thousand}000 of a run, with a loss of 0.1234 and some more words\n" * 1000)


@cache
def drawn(index: int) -> Path:
    path = Path(os.environ["LORATORY_HOME"]) / f"{index}.png"
    Image.linear_gradient("L").rotate(30 * index).resize((512, 512)).convert("RGB").save(path)
    return path


def event(kind: str, **values: object) -> str:
    return json.dumps({"time": time.time(), "kind": kind} | values) + "\n"


def step_event(step: int) -> str:
    loss = 0.1 + random.random() / (1 + step / 1000)
    rates = {"denoiser": 1e-4, "text_encoder": 5e-5}
    more = {"grad_norm": 0.4, "skipped": 0, "loss_average": 0.12, "lr": 1e-4, "it_s": 3.2, "img_s": 6.4, "eta": 900.0}
    return event("step", step=step, epoch=step / 1000, loss=loss, lrs=rates, memory_gb=7.8, **more)


@cache
def step_events(steps: int) -> str:
    return "".join(map(step_event, range(1, steps + 1)))


def train(job: Path, step: int) -> int:
    """Stands in for the trainer of the live run: ten steps a second, until it is ended."""
    from jobs import process

    process.claim(job)
    while True:
        step += 1
        with (job / "events.jsonl").open("a") as events, (job / "log.txt").open("a") as log:
            events.write(step_event(step))
            log.write(f"step {step} of a run that goes on\n")
        time.sleep(0.1)


def opened(home: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gui", "--port", str(port), "--no-browser"]
    with (home / "window.log").open("wb") as log:
        window = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    while window.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/healthz", timeout=2).status_code == 200:
                return window, url
        time.sleep(0.1)
    raise SystemExit(f"the window did not open: {(home / 'window.log').read_text()[-2000:]}")


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def percentile(times: list[float], share: float = 0.95) -> float:
    return sorted(times)[min(len(times) - 1, round(share * len(times)))]


def words(times: list[float]) -> str:
    median, most = statistics.median(times), percentile(times)
    return f"{1000 * median:.0f} ms (median), {1000 * most:.0f} ms (95th percentile)"


if __name__ == "__main__":
    sys.exit(main())
