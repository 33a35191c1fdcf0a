"""A server on this machine that answers as OpenAI-compatible ones do: what the picture's colour is, or what it is told
to answer."""

import base64
import io
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image


@dataclass
class Question:
    path: str
    key: str | None
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        return self.body["messages"][-1]["content"][0]["text"]

    @property
    def image(self) -> Image.Image:
        url = self.body["messages"][-1]["content"][1]["image_url"]["url"]
        return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/jpeg;base64,"))))


@dataclass
class LocalServer:
    """`replies`: (status, headers, body) each used once, before the usual answers."""

    questions: list[Question] = field(default_factory=list)
    replies: list[tuple[int, dict[str, str], Any]] = field(default_factory=list)

    def __post_init__(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                question = Question(self.path, self.headers.get("Authorization"), body)
                outer.questions.append(question)
                usual = (200, {}, said(f"a plain picture in {question.image.convert('RGB').getpixel((0, 0))}"))
                status, headers, value = outer.replies.pop(0) if outer.replies else usual
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                for name, text in {"Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, text)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def close(self):
        self.http.shutdown()
        self.http.server_close()


def said(text: str, finish: str = "stop") -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": finish}]}
