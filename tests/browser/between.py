"""What may stand between a browser and the window: a line that can be cut, and a proxy that serves it below a path."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Line:
    """Carries bytes to a port and back, until it is cut: then what is open breaks in the middle, and nothing new gets
    through until it is mended."""

    def __init__(self, port: int):
        self._port, self._cut_after = port, None
        self._open: set[socket.socket] = set()
        self.whole, self.carried = True, 0  # bytes that came from the browser
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self, after: int = 0) -> None:
        """Now, or when the browser has sent `after` more bytes."""
        if after:
            self._cut_after = self.carried + after
            return
        self.whole = False
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no goodbye
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.whole, self._cut_after = True, None

    def close(self) -> None:
        self.cut()
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return  # closed
            if not self.whole:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:  # the window is down
                near.close()
                continue
            self._open |= {near, far}
            for ends in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(*ends, ends[0] is near), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.carried += len(data) if counts else 0
                target.sendall(data)
                if counts and self._cut_after is not None and self.carried > self._cut_after:
                    self.cut()
        for end in (source, target):
            self._open.discard(end)
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Prefixed:
    """A reverse proxy at http://studio.localhost:PORT/studio/ that takes the path off and, as such proxies do, speaks
    to the window by the window's own address and tells the browser's in X-Forwarded-*. Elsewhere it has nothing."""

    def __init__(self, port: int, path: str = "/studio"):
        outside: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == path:
                    return self._reply(308, [("location", f"{path}/")], b"")
                if not self.path.startswith(f"{path}/"):
                    outside.append(self.path)
                    return self._reply(404, [], b"another program's")
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                told = {"X-Forwarded-Host": self.headers["host"], "X-Forwarded-Proto": "http"}
                told["Host"] = f"127.0.0.1:{port}"
                hop = ("host", "connection")
                kept = {name: value for name, value in self.headers.items() if name.lower() not in hop}
                line = http.client.HTTPConnection("127.0.0.1", port)
                line.request(self.command, self.path[len(path) :], body or None, kept | told)
                answer = line.getresponse()
                names = ("transfer-encoding", "connection", "content-length", "date")
                headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in names]
                self._reply(answer.status, headers, answer.read())
                line.close()

            do_POST = do_GET

            def _reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in [*headers, ("content-length", str(len(body)))]:
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.outside = outside  # what was asked for that is not below the path
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://studio.localhost:{self._server.server_port}{path}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
