"""A failed run in the window: what would mend it, and a report that can be shown to anybody."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from gui import trouble
from gui.runs import Runs
from gui.tabs import runs as room
from jobs import folder, secrets
from jobs.events import EventWriter
from jobs.verdict import verdict
from settings import toml
from settings.errors import check
from trainer.config import TrainSettings

HUB, KEY, PASSWORD = "hf_" + "c4n4ry" * 5, "canary-of-the-environment", "canary-of-an-address"
FIXES = [{"says": "gradient checkpointing", "settings": {"memory.gradient_checkpointing": True}}]


@pytest.fixture
def failed(workspace, tmp_path):
    """failed(event values, settings) -> a run that ended so."""

    def make(values: dict, **settings):
        config = check(TrainSettings, {"name": "mine", "model": {"base": "someone/some-model"}} | settings)
        job = folder.create("train", "mine", toml.dumps(config), ["python", "-c", "pass"])
        events = EventWriter(job.events_path)
        events.write("started", step=0, total_steps=20, device="cpu")
        events.write("failed", **{"cause": "It broke.", "fix": "Mend it.", "traceback": "Traceback: it broke"} | values)
        return job, Runs(folder.home()).find(job.id).refresh()

    return make


def test_a_report_has_what_helps(failed):
    job, run = failed({}, run={"epochs": 77})
    job.log_path.write_text("\n".join(f"line {number}" for number in range(500)))
    text = trouble.report(run, "failed", folder.home())
    told = ("mine: train, failed", "It broke.", "Mend it.", "Traceback: it broke")
    for wanted in (*told, "epochs = 77", "torch 2", "line 499"):
        assert wanted in text, wanted
    assert "line 100\n" not in text and "batch_size" not in text, "neither the whole log nor what is as always"


def test_a_report_has_no_secrets(failed, monkeypatch):
    """Canaries in every place that a report is made from."""
    monkeypatch.setenv("SOME_API_KEY", KEY)
    monkeypatch.setenv("HOME", "/home/canary-person")
    secrets.save(folder.home(), "HF_TOKEN", "saved-canary-token")
    spoilt = f"{HUB} {KEY} https://me:{PASSWORD}@host/x saved-canary-token Bearer canary.bearer /home/canary-person/a"
    pictures = {"folders": ["/home/canary-person/p"]}
    job, run = failed({"traceback": spoilt}, metadata={"comment": spoilt}, dataset=pictures)
    run.end |= {"cause": spoilt, "fix": spoilt}  # as an older version may have written it
    job.log_path.write_text(f"{spoilt}\n")
    text = trouble.report(run, "failed", folder.home())
    assert "canary" not in text.lower() and "c4n4ry" not in text
    assert "~/p" in text and "[token]" in text


def test_a_report_of_settings_that_cannot_be_read(failed):
    job, run = failed({})
    job.config_path.write_text("no = [toml")
    assert "unreadable" in trouble.report(run, "failed", folder.home())


def test_fixes_are_those_that_the_run_has_told(failed):
    assert trouble.fixes(failed({"fixes": FIXES})[1]) == FIXES
    assert trouble.fixes(failed({})[1]) == []


def test_a_run_that_the_system_ended_for_want_of_memory_has_fixes_too(failed, tmp_path):
    killed = verdict(-9, tmp_path / "none.txt")
    assert killed["reason"] == "memory" and "reason" not in verdict(-11, tmp_path / "none.txt")
    _, run = failed(killed, run={"batch_size": 4})
    assert trouble.fixes(run)[0]["settings"] == {"run.batch_size": 1, "run.gradient_accumulation": 4}
    run.started["device"] = "NVIDIA H100"
    assert trouble.fixes(run) == [], "what saves memory of the card does not help the machine"


def test_a_fix_is_put_on_the_form(failed, fresh_window, monkeypatch):
    job, _ = failed({"fixes": FIXES}, run={"epochs": 77})
    chosen = []
    monkeypatch.setitem(fresh_window.parts, "runs", SimpleNamespace(choose=lambda deed, *_, **__: chosen.append(deed)))
    room.wire(fresh_window, None)
    form = fresh_window.forms["train"]
    for fix, expected in ((0, True), (None, False), (5, False), ("x", False)):
        filled = chosen[0](SimpleNamespace(_data={"run": job.id, "fix": fix}))
        draft = fresh_window.drafts.load("train")
        assert draft["memory"]["gradient_checkpointing"] is expected and draft["run"]["epochs"] == 77
        assert filled.keys() & form.fields


def test_the_words_of_a_report_are_not_the_home_of_everybody(failed, monkeypatch):
    """In a container the home folder may be the root of everything."""
    monkeypatch.setenv("HOME", "/")
    assert "/" in trouble.without_secrets("a/b", Path("/nowhere"))
