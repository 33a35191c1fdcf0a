import pytest

from jobs.redaction import redaction

HUB = "hf_" + "aB3" * 11


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (f"token={HUB}!", "token=[token]!"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer [token]"),
        ("{'authorization': 'bearer abcdefgh12345678'}", "{'authorization': 'bearer [token]'}"),
        ("https://me:s3cret@host/repo", "https://me:[token]@host/repo"),
        ("GET /x?a=1&token=abcdefgh1234&b=2", "GET /x?a=1&token=[token]&b=2"),
        ("key sk-proj-abcdefghij0123456789", "key [token]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz012345", "[token]"),
        ("mine is value-of-my-key, yes", "mine is [token], yes"),
    ],
)
def test_secrets_are_blotted_out(text: str, safe: str) -> None:
    assert redaction({"MY_API_KEY": "value-of-my-key"})(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "a bearer of bad news, hf_short",
        "https://host:8080/path@2x.png and C:\\a@b",
        "step 12/40  epoch 1.00  loss 0.1234  key=7",
        "the word false, and nothing",
    ],
)
def test_all_else_stays_as_it_is(text: str) -> None:
    named_alike = {"TOKENIZERS_PARALLELISM": "step 12/40", "HF_TOKEN_PATH": "epoch 1.00"}
    assert redaction(named_alike | {"HF_TOKEN": "false", "X_KEY": ""})(text) == text
