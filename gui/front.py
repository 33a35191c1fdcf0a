"""What stands in front of the window: nothing, or a proxy, perhaps one that serves it below a path such as /studio.

What lies behind sees the request as the browser meant it: its own paths, and the host and scheme in the browser's
address bar. A proxy's word is believed only where the person said that there is one; else anybody could give it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Scope = dict[str, Any]
TOLD = ("forwarded", "x-gradio-server")  # and all that begin with x-forwarded-


@dataclass(frozen=True)
class Front:
    """`root`: the path that the proxy serves it under, "" or such as "/studio". `proxied`: its headers are believed."""

    root: str = ""
    proxied: bool = False

    def seen(self, scope: Scope) -> Scope:
        """The request without what a proxy told of it, which is put where it belongs."""
        told = {name.decode("latin1").lower(): value for name, value in scope["headers"] if of_a_proxy(name)}
        kept = [(name.lower(), value) for name, value in scope["headers"] if not of_a_proxy(name)]
        found = dict(scope) | {"headers": kept, "root_path": ""}
        if self.proxied:
            if host := nearest(told.get("x-forwarded-host", b"")):
                found["headers"] = [*((name, value) for name, value in kept if name != b"host"), (b"host", host)]
            if (scheme := nearest(told.get("x-forwarded-proto", b"")).decode("latin1").lower()) in ("http", "https"):
                found["scheme"] = scheme
        if self.root and scope["path"].startswith(f"{self.root}/"):  # a proxy that does not take it off
            found["path"] = scope["path"][len(self.root) :]
            found["raw_path"] = scope.get("raw_path", b"").removeprefix(self.root.encode())
        return found


BARE = Front()  # nothing stands in front


def came_by_proxy(scope: Scope) -> bool:
    """Whether the request itself says that it came through a proxy."""
    return any(of_a_proxy(name) for name, _ in scope["headers"])


def of_a_proxy(name: bytes) -> bool:
    text = name.decode("latin1").lower()
    return text.startswith("x-forwarded-") or text in TOLD


def nearest(value: bytes) -> bytes:
    """Of a list that each proxy on the way has added to, what the last one says: it is the one that we know."""
    return value.rpartition(b",")[2].strip()
