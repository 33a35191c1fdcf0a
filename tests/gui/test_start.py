"""Where the window listens, and when it asks for a token."""

import argparse
import os
import socket

import pytest

from gui import __main__ as start


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_the_next_free_port(monkeypatch, taken):
    monkeypatch.setattr(start, "DEFAULT_PORT", taken)
    with start.listen("127.0.0.1", None) as listener:
        assert taken < listener.getsockname()[1] <= taken + 100


def test_a_wanted_port_that_is_taken_is_an_error(taken):
    with pytest.raises(start.StartError, match="next free one"):
        start.listen("127.0.0.1", taken)


@pytest.mark.parametrize("port", [70_000, -1])
def test_an_impossible_port(port):
    with pytest.raises(start.StartError):
        start.listen("127.0.0.1", port)


def test_an_impossible_host():
    with pytest.raises(start.StartError, match="not an address"):
        start.listen("no such host!", None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_token(monkeypatch, host):
    monkeypatch.delenv("LORATORY_TOKEN", raising=False)
    assert start.access_token(host) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "my.machine"])
def test_any_other_address_has_one(monkeypatch, host):
    monkeypatch.delenv("LORATORY_TOKEN", raising=False)
    assert len(start.access_token(host)) >= 32
    monkeypatch.setenv("LORATORY_TOKEN", "a long enough token")
    assert start.access_token(host) == start.access_token("127.0.0.1") == "a long enough token"


def test_a_token_that_is_too_short_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("LORATORY_TOKEN", "short")
    assert start.main(["--host", "127.0.0.1", "--no-browser"]) == 2
    assert "at least 12" in capsys.readouterr().err


def test_the_settings_of_other_gradio_programs_are_dropped(monkeypatch):
    for name in ("GRADIO_SHARE", "GRADIO_VIBE_MODE", "GRADIO_ALLOWED_PATHS"):
        monkeypatch.setenv(name, "True")
    start.forget_gradio_settings()
    assert [name for name in os.environ if name.startswith("GRADIO_")] == ["GRADIO_ANALYTICS_ENABLED"]
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED")


def test_names_of_the_machine_are_allowed(monkeypatch):
    monkeypatch.setenv("RUNPOD_POD_ID", "abc")
    names = start.allowed_hosts(argparse.Namespace(host="0.0.0.0", port=None, allow_host=["studio.example"]))
    assert {"studio.example", "abc-7860.proxy.runpod.net", socket.gethostname()} <= set(names)
