"""`python -m gui`: opens the window on this machine; it can be closed at any time, runs go on without it."""

from __future__ import annotations

import argparse
import ipaddress
import os
import secrets
import socket
import sys
import webbrowser

DEFAULT_PORT = 7860  # where people expect a Gradio page
SHORTEST_TOKEN = 12


class StartError(ValueError):
    """The window cannot open as asked; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    forget_gradio_settings()
    try:
        token = access_token(options.host)
        listener = listen(options.host, options.port)
    except StartError as error:
        print(error, file=sys.stderr)
        return 2
    serve(listener, token, options)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="launch.py studio", description="Open the studio in the browser.")
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
    return parser.parse_args(arguments)


def forget_gradio_settings() -> None:
    """Variables that some template has set could share the page or open folders; what we want goes in as arguments."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def access_token(host: str) -> str:
    """Empty on loopback without LORATORY_TOKEN; anywhere else there is always one: given, or made for this start."""
    token = os.environ.get("LORATORY_TOKEN", "").strip()
    if token and len(token) < SHORTEST_TOKEN:
        raise StartError(
            f"LORATORY_TOKEN must have at least {SHORTEST_TOKEN} characters; leave it out to have one made."
        )
    return token if token or is_loopback(host) else secrets.token_urlsafe(24)


def listen(host: str, port: int | None) -> socket.socket:
    """A listening socket. Without a wish for a port: 7860 or the next free one."""
    for candidate in [port] if port is not None else range(DEFAULT_PORT, DEFAULT_PORT + 100):
        try:
            family = socket.getaddrinfo(host, candidate, type=socket.SOCK_STREAM)[0][0]
            listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise StartError(f"{host!r} is not an address of this machine: {error.strerror}") from None
        try:
            if os.name == "posix":  # on Windows this option would let two programs share a port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, candidate))
            listener.listen(128)
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            reason = getattr(error, "strerror", None) or error
    if port is None:
        raise StartError(f"No free port from {DEFAULT_PORT} to {DEFAULT_PORT + 99} on {host}: {reason}")
    raise StartError(f"Port {port} on {host} cannot be used: {reason}. Leave out --port to take the next free one.")


def allowed_hosts(options: argparse.Namespace) -> list[str]:
    names = [options.host, socket.gethostname(), *options.allow_host]
    if pod := os.environ.get("RUNPOD_POD_ID"):
        names.append(f"{pod}-{options.port or DEFAULT_PORT}.proxy.runpod.net")
    return names


def serve(listener: socket.socket, token: str, options: argparse.Namespace) -> None:
    import uvicorn

    from gui.app import build

    port = listener.getsockname()[1]
    host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    app = build(token=token, hosts=allowed_hosts(options))
    print(f"Loratory is open at {url}", flush=True)
    if token and not os.environ.get("LORATORY_TOKEN"):
        print(f"Sign in with this token: {token}", flush=True)
    print("Ctrl+C closes the window; runs go on.", flush=True)
    if not options.no_browser:
        webbrowser.open(url)
    config = uvicorn.Config(
        app, log_level="warning", proxy_headers=False, server_header=False, timeout_graceful_shutdown=3
    )
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    sys.exit(main())
