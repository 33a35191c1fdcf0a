"""The one way in: every request passes here before FastAPI or Gradio sees it, and is refused unless it is plainly ours.

Browsers let any page on the internet send requests to 127.0.0.1, so an open port alone is not private. The gate checks
the Host (DNS rebinding), Origin and fetch metadata (other sites' pages), and, away from loopback, a session cookie.
"""

from __future__ import annotations

import hmac
import html
import ipaddress
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gui.sessions import Sessions

# Gradio compiles its templates in the browser, hence 'unsafe-eval'; nothing may come from or go to another host.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # no-referrer would make browsers send `Origin: null` with our own login form
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"content-security-policy", POLICY.encode()),
]
LOGIN_PAGE = Path(__file__).with_name("login.html").read_text(encoding="utf-8")
ATTEMPTS_A_MINUTE = 10
COOKIE = "loratory_session"

Scope = dict[str, Any]


class Gate:
    """An ASGI app around another. `token` empty: no login, for loopback only. `hosts`: names it may be called by."""

    def __init__(
        self,
        app: Callable,
        hosts: Iterable[str],
        token: str = "",
        sessions: Sessions | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._app = app
        self._hosts = {host.lower() for host in hosts} | {"localhost"}
        self._token = token
        self._sessions = sessions or Sessions(None, token)
        self._clock = clock
        self._failures: list[float] = []

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        headers = {name.decode("latin1").lower(): value.decode("latin1") for name, value in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            return await answer(send, *refusal)
        if scope["path"] == "/healthz":
            return await answer(send, 200, "ok")
        if self._token:
            if scope["path"] == "/login":
                return await self._login(scope, headers, receive, send)
            if not self._sessions.knows(cookie(headers)):
                wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
                return await answer(send, 401, login_page() if wants_page else "sign in first", page=wants_page)
        await self._app(scope, receive, guarded(send))

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = hostname("//" + headers.get("host", ""))
        if not self._known(host):
            return (
                421,
                "This address is not one of mine. Start Loratory with --allow-host NAME to open it under that name.",
            )
        origin = headers.get("origin")
        if origin is not None and netloc(origin) != headers.get("host", "").lower():
            return 403, "request from another site refused"
        if headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            link = scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
            if not (link and scope["path"] in ("/", "/login")):
                return 403, "request from another site refused"
        return None

    def _known(self, host: str) -> bool:
        """A name on the list, or an address in digits: no foreign site's page can be served under one of ours."""
        if host in self._hosts:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    async def _login(self, scope: Scope, headers: dict[str, str], receive: Callable, send: Callable) -> None:
        if scope["method"] != "POST":
            return await answer(send, 200, login_page(), page=True)
        now = self._clock()
        self._failures = [moment for moment in self._failures if now - moment < 60]
        if len(self._failures) >= ATTEMPTS_A_MINUTE:
            return await answer(send, 429, login_page("Too many attempts. Wait a minute."), page=True)
        typed = await short_body(receive)
        if typed is None:
            return await answer(send, 413, "too large")
        token = parse_qs(typed.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            self._failures.append(now)
            return await answer(send, 401, login_page("That is not the token."), page=True)
        https = scope.get("scheme") == "https" or headers.get("origin", "").startswith("https://")
        value = f"{COOKIE}={self._sessions.begin()}; Path=/; HttpOnly; SameSite=Strict{'; Secure' if https else ''}"
        await send(
            {
                "type": "http.response.start",
                "status": 303,
                "headers": [(b"location", b"/"), (b"set-cookie", value.encode()), (b"content-length", b"0"), *HEADERS],
            }
        )
        await send({"type": "http.response.body", "body": b""})


def guarded(send: Callable) -> Callable:
    """Our headers on every reply, and none that would let another site read it."""

    async def send_guarded(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            ours = {name for name, _ in HEADERS}
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(b"access-control-") and name.lower() not in ours
            ]
            message["headers"] = kept + HEADERS
        await send(message)

    return send_guarded


async def short_body(receive: Callable, limit: int = 4096) -> bytes | None:
    """The request's body, or None when it is longer than a login form can be."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        if not message.get("more_body"):
            return body


async def answer(send: Callable, status: int, text: str, page: bool = False) -> None:
    body = text.encode()
    kind = b"text/html; charset=utf-8" if page else b"text/plain; charset=utf-8"
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", kind),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                *HEADERS,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


def login_page(message: str = "") -> str:
    return LOGIN_PAGE.replace("{message}", html.escape(message))


def cookie(headers: dict[str, str]) -> str:
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")


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
