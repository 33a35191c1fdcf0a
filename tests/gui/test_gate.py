"""The gate lets its own page through and nobody else's."""

import asyncio

import httpx
import pytest

from gui.front import Front
from gui.gate import Gate
from gui.login import Login
from gui.sessions import Sessions

TOKEN = "a token of many letters"


async def inner(scope, receive, send):
    """Answers everything, and would let any site read it."""
    headers = [(b"access-control-allow-origin", b"*"), (b"access-control-allow-credentials", b"true")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"inside"})


def ask(gate, method="GET", path="/", host="127.0.0.1:7860", data=None, **headers):
    async def call():
        transport = httpx.ASGITransport(app=gate)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=named, data=data)

    return asyncio.run(call())


@pytest.fixture
def open_gate():
    return Gate(inner, ["127.0.0.1"])


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "[::1]:7860", "192.168.1.7:7860", "LocalHost"])
def test_known_hosts_pass(open_gate, host):
    assert ask(open_gate, host=host).text == "inside"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:7860", "127.0.0.1.nip.io", "1"])
def test_a_name_that_is_not_ours_is_refused(open_gate, host):
    assert ask(open_gate, host=host).status_code == 421


def test_an_allowed_name_passes():
    assert ask(Gate(inner, ["Pod-7860.proxy.example"]), host="pod-7860.proxy.example").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://[::1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"},
    ],
)
def test_other_sites_are_refused(open_gate, headers):
    assert ask(open_gate, "POST", "/api/x", **headers).status_code == 403


def test_a_link_from_another_site_opens_the_page_and_nothing_else(open_gate):
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}
    assert ask(open_gate, path="/", **link).status_code == 200
    assert ask(open_gate, path="/api/runs", **link).status_code == 403


def test_our_own_page_passes_with_our_headers_and_no_others(open_gate):
    answer = ask(open_gate, "POST", origin="http://127.0.0.1:7860", sec_fetch_site="same-origin")
    assert answer.text == "inside"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]


def test_nothing_but_the_login_without_a_session():
    gate = Gate(inner, [], Login(TOKEN))
    for method, path in [("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/upload"), ("GET", "/assets/a.js")]:
        assert ask(gate, method, path).status_code == 401
    page = ask(gate, accept="text/html")
    assert page.status_code == 401 and "Access token" in page.text
    assert ask(gate, path="/healthz").text == "ok"


def test_the_token_opens_a_session_that_outlives_the_window(tmp_path):
    path = tmp_path / "home" / "sessions.txt"
    answer = ask(Gate(inner, [], Login(TOKEN, Sessions(path, TOKEN))), "POST", "/login", data={"token": f" {TOKEN} "})
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Secure" not in cookie
    value = cookie.partition(";")[0]
    again = Gate(inner, [], Login(TOKEN, Sessions(path, TOKEN)))
    assert ask(again, cookie=value).text == "inside"
    assert ask(Gate(inner, [], Login("another", Sessions(path, "another"))), cookie=value).status_code == 401
    assert value.partition("=")[2] not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_the_cookie_is_secure_behind_https():
    answer = ask(
        Gate(inner, ["x.example"], Login(TOKEN)),
        "POST",
        "/login",
        host="x.example",
        data={"token": TOKEN},
        origin="https://x.example",
    )
    assert "Secure" in answer.headers["set-cookie"]


def test_guessing_is_slowed_down():
    now = [0.0]
    gate = Gate(inner, [], Login(TOKEN, clock=lambda: now[0]))
    assert [ask(gate, "POST", "/login", data={"token": "x"}).status_code for _ in range(11)] == [401] * 10 + [429]
    assert ask(gate, "POST", "/login", data={"token": TOKEN}).status_code == 429
    now[0] = 61
    assert ask(gate, "POST", "/login", data={"token": TOKEN}).status_code == 303


def test_a_login_of_many_megabytes_is_not_read():
    assert ask(Gate(inner, [], Login(TOKEN)), "POST", "/login", data={"token": "x" * 100_000}).status_code == 413


def test_a_damaged_session_file_signs_out_and_nothing_more(tmp_path):
    path = tmp_path / "sessions.txt"
    path.write_bytes(b"\xff\xfe nonsense\nabc notanumber\n\n")
    assert not Sessions(path, TOKEN).knows("abc")


PROXIED = {"x-forwarded-host": "studio.example", "x-forwarded-proto": "https"}


async def echo(scope, receive, send):
    """What lies behind the gate sees."""
    host = dict(scope["headers"])[b"host"].decode()
    forwarded = [name.decode() for name, _ in scope["headers"] if name.startswith(b"x-forwarded")]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = f"{scope['scheme']}://{host}{scope['path']} {forwarded}"
    await send({"type": "http.response.body", "body": body.encode()})


def signed_in(gate, path="/login", **headers):
    return ask(gate, "POST", path, data={"token": TOKEN}, **headers)


def test_a_proxys_word_counts_only_where_there_is_one():
    known = Gate(echo, ["studio.example"], Login(TOKEN), Front("", True))
    cookie = signed_in(known, **PROXIED, origin="https://studio.example").headers["set-cookie"]
    assert "Secure" in cookie
    seen = ask(known, path="/api/x", **PROXIED, cookie=cookie.partition(";")[0], origin="https://studio.example")
    assert seen.text == "https://studio.example/api/x []"
    nobody = Gate(echo, ["studio.example"], Login(TOKEN))
    assert "Secure" not in signed_in(nobody, **PROXIED).headers["set-cookie"]
    assert signed_in(nobody, **PROXIED, origin="https://studio.example").status_code == 403


def test_of_a_list_of_hosts_the_nearest_proxys_counts():
    gate = Gate(echo, ["studio.example"], Login(TOKEN), Front("", True))
    assert signed_in(gate, x_forwarded_host="studio.example, evil.example").status_code == 421
    assert signed_in(gate, x_forwarded_host="evil.example, studio.example").status_code == 303


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "x-forwarded-host"])
def test_a_window_without_a_password_is_not_reached_through_a_proxy(open_gate, header):
    refused = ask(open_gate, **{header: "1.2.3.4"})
    assert refused.status_code == 403 and "--behind-proxy" in refused.text


@pytest.mark.parametrize("prefix", ["", "/studio"])  # a proxy that takes the path off, and one that does not
def test_below_a_path(prefix):
    gate = Gate(echo, [], Login(TOKEN, root="/studio"), Front("/studio"))
    assert 'action="/studio/login"' in ask(gate, path=f"{prefix}/", accept="text/html").text
    answer = signed_in(gate, f"{prefix}/login")
    assert answer.headers["location"] == "/studio/" and "Path=/studio/;" in answer.headers["set-cookie"]
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert ask(gate, path=f"{prefix}/api/x", cookie=cookie).text.split("/", 3)[3].startswith("api/x ")
    assert ask(gate, path="/studio").headers["location"] == "/studio/"
    assert ask(gate, path="/studiox/api/x", cookie=cookie).status_code == 404


def test_signing_out_ends_the_session_and_only_by_post():
    gate = Gate(inner, [], Login(TOKEN))
    cookie = signed_in(gate).headers["set-cookie"].partition(";")[0]
    other = signed_in(gate).headers["set-cookie"].partition(";")[0]
    assert ask(gate, path="/logout", cookie=cookie).status_code == 405
    assert ask(gate, cookie=cookie).text == "inside"
    assert ask(gate, "POST", "/logout", cookie=cookie, origin="http://evil.example").status_code == 403
    assert "Max-Age=0" in ask(gate, "POST", "/logout", cookie=cookie).headers["set-cookie"]
    assert ask(gate, cookie=cookie).status_code == 401
    assert ask(gate, cookie=other).text == "inside"


def test_a_link_from_another_site_does_not_ask_again_who_is_signed_in():
    """Its request comes without the cookie; the page that answers it asks once more, from here."""
    link = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "accept": "text/html"}
    answer = ask(Gate(inner, [], Login(TOKEN)), **link)
    assert answer.status_code == 401 and 'http-equiv="refresh"' in answer.text
    assert "Access token" in ask(Gate(inner, [], Login(TOKEN)), **link | {"sec_fetch_site": "same-origin"}).text


def test_sessions_are_ended_by_name_and_all_others_at_once(tmp_path):
    sessions = Sessions(tmp_path / "sessions.txt", TOKEN)
    mine, phone, library = sessions.begin(), sessions.begin(), sessions.begin()
    (ids,) = [{one.id for one in sessions.open(mine) if not one.mine}]
    assert len(ids) == 2 and [one.mine for one in sessions.open(mine)].count(True) == 1
    sessions.end_named(next(iter(ids)))
    assert [sessions.knows(one) for one in (mine, phone, library)].count(True) == 2 and sessions.knows(mine)
    sessions.end_others(mine)
    assert [one.mine for one in sessions.open(mine)] == [True]


def test_another_window_on_the_workspace_can_sign_out(tmp_path):
    here, there = (Sessions(tmp_path / "sessions.txt", TOKEN) for _ in range(2))
    session = here.begin()
    assert there.knows(session)
    there.end(session)
    assert not here.knows(session)
