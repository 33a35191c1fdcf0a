"""Asking a server that speaks OpenAI's language: patience with a busy one, plain words about a wrong one.

It follows no redirect, because the picture and the key would go along to a host that nobody agreed to.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from captioners.base import CaptionerError

BUSY = (408, 409, 425, 429, 500, 502, 503, 504, 529)
LONGEST_WAIT = 60  # seconds, also where the server asks for more
LARGEST_ANSWER = 4_000_000  # bytes


@dataclass(frozen=True)
class Address:
    url: str  # of the question itself: .../chat/completions
    host: str  # in small letters
    port: int
    encrypted: bool


@dataclass(frozen=True)
class Answer:
    text: str
    cut: bool  # it was longer than was allowed


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes a redirect an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass
class Server:
    """Sends questions, from several threads at once."""

    address: Address
    key: str = field(repr=False)
    timeout: float = 120
    retries: int = 4
    pause: float = 1.0  # seconds before the second try; twice as long before each further one
    limit: str = "max_tokens"  # what this server calls it
    takes_seed: bool = True

    def __post_init__(self) -> None:
        handlers: list[Any] = [NoRedirect()]
        if is_this_machine(self.address.host):
            handlers.append(urllib.request.ProxyHandler({}))  # a proxy elsewhere can't reach this machine
        self.opener = urllib.request.build_opener(*handlers)

    def ask(self, body: dict[str, Any]) -> Answer:
        """The answer to one question. Raises CaptionerError, at once or after the last retry."""
        tries_left = self.retries
        while True:
            sent = self._for_this_server(body)
            try:
                return answer_in(self._post(sent))
            except urllib.error.HTTPError as error:
                said = self._said(error)
                if error.code in (400, 422) and self._learns(said, sent):
                    continue
                wait = self._wait(error, tries_left)
                if wait is None:
                    raise CaptionerError(self._meaning(error.code, said)) from None
            except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
                if not tries_left:
                    raise CaptionerError(self._absence(error)) from None
                wait = self._back_off(tries_left)
            time.sleep(wait)
            tries_left -= 1

    def _for_this_server(self, body: dict[str, Any]) -> dict[str, Any]:
        """The question with the names and the fields that the server takes."""
        named = {self.limit if name == "max_tokens" else name: value for name, value in body.items()}
        return {name: value for name, value in named.items() if name != "seed" or self.takes_seed}

    def _learns(self, said: str, sent: dict[str, Any]) -> bool:
        """Whether an error says what else this server wants; the next question has it."""
        if "max_tokens" in sent and "max_completion_tokens" in said:  # newer models call it so
            self.limit = "max_completion_tokens"
            return True
        if "seed" in sent and re.search(r"\bseed\b", said):
            self.takes_seed = False
            return True
        return False

    def _post(self, body: dict[str, Any]) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "Loratory"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(self.address.url, json.dumps(body).encode(), headers, method="POST")
        with self.opener.open(request, timeout=self.timeout) as reply:
            return reply.read(LARGEST_ANSWER)

    def _wait(self, error: urllib.error.HTTPError, tries_left: int) -> float | None:
        """Seconds until the next try; None: another would not help, or there is none left."""
        if error.code not in BUSY or not tries_left:
            return None
        asked = seconds_asked(error.headers.get("Retry-After", ""))
        return min(LONGEST_WAIT, max(asked, self._back_off(tries_left)))

    def _back_off(self, tries_left: int) -> float:
        return min(LONGEST_WAIT, self.pause * 2 ** (self.retries - tries_left))

    def _said(self, error: urllib.error.HTTPError) -> str:
        """What the server wrote about an error, without the key, which some repeat."""
        try:
            text = error.read(10_000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return ""
        try:
            value = json.loads(text)
            inner = value.get("error", value) if isinstance(value, dict) else value
            text = str(inner.get("message", inner) if isinstance(inner, dict) else inner)
        except ValueError:
            pass
        text = " ".join(text.split())[:300]
        return text.replace(self.key, "(key)") if self.key else text

    def _meaning(self, code: int, said: str) -> str:
        host = self.address.host
        said = f" ({said})" if said else ""
        if code in (401, 403):
            return f"{host} refuses the key: check the environment variable endpoint.key_variable{said}"
        if code == 404:
            return f"{host} knows no such model, or has nothing at this address: check endpoint.model and .url{said}"
        if code == 429:
            return f"{host} has had enough for now, or the account is empty: run again later{said}"
        if 300 <= code < 400:
            return f"{host} sends on to another address, which is not followed: write the final one into endpoint.url"
        return f"{host} answered with error {code}{said}"

    def _absence(self, error: Exception) -> str:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError) or "timed out" in str(reason):
            return f"{self.address.host} did not answer within {self.timeout:g} seconds: raise endpoint.timeout"
        return f"{self.address.host} can't be reached: is the server running? ({reason})"


def address_of(url: str) -> Address:
    """What a typed address means. Raises CaptionerError."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise CaptionerError("that is no address; it looks like http://127.0.0.1:8000/v1") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CaptionerError("an address begins with http:// or https://, like http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query:
        raise CaptionerError("a key or a password has no place in the address: put it into the environment variable")
    path = parts.path.rstrip("/")
    path = path if path.endswith("/chat/completions") else path + "/chat/completions"
    encrypted = parts.scheme == "https"
    return Address(f"{parts.scheme}://{parts.netloc}{path}", parts.hostname.rstrip("."),
                   port or (443 if encrypted else 80), encrypted)


def is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def seconds_asked(text: str) -> float:
    """Of a Retry-After header: seconds, or a date."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def answer_in(data: bytes) -> Answer:
    """What the model wrote. Raises CaptionerError for anything that is not such an answer."""
    try:
        choice = json.loads(data)["choices"][0]
        content = choice["message"]["content"] or ""
    except (ValueError, KeyError, IndexError, TypeError):
        shown = " ".join(data[:200].decode("utf-8", "replace").split())
        raise CaptionerError(f"the server's answer is none that is known here: {shown}") from None
    if isinstance(content, list):  # parts, as some servers send them
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return Answer(str(content), choice.get("finish_reason") == "length")
