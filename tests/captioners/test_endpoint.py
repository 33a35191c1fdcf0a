"""The server captioner against a server on this machine: consent, the key, patience, and plain words about errors."""

import json

import pytest
from PIL import Image

from captioners.base import CaptionerError, Picture, Place
from captioners.endpoint import Endpoint, EndpointSettings
from captioners.writers.online import address_of, is_this_machine, seconds_asked
from settings import toml
from settings.errors import SettingsError, check
from tests.captioners.local_server import LocalServer, said
from tests.captioners.writing import pictures, spoken

KEY = "sk-not-a-real-one"


@pytest.fixture
def server():
    server = LocalServer()
    yield server
    server.close()


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("LORATORY_ENDPOINT_KEY", KEY)


def of(server, seed=0, **options) -> Endpoint:
    values = {"url": server.url, "agreed_host": "127.0.0.1", "model": "tiny", "retries": 2} | options
    endpoint = Endpoint(EndpointSettings(**values), Place(seed=seed))
    endpoint.load(endpoint.weights(endpoint.options), lambda *_: None)
    endpoint.server.pause = 0.001
    return endpoint


def test_it_is_off_until_the_host_is_named(server):
    with pytest.raises(CaptionerError, match="no server is named"):
        Endpoint.weights(EndpointSettings())
    with pytest.raises(CaptionerError, match="would be sent to 127.0.0.1: to agree, write 127.0.0.1 into endpoint"):
        Endpoint.weights(EndpointSettings(url=server.url, model="tiny"))
    with pytest.raises(CaptionerError, match="sent to 127.0.0.1, not other.example"):
        of(server, agreed_host="other.example")
    with pytest.raises(CaptionerError, match="no model is named"):
        of(server, model=" ")
    assert not server.questions


def test_agreement_is_to_the_whole_host_not_to_a_part_of_it():
    settings = EndpointSettings(url="https://api.example.com.evil.example/v1", agreed_host="api.example.com", model="m")
    with pytest.raises(CaptionerError, match=r"sent to api\.example\.com\.evil\.example"):
        Endpoint.weights(settings)


def test_pictures_are_asked_about_each_in_its_words(server):
    texts = [one.text for one in spoken(of(server, prompt="What is {name} in {directory}?"), pictures(3))]
    assert len(set(texts)) == 3 and all(text.startswith("a plain picture in (") for text in texts)
    assert {question.prompt for question in server.questions} == {f"What is {name} in dogs?" for name in "012"}
    assert {question.path for question in server.questions} == {"/v1/chat/completions"}
    assert {question.body["model"] for question in server.questions} == {"tiny"}


def test_a_large_picture_is_sent_smaller_and_without_what_else_is_in_the_file(server):
    image = Image.new("RGB", (3000, 1500), (10, 200, 30))
    exif = Image.Exif()
    exif[0x010F] = "a camera that should stay unknown"
    image.info["exif"] = exif.tobytes()
    spoken(of(server, largest_side=300), [Picture(pictures(1)[0].path, image)])
    sent = server.questions[0].image
    assert sent.size == (300, 150) and not sent.getexif() and image.info


def test_the_key_comes_from_the_environment_and_goes_into_the_header_only(server, key):
    endpoint = of(server)
    spoken(endpoint, pictures(1))
    assert server.questions[0].key == f"Bearer {KEY}"
    seen = toml.dumps(endpoint.options) + json.dumps(server.questions[0].body) + repr(endpoint.server)
    assert KEY not in seen + str(endpoint.notes)


def test_without_a_key_none_is_sent(server, monkeypatch):
    monkeypatch.delenv("LORATORY_ENDPOINT_KEY", raising=False)
    spoken(of(server), pictures(1))
    assert server.questions[0].key is None


def test_a_key_that_is_typed_where_its_variable_belongs_is_refused_and_not_repeated():
    for name, value in (("key_variable", KEY), ("url", f"https://me:{KEY}@example.com/v1"),
                        ("url", f"https://example.com/v1?key={KEY}")):
        with pytest.raises(SettingsError) as caught:
            check(EndpointSettings, {name: value})
        assert KEY not in str(caught.value)


def test_a_key_is_not_sent_in_the_open(key):
    endpoint = Endpoint(EndpointSettings(url="http://api.example.com/v1", agreed_host="api.example.com", model="m"),
                        Place())
    with pytest.raises(CaptionerError, match="https"):
        endpoint.load(None, lambda *_: None)


def test_an_error_that_repeats_the_key_is_told_without_it(server, key):
    server.replies = [(401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}."}})]
    with pytest.raises(CaptionerError) as caught:
        spoken(of(server), pictures(1))
    assert "refuses the key" in str(caught.value) and KEY not in str(caught.value) and "(key)" in str(caught.value)
    assert len(server.questions) == 1


def test_a_busy_server_is_asked_again(server, monkeypatch):
    waits = []
    monkeypatch.setattr("captioners.writers.online.time.sleep", waits.append)
    server.replies = [(429, {"Retry-After": "7"}, {}), (503, {}, b"down")]
    assert spoken(of(server), pictures(1))[0].text.startswith("a plain picture")
    assert waits[0] == 7 and waits[1] == pytest.approx(0.002)


def test_it_waits_at_most_a_minute_and_not_for_ever(server, monkeypatch):
    waits = []
    monkeypatch.setattr("captioners.writers.online.time.sleep", waits.append)
    server.replies = [(429, {"Retry-After": "86400"}, {"error": {"message": "quota"}})] * 3
    with pytest.raises(CaptionerError, match=r"had enough.*quota"):
        spoken(of(server), pictures(1))
    assert waits == [60, 60] and len(server.questions) == 3


def test_redirects_are_not_followed(server, key):
    other = LocalServer()
    try:
        server.replies = [(307, {"Location": other.url + "/chat/completions"}, {})]
        with pytest.raises(CaptionerError, match="not followed"):
            spoken(of(server), pictures(1))
        assert not other.questions
    finally:
        other.close()


def test_what_was_answered_is_not_paid_for_twice(server):
    endpoint = of(server)
    letters = [endpoint.prepare(picture) for picture in pictures(3)]
    endpoint.batch_size = 1
    server.replies = [(400, {}, {"error": {"message": "no"}})]
    with pytest.raises(CaptionerError, match="error 400"):
        endpoint.say(letters)
    assert len(server.questions) == 3
    assert len([endpoint.say([letter]) for letter in letters]) == 3
    assert len(server.questions) == 4 and not endpoint.answered


def test_a_server_that_calls_the_limit_otherwise_is_understood(server):
    server.replies = [(400, {}, {"error": {"message": "Use 'max_completion_tokens' instead of 'max_tokens'."}})]
    endpoint = of(server, retries=0, max_tokens=77)
    spoken(endpoint, pictures(1))
    spoken(endpoint, pictures(1))
    assert [("max_tokens" in one.body, one.body.get("max_completion_tokens")) for one in server.questions] == [
        (True, None), (False, 77), (False, 77)
    ]  # fmt: skip


def test_a_server_that_takes_no_seed_gets_none(server):
    server.replies = [(422, {}, {"error": {"message": "Extra inputs are not permitted: seed"}})]
    endpoint = of(server, seed=7, retries=0)
    spoken(endpoint, pictures(2))
    assert [question.body.get("seed") for question in server.questions].count(7) <= 2
    assert len(spoken(endpoint, pictures(1))) == 1 and "seed" not in server.questions[-1].body


def test_a_second_attempt_asks_with_another_seed(server):
    endpoint = of(server, seed=5)
    letter = endpoint.prepare(pictures(1)[0])
    endpoint.say([letter])
    endpoint.say([letter], attempt=1)
    assert [question.body["seed"] for question in server.questions] == [5, 6]


def test_answers_are_cleaned_and_half_sentences_left_out(server):
    server.replies = [(200, {}, said("<think>hm</think>The image shows a red dog. It runs on the gr", "length"))]
    one = spoken(of(server), pictures(1))[0]
    assert one.text == "A red dog." and one.raw.startswith("<think>")


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'{"choices": []}', b'{"choices": [{"message": null}]}'])
def test_an_answer_of_another_kind_is_told(server, body):
    server.replies = [(200, {}, body)]
    with pytest.raises(CaptionerError, match="none that is known"):
        spoken(of(server), pictures(1))


def test_a_server_that_is_not_there_or_too_slow_is_told(server):
    endpoint = of(server, retries=1)
    server.close()
    with pytest.raises(CaptionerError, match=r"127\.0\.0\.1 can't be reached"):
        spoken(endpoint, pictures(1))
    assert "did not answer within 3 seconds" in of(server, timeout=3).server._absence(TimeoutError())


def test_addresses():
    assert address_of(" https://API.example.com/v1/ ").url == "https://API.example.com/v1/chat/completions"
    assert address_of("https://API.example.com").host == "api.example.com"
    assert address_of("http://[::1]:80/v1/chat/completions").port == 80
    for wrong in ("api.example.com/v1", "ftp://a/b", "http://", "http://a:b/", "file:///etc/passwd"):
        with pytest.raises(CaptionerError, match="address"):
            address_of(wrong)
    assert is_this_machine("127.0.0.1") and is_this_machine("::1") and is_this_machine("localhost")
    assert not is_this_machine("127.0.0.1.example.com") and not is_this_machine("192.168.0.2")
    assert seconds_asked("Wed, 01 Jan 2020 00:00:00 GMT") == 0 == seconds_asked("soon") == seconds_asked("")
