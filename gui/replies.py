"""Replies that the window gives by itself, and the headers that go with every one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", POLICY.encode()),
]
Header = tuple[bytes, bytes]


async def answer(send: Callable, status: int, text: str, page: bool = False, more: Iterable[Header] = ()) -> None:
    """A short reply, plain or as a page. `more`: headers beside the usual ones."""
    body = text.encode()
    kind = b"text/html; charset=utf-8" if page else b"text/plain; charset=utf-8"
    about = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": [*about, *more, *HEADERS]})
    await send({"type": "http.response.body", "body": body})


async def redirect(send: Callable, where: str, status: int = 303, more: Iterable[Header] = ()) -> None:
    await answer(send, status, "", more=[(b"location", where.encode()), *more])


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
