"""The one way in: every request passes here before FastAPI or Gradio sees it, and is refused unless it is plainly ours.

Browsers let any page on the internet send requests to 127.0.0.1, so an open port alone is not private. The gate checks
the Host (DNS rebinding), Origin and fetch metadata (other sites' pages), and, away from loopback, a session cookie. Of
what Gradio brings along, only what our page uses is open.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from gui.front import BARE, Front, Scope, came_by_proxy
from gui.login import Login
from gui.replies import answer, guarded, redirect

# Our own routes, and of Gradio's those that our page asks for; its uploads, files, proxies, streams, queue, monitoring,
# run history and API are not among them (see gui/events.py for why there is no queue).
OPEN = ("/api/", "/static/", "/assets/", "/gradio_api/heartbeat/")
OPEN_EXACTLY = {"/", "/config", "/theme.css", "/favicon.ico", "/manifest.json", "/gradio_api/run/predict",
                "/gradio_api/app_id", "/gradio_api/startup-events"}
LARGEST = 64 << 20  # bytes of a request; uploads come in parts of a few megabytes


class Gate:
    """An ASGI app around another. No `login`: for loopback only. `hosts`: names it may be called by."""

    def __init__(self, app: Callable, hosts: Iterable[str], login: Login | None = None, front: Front = BARE):
        self._app = app
        self._hosts = {host.lower() for host in hosts} | {"localhost"}
        self._login = login
        self._front = front

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        if self._front.root and scope["path"] == self._front.root:
            return await redirect(send, f"{self._front.root}/", 308)
        if self._login is None and came_by_proxy(scope):
            return await answer(send, 403, "This came through a proxy, and the window asks for no password. Start it "
                                           "with --behind-proxy (see docs/cloud.md).")
        scope = self._front.seen(scope)
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            return await answer(send, *refusal)
        if scope["path"] == "/healthz":
            return await answer(send, 200, "ok")
        if self._login:
            if scope["path"] == "/login":
                return await self._login.sign_in(scope, headers, receive, send)
            if not self._login.knows(headers):
                return await self._login.ask(scope, headers, send)
            if scope["path"] == "/logout":
                return await self._login.sign_out(scope, headers, send)
        if not (scope["path"] in OPEN_EXACTLY or scope["path"].startswith(OPEN)):
            return await answer(send, 404, "there is nothing here")
        await self._app(scope, receive, guarded(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        if not self._known(hostname("//" + headers.get("host", ""))):
            return 421, "This address is not one of mine. Start Loratory with --allow-host NAME to open it as that."
        if foreign(scope, headers):
            return 403, "request from another site refused"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "only GET and POST are answered"
        return too_large(headers)

    def _known(self, host: str) -> bool:
        """A name on the list, or an address in digits: no foreign site's page can be served under one of ours."""
        if host in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True


def foreign(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether another site's page sent it. A link there may open the page, and nothing else."""
    origin = headers.get("origin")
    if origin is not None and netloc(origin) != headers.get("host", "").lower():
        return True
    if headers.get("sec-fetch-site") not in ("cross-site", "same-site"):
        return False
    link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
    return not (link and scope["path"] in ("/", "/login"))


def too_large(headers: dict[str, str]) -> tuple[int, str] | None:
    if "transfer-encoding" in headers and "content-length" not in headers:
        return 411, "say how long it is"
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > LARGEST:
        return 413, "This is more than the window takes at once."
    return None


def hostname(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:  # such as "[::1": not an address at all
        return ""


def netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
