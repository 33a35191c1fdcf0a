"""Where the window listens, and when it asks for a token."""

import argparse
import asyncio
import os
import socket

import pytest

from gui import __main__ as start
from gui import password
from gui.password import Password


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
    with pytest.raises(start.StartError, match=f"up to 65535; got {port}"):
        start.listen("127.0.0.1", port)


def test_an_impossible_host():
    with pytest.raises(start.StartError, match="not an address"):
        start.listen("no such host!", None)


def test_an_answer_is_not_held_back():
    """Nagle's algorithm is off for whoever connects: it would hold the body of every answer back for 40 ms."""

    async def answering() -> int:
        connected = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda _, writer: connected.set_result(writer), sock=listener)
        async with server:
            _, visitor = await asyncio.open_connection(*listener.getsockname()[:2])
            writer = await connected
            option = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            visitor.close()
            writer.close()
        return option

    with start.listen("127.0.0.1", None) as listener:
        assert asyncio.run(answering())


@pytest.fixture
def nothing_chosen(monkeypatch):
    monkeypatch.delenv("LORATORY_TOKEN", raising=False)
    monkeypatch.delenv("LORATORY_TOKEN_FILE", raising=False)


@pytest.mark.parametrize("arguments", [["--host", host] for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8")])
def test_loopback_needs_no_token(nothing_chosen, workspace, arguments):
    assert not start.is_for_others(start.parse(arguments))
    assert password.find(False, "", workspace) == Password()
    assert not workspace.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--host", host] for host in ("0.0.0.0", "::", "192.168.1.2", "my.machine")]
    + [["--behind-proxy"], ["--allow-host", "studio.example"], ["--root-path", "/studio"]],
)
def test_whoever_others_can_reach_asks_for_one(arguments):
    assert start.is_for_others(start.parse(arguments))


def test_a_token_is_made_once_and_printed_once(nothing_chosen, workspace):
    workspace.mkdir()
    first, again = password.find(True, "", workspace), password.find(True, "", workspace)
    assert len(first.text) >= 32 and first.text == again.text
    assert first.text in first.told and first.text not in again.told and str(workspace) in again.told
    assert (workspace / "token.txt").stat().st_mode & 0o077 == 0


def test_a_chosen_token_comes_first_and_is_never_printed(nothing_chosen, monkeypatch, workspace, tmp_path):
    file = tmp_path / "token"
    file.write_text("from a file, long enough\n")
    assert password.find(True, str(file), workspace).text == "from a file, long enough"
    monkeypatch.setenv("LORATORY_TOKEN_FILE", str(file))
    assert password.find(False, "", workspace).text == "from a file, long enough"
    monkeypatch.setenv("LORATORY_TOKEN", " a long enough token ")
    found = password.find(False, str(file), workspace)
    assert found.text == "a long enough token" and found.text not in found.told
    assert not workspace.exists()


@pytest.mark.parametrize("wrong", ["a missing file", "short", b"\xff\xfe\xff not any text at all"])
def test_a_token_file_that_is_no_good_is_refused(nothing_chosen, wrong, tmp_path, capsys):
    file = tmp_path / "token"
    if wrong != "a missing file":
        file.write_bytes(wrong if isinstance(wrong, bytes) else wrong.encode())
    assert start.main(["--no-browser", "--token-file", str(file)]) == 2
    assert str(file) in capsys.readouterr().err


def test_a_token_that_is_too_short_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("LORATORY_TOKEN", "short")
    assert start.main(["--host", "127.0.0.1", "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert "at least 12" in said


def test_no_token_on_the_command_line(capsys):
    with pytest.raises(SystemExit):
        start.main(["--host", "0.0.0.0", "--token", "a canary of a token"])
    said = capsys.readouterr().err
    assert "LORATORY_TOKEN" in said and "canary" not in said


@pytest.mark.parametrize("path", ["studio", "/a b", "/x?y", "//evil.example", "/../x;", "https://x.example/a"])
def test_a_root_path_that_is_none(path, capsys):
    assert start.main(["--no-browser", "--root-path", path]) == 2
    assert "--root-path" in capsys.readouterr().err


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
