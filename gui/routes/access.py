"""Tokens for the jobs, which can be saved and removed and never read; and who is signed in."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from gui.login import COOKIE
from jobs import secrets

if TYPE_CHECKING:
    from gui.window import Window


class Secret(BaseModel):
    name: str
    value: str


class Named(BaseModel):
    name: str


class Session(BaseModel):
    id: str = ""  # empty: all but the one that asks


def router(window: Window) -> APIRouter:
    routes = APIRouter()

    @routes.get("/api/access")
    def told(request: Request) -> dict[str, Any]:
        """Which tokens are saved, and which sessions are open. `login` is False where nobody has to sign in."""
        sessions = window.login.sessions.open(request.cookies.get(COOKIE, "")) if window.login else []
        return {
            "secrets": tokens(window),
            "login": window.login is not None,
            "sessions": [asdict(session) for session in sessions],
        }

    @routes.post("/api/access/secrets")
    def save(secret: Secret) -> list[dict[str, Any]]:
        try:
            secrets.save(window.home, secret.name, secret.value)
        except secrets.SecretError as error:
            raise HTTPException(400, f"Not saved: {error}.") from None
        return tokens(window)

    @routes.post("/api/access/secrets/remove")
    def remove(secret: Named) -> list[dict[str, Any]]:
        secrets.remove(window.home, secret.name)
        return tokens(window)

    @routes.post("/api/access/sessions/end")
    def end(session: Session, request: Request) -> dict[str, Any]:
        if window.login is None:
            raise HTTPException(409, "Nobody signs in to this window.")
        sessions, mine = window.login.sessions, request.cookies.get(COOKIE, "")
        if session.id:
            sessions.end_named(session.id)
        else:
            sessions.end_others(mine)
        return {"sessions": [asdict(one) for one in sessions.open(mine)]}

    return routes


def tokens(window: Window) -> list[dict[str, Any]]:
    """Whether each is there, and nothing of what it is."""
    kept = secrets.saved(window.home)
    return [
        {"name": name, "about": about, "saved": name in kept, "environment": bool(os.environ.get(name))}
        for name, about in secrets.KNOWN.items()
    ]
