"""What is saved for jobs reaches them by their environment, and nobody else."""

import os
import sys

import pytest

from jobs import folder, process, queue, secrets

CANARY = "hf_CANARY0123456789abcdef"


def test_a_secret_is_kept_in_a_file_of_its_owner(workspace):
    secrets.save(folder.home(), "HF_TOKEN", f"  {CANARY}\n")
    kept = workspace / "secrets.json"
    assert secrets.saved(folder.home()) == {"HF_TOKEN": CANARY}
    assert kept.stat().st_mode & 0o077 == 0
    secrets.remove(folder.home(), "HF_TOKEN")
    assert CANARY not in kept.read_text()
    assert secrets.saved(folder.home()) == {}


@pytest.mark.parametrize("wrong", ["", "short", f"{CANARY} {CANARY}", f"{CANARY}\nx", "ключ от всего", "x" * 501])
def test_what_is_no_token_is_refused_and_not_repeated(workspace, wrong):
    with pytest.raises(secrets.SecretError) as error:
        secrets.save(folder.home(), "HF_TOKEN", wrong)
    assert not wrong.strip() or wrong not in str(error.value)
    assert not (workspace / "secrets.json").exists()


def test_no_other_variable_can_be_set(workspace):
    with pytest.raises(secrets.SecretError):
        secrets.save(folder.home(), "LD_PRELOAD", "/tmp/evil.so")
    (folder.home() / "secrets.json").write_text('{"LD_PRELOAD": "/tmp/evil.so", "HF_TOKEN": 7}')
    assert secrets.saved(folder.home()) == {}


def test_a_job_gets_it_by_its_environment_and_nothing_else_has_it(workspace, monkeypatch):
    monkeypatch.setenv("LORATORY_TOKEN", "the window's own password")
    secrets.save(folder.home(), "HF_TOKEN", CANARY)
    script = "import os, sys; print(len(os.environ['HF_TOKEN']), os.environ.get('LORATORY_TOKEN'), sys.argv)"
    job = folder.create("test", "x", "", ["python", "-c", script])
    assert process.spawn(job).wait() == 0
    assert (job.folder / "output").read_text().split(None, 2)[:2] == [str(len(CANARY)), "None"]
    written = b"".join(path.read_bytes() for path in job.folder.rglob("*") if path.is_file())
    assert CANARY.encode() not in written


def test_a_removed_secret_is_not_handed_on_by_a_runner_that_lives(workspace, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    secrets.save(folder.home(), "HF_TOKEN", CANARY)
    seen = {}
    monkeypatch.setattr(queue, "detached", lambda argv, output, variables: seen.update(variables))
    job = folder.create("test", "x", "", [sys.executable, "-c", "pass"])
    queue.submit(job)
    assert seen["LORATORY_HOME"] == str(workspace) and CANARY not in seen.values()
    assert "HF_TOKEN" not in os.environ


def test_a_token_that_was_pasted_into_a_text_is_blotted_out():
    assert secrets.without(f"a {CANARY}, b", {}) == "a [token], b"
    assert secrets.without("key=sk-12345678", {"LORATORY_ENDPOINT_KEY": "sk-12345678"}) == "key=[token]"
    assert secrets.without("hf_short and half_way", {}) == "hf_short and half_way"
