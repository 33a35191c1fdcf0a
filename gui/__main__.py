"""`python -m gui`: opens the window on this machine; it can be closed at any time, runs go on without it."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sys
import webbrowser

from gui import password
from gui.front import Front
from gui.password import Password, PasswordError
from jobs.files import home
from jobs.shutdown import end_all

DEFAULT_PORT = 7860  # where people expect a Gradio page
LAST_PORT = 65535
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class StartError(ValueError):
    """The window cannot open as asked; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    forget_gradio_settings()
    try:
        front = front_of(options)
        chosen = password.find(is_for_others(options), options.token_file, home())
        listener = listen(options.host, options.port)
    except (StartError, PasswordError) as error:
        print(error, file=sys.stderr)
        return 2
    serve(listener, chosen, front, options)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="launch.py studio", description="Open the studio in the browser.", allow_abbrev=False
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; any but this machine's own asks for a token"
    )
    parser.add_argument("--port", type=int, help=f"default {DEFAULT_PORT}, or the next free one")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which others reach this machine, such as that of a proxy; may be repeated",
    )
    parser.add_argument("--token-file", default="", metavar="FILE", help="its text is the token, instead of a made one")
    parser.add_argument("--root-path", default="", metavar="/PATH", help="path that a proxy serves the studio under")
    parser.add_argument(
        "--behind-proxy", action="store_true", help="believe X-Forwarded-Host and -Proto: a proxy of yours sets them"
    )
    parser.add_argument(
        "--end-runs", action="store_true",
        help="on SIGTERM, stop and save what runs, and wait for it: for containers, which end with their first process",
    )
    parser.add_argument("--token", type=refused, metavar="", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def refused(_: str) -> str:
    raise argparse.ArgumentTypeError(  # and not repeated
        f"a command line can be read by all users of the machine; use {password.VARIABLE} or --token-file"
    )


def forget_gradio_settings() -> None:
    """Variables that some template has set could share the page or open folders; what we want goes in as arguments."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def is_for_others(options: argparse.Namespace) -> bool:
    """Whether anybody but the users of this machine can reach it: then it asks who comes."""
    return bool(
        not password.is_loopback(options.host) or options.allow_host or options.behind_proxy or options.root_path
    )


def front_of(options: argparse.Namespace) -> Front:
    root = options.root_path.rstrip("/")
    if not ROOT_PATH.fullmatch(root):
        raise StartError(f"--root-path is a path such as /studio, without spaces and signs; got {options.root_path!r}")
    return Front(root, options.behind_proxy)


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket. Without a wish for a port: 7860 or the next free one."""
    if port is not None and not 0 <= port <= LAST_PORT:
        raise StartError(f"--port is a number up to {LAST_PORT}; got {port}. Leave it out to take the next free one.")
    for candidate in [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + 100):
        try:
            family = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0][0]
            # The protocol by name: only then asyncio switches Nagle's algorithm off, which would hold every answer's
            # body back for the 40 ms in which the browser waits with its acknowledgement of the headers.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        except OSError as error:
            raise StartError(f"{host!r} is not an address of this machine: {error.strerror}") from None
        try:
            if os.name == "posix":  # on Windows this option would let two programs share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, candidate))
            listener.listen(128)
            return listener
        except OSError as error:
            listener.close()
            reason = error.strerror
    if port is None:
        raise StartError(f"No free port from {DEFAULT_PORT} to {DEFAULT_PORT + 99} on {host}: {reason}")
    raise StartError(f"Port {port} on {host} cannot be used: {reason}. Leave out --port to take the next free one.")


def allowed_hosts(options: argparse.Namespace) -> list[str]:
    names = [options.host, socket.gethostname(), *options.allow_host]
    if pod := os.environ.get("RUNPOD_POD_ID"):
        names.append(f"{pod}-{options.port or DEFAULT_PORT}.proxy.runpod.net")
    return names


def serve(listener: socket.socket, chosen: Password, front: Front, options: argparse.Namespace) -> None:
    import uvicorn

    from gui.app import build

    port = listener.getsockname()[1]
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    app = build(chosen.text, allowed_hosts(options), front)
    print(f"Loratory is open at {url}", *filter(None, [chosen.told]), sep="\n", flush=True)
    print("Ctrl+C closes the window; runs go on.", flush=True)
    if not options.no_browser:
        webbrowser.open(url)
    config = uvicorn.Config(
        app, log_level="warning", proxy_headers=False, server_header=False, timeout_graceful_shutdown=3
    )
    if options.end_runs or os.getpid() == 1:  # the first process of a container takes all others with it
        # uvicorn closes the window on SIGTERM and then raises it once more, for whoever was there before: us.
        signal.signal(signal.SIGTERM, lambda *_: print(f"{end_all(home())} runs were stopped and saved.", flush=True))
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
