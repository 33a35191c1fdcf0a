"""Signing in and out: one password for the person whose window it is, asked for once a browser."""

from __future__ import annotations

import hmac
import html
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from gui.front import Scope
from gui.replies import answer, redirect
from gui.sessions import LIFETIME, Sessions

PAGE = Path(__file__).with_name("login.html").read_text(encoding="utf-8")
# A link on another site does not bring our cookie along (SameSite=Strict); asked for again from here, it does.
AGAIN = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Loratory</title>'
ATTEMPTS_A_MINUTE = 10
COOKIE = "loratory_session"


class Login:
    """`root`: the path that the window is served under. `sessions`: who is in already."""

    def __init__(
        self, password: str, sessions: Sessions | None = None, root: str = "",
        clock: Callable[[], float] = time.monotonic,
    ):
        self._password = password
        self.sessions = sessions or Sessions(None, password)
        self._root = root
        self._clock = clock
        self._failures: list[float] = []

    def knows(self, headers: dict[str, str]) -> bool:
        return self.sessions.knows(cookie(headers))

    async def ask(self, scope: Scope, headers: dict[str, str], send: Callable) -> None:
        """The reply to whoever is not signed in: the page to do so, where it is a page that was asked for."""
        if scope["method"] != "GET" or "text/html" not in headers.get("accept", ""):
            return await answer(send, 401, "sign in first")
        again = headers.get("sec-fetch-site") == "cross-site" and scope["path"] == "/"
        await answer(send, 401, AGAIN if again else self._page(), page=True)

    async def sign_in(self, scope: Scope, headers: dict[str, str], receive: Callable, send: Callable) -> None:
        if scope["method"] != "POST":
            return await answer(send, 200, self._page(), page=True)
        now = self._clock()
        self._failures = [moment for moment in self._failures if now - moment < 60]
        if len(self._failures) >= ATTEMPTS_A_MINUTE:
            return await answer(send, 429, self._page("Too many attempts. Wait a minute."), page=True)
        typed = await short_body(receive)
        if typed is None:
            return await answer(send, 413, "too large")
        token = parse_qs(typed.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not hmac.compare_digest(token.encode(), self._password.encode()):
            self._failures.append(now)
            return await answer(send, 401, self._page("That is not the token."), page=True)
        await self._leave_with(self.sessions.begin(), LIFETIME, scope, headers, send)

    async def sign_out(self, scope: Scope, headers: dict[str, str], send: Callable) -> None:
        if scope["method"] != "POST":
            return await answer(send, 405, "signing out is a POST")
        self.sessions.end(cookie(headers))
        await self._leave_with("", 0, scope, headers, send)

    async def _leave_with(self, session: str, seconds: int, scope: Scope, headers: dict[str, str], send: Callable
                          ) -> None:
        """To the page, with a cookie."""
        https = scope.get("scheme") == "https" or headers.get("origin", "").startswith("https://")
        value = f"{COOKIE}={session}; Path={self._root}/; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        crumbs = [(b"set-cookie", (value + ("; Secure" if https else "")).encode())]
        await redirect(send, f"{self._root}/", more=crumbs)

    def _page(self, message: str = "") -> str:
        return PAGE.replace("{root}", html.escape(self._root)).replace("{message}", html.escape(message))


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


def cookie(headers: dict[str, str]) -> str:
    pairs = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
    return next((value for name, _, value in pairs if name == COOKIE), "")
