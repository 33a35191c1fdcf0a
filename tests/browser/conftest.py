"""A window on a free port with a workspace of its own, and a real Chromium that looks at it.

Whatever the page prints as an error, throws, or asks of another host fails the test that made it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest
from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
PATIENCE = 90_000  # ms; machines that run tests are often busy
SIZE = {"viewport": {"width": 1280, "height": 900}}
LISTEN = """window.toldForAMoment = [];
new MutationObserver((all) => all.forEach((one) => one.addedNodes.forEach((node) => {
  if (node.classList?.contains("lor-toast")) window.toldForAMoment.push(node.textContent);
}))).observe(document, { childList: true, subtree: true });"""
TOLD = """(text) => {
  const at = window.toldForAMoment.findIndex((one) => one.includes(text));
  return at >= 0 && window.toldForAMoment.splice(at, 1).length > 0;
}"""
GONE = [  # what a page says of a window that was killed, whatever of an answer had come
    "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "ERR_CONTENT_LENGTH_MISMATCH",
    "ERR_INCOMPLETE_CHUNKED_ENCODING", "Failed to fetch", "network error",
]
HOSTILE = "<img src=x onerror=alert(1)> & \"quotes\" 'и' 猫"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


class Warm:
    """Begins programs in a process of their own, from one that has imported what windows import (`warm.py`)."""

    def __init__(self) -> None:
        self._python: subprocess.Popen | None = None

    def begin(self, python: list[str], environment: dict[str, str], log: Path) -> psutil.Process:
        if sys.platform != "linux":  # elsewhere a process that is forked may not use all that its parent has loaded
            with log.open("ab") as output:
                plain = subprocess.Popen([sys.executable, *python], cwd=ROOT, env=environment, stdout=output,
                                         stderr=output, stdin=subprocess.DEVNULL, start_new_session=True)
            return psutil.Process(plain.pid)
        if self._python is None:
            warm = [sys.executable, "-m", "tests.browser.warm"]
            self._python = subprocess.Popen(warm, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        asked = {"python": python, "environment": environment, "log": str(log)}
        print(json.dumps(asked), file=self._python.stdin, flush=True)
        return psutil.Process(int(self._python.stdout.readline()))

    def end(self) -> None:
        if self._python is not None:
            self._python.communicate()
            self._python = None


WARM = Warm()


def pytest_sessionfinish() -> None:
    WARM.end()


class Server:
    """A window in a process of its own. `python`: the program and its arguments before those of the window."""

    def __init__(self, home: Path, python: list[str], **environment: str):
        self.home, self._python = home, python
        self._environment = {
            "LORATORY_HOME": str(home),
            "GRADIO_SHARE": "True",
            "GRADIO_ALLOWED_PATHS": "/",
            **environment,
        }
        self._process: psutil.Process | None = None
        self._kept = socket.socket()  # bound and never listening, so that nobody else is given the port meanwhile
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.port = self._kept.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> Server:
        self.home.mkdir(parents=True, exist_ok=True)
        log = self.home / "window.log"
        command = [*self._python, "--port", str(self.port), "--no-browser"]
        self._process = WARM.begin(command, os.environ | self._environment, log)
        deadline = time.monotonic() + 300
        while self._process.is_running() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if urlopen(f"{self.url}/healthz", timeout=5).status == 200:
                    return self
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the window did not open: {log.read_text()}")

    def kill(self) -> None:
        """As the worst of ends: no word, no clean-up."""
        assert self._process
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End the window and all that it has started."""
        self.kill()
        self._kept.close()
        for wait in (False, True):
            for job in self.jobs():
                (job / "requests").mkdir(exist_ok=True)
                (job / "requests" / "stop").touch()
                deadline = time.monotonic() + 20
                while wait and (job / "process.json").exists() and alive(job) and time.monotonic() < deadline:
                    time.sleep(0.05)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """The stand-in's runs wait shortly before their middle, so that nobody has to hurry who watches one."""
        (self.home / "hold").touch()
        try:
            yield
        finally:
            (self.home / "hold").unlink(missing_ok=True)

    def learns(self, form: str, name: str, value: object) -> None:
        """Wait until the window knows what was typed."""
        draft = self.home / "drafts" / f"{form}.json"
        comes_true(lambda: draft.exists() and json.loads(draft.read_text(encoding="utf-8")).get(name) == value)

    def computed(self) -> float:
        """Seconds of processor time that the window has used."""
        return sum(self._process.cpu_times()[:2])

    def jobs(self) -> list[Path]:
        return sorted(path for path in (self.home / "jobs").glob("*") if (path / "job.json").is_file())


def comes_true(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait for it, `patience` ms at most."""
    deadline = time.monotonic() + patience / 1000
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def alive(job: Path) -> bool:
    from jobs.process import is_running

    return is_running(job)


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """Not for the whole session: Playwright keeps an event loop running, beside which other tests could have none."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed; the browser tests need it")
        pytest.skip("chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A window whose runs are done by the stand-in: 160 steps in about eight seconds, or as a module's `RUNS` says
    (steps, seconds a step). For a module that says `REAL_JOBS = True` the window is as it is, and its jobs are real."""
    steps, pace = getattr(request.module, "RUNS", (160, 0.05))
    fake = [str(Path(__file__).with_name("fake_window.py")), str(steps), str(pace)]
    real = getattr(request.module, "REAL_JOBS", False)
    how = {"OMP_NUM_THREADS": "1"} if real else {}
    running = Server(tmp_path_factory.mktemp("home"), ["-m", "gui"] if real else fake, **how).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set for all tests of a module, of six pictures or as many as its `PICTURES` says."""
    folder = tmp_path_factory.mktemp("pictures") / "my 'cat' пёс"
    return draw_pictures(folder, getattr(request.module, "PICTURES", 6))


class Visit:
    """A page, and all that went wrong on it."""

    def __init__(self, browser, url: str, context=None, **options):
        """`context`: one that others have used before; what they left in it is forgotten but for its cache."""
        self.context = context or browser.new_context(**(SIZE | options))
        self._shared = context is not None
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        if self._shared:
            self.context.clear_cookies()
            self.context.clear_permissions()
            self.page.goto(f"{url}/healthz")
            self.page.evaluate("localStorage.clear()")
        self.wrong: list[str] = []
        self.expected: list[str] = []  # parts of messages that a test brings about on purpose
        self.page.add_init_script(LISTEN)
        self._asked: set = set()  # what was sent and has no answer yet
        self.page.on("request", lambda request: self._asked.add(request) if request.method == "POST" else None)
        for end in ("requestfinished", "requestfailed"):
            self.page.on(end, lambda request: self._asked.discard(request))
        self.page.on("pageerror", lambda error: self.wrong.append(f"threw: {error}"))
        self.page.on(
            "console",
            lambda message: self.wrong.append(f"console: {message.text}") if message.type == "error" else None,
        )
        self.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((url, "data:", "blob:"))
                else self.wrong.append(f"asked another host: {request.url}")
            ),
        )
        self.page.on("dialog", lambda dialog: (self.wrong.append(f"alert: {dialog.message}"), dialog.dismiss()))
        self.page.goto(url)
        self.page.wait_for_function("() => document.querySelector('#dataset-path')?.disabled === false")

    def told(self, text: str) -> None:
        """Wait until the page has said this for a moment, at its lower edge; each message is taken once."""
        self.page.wait_for_function(TOLD, arg=text)

    def close(self) -> None:
        deadline = time.monotonic() + 20  # what is on its way would be the next test's draft
        while self._asked and time.monotonic() < deadline:
            self.page.wait_for_timeout(20)
        (self.page if self._shared else self.context).close()
        unexpected = [text for text in self.wrong if not any(part in text for part in self.expected)]
        assert unexpected == []

    def open(self, room: str) -> None:
        self.page.get_by_role("tab", name=room, exact=True).click()


@pytest.fixture(scope="module")
def context(chromium) -> Iterator[object]:
    """A browser's memory for all pages of a module that need none of their own: our scripts are loaded once."""
    shared = chromium.new_context(**SIZE)
    yield shared
    shared.close()


@pytest.fixture
def visit(chromium, context, server: Server) -> Iterator[Visit]:
    """A page with nothing typed into it yet."""
    for draft in (server.home / "drafts").glob("*.json"):
        draft.unlink()
    visiting = Visit(chromium, server.url, context)
    yield visiting
    visiting.close()


@pytest.fixture
def picture(visit: Visit, tmp_path: Path):
    """Takes a picture of the page: into docs/pictures when LORATORY_PICTURES=1, else among the test's own files."""
    folder = ROOT / "docs" / "pictures" if os.environ.get("LORATORY_PICTURES") == "1" else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: visit.page.screenshot(path=folder / f"{name}.png")


@pytest.fixture
def editor(visit: Visit, pictures: Path) -> object:
    """A page with the tag editor on the module's own `pictures`."""
    visit.page.evaluate("path => Loratory.editCaptions({ path })", str(pictures))
    visit.page.locator("#tags .lor-cell img").first.wait_for()
    return visit.page


def draw_captioned(folder: Path, captions: list[str]) -> Path:
    """0.png, 1.png, … with these captions; "" for none."""
    folder.mkdir()
    for number, text in enumerate(captions):
        picture = Image.new("RGB", (96 + 8 * number, 96), (40 * number, 90, 160))
        ImageDraw.Draw(picture).ellipse((8, 8, 88, 88), fill="orange")
        picture.save(folder / f"{number}.png")
        if text:
            (folder / f"{number}.txt").write_text(text, encoding="utf-8")
    return folder


def draw_pictures(folder: Path, count: int, side: int = 64) -> Path:
    """A data set with hostile names and captions, and some files that are no pictures."""
    folder.mkdir(parents=True)
    for index in range(count):
        picture = Image.new("RGB", (side, side + 16 * (index % 3)), (40 + 5 * index % 200, 90, 160))
        ImageDraw.Draw(picture).ellipse((8, 8, side - 8, side - 8), fill="orange")
        name = HOSTILE.replace("<", "＜").replace(">", "＞").replace('"', "”") if os.name == "nt" else HOSTILE
        stem = f"{name} {index:04d}" if index == 0 else f"picture {index:04d}"
        picture.save(folder / f"{stem}.png")
        (folder / f"{stem}.txt").write_text(f"sks cat, {HOSTILE if index == 0 else 'a drawing'}", encoding="utf-8")
    (folder / "empty.png").write_bytes(b"")
    (folder / "broken.jpg").write_bytes(b"this is no picture")
    return folder
