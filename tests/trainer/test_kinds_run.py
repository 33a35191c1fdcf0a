"""Whole runs with each kind of adapter: stopped and gone on, averaged, reported on, inspected, started from."""

import json

import pytest
import torch
from safetensors.torch import load_file

from jobs import requests
from tests.trainer.reading import equal, events, newest
from trainer import command
from trainer.loop import train
from trainer.lora.kinds import LAYERS
from trainer.report import Report
from trainer.tools.inspect import inspect

KINDS = tuple(kind for kind in LAYERS if kind not in ("lora", "rslora", "dora"))  # of DoRA, test_resume.py kills one


@pytest.fixture
def stopping(monkeypatch):
    """stopping(folder): a person asks for it after the second step."""
    step, wanted = Report.step, []

    def stepped(report, values):
        step(report, values)
        if wanted and values["step"] == 2:
            requests.ask(wanted.pop(), "stop")

    monkeypatch.setattr(Report, "step", stepped)
    return wanted.append


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_goes_on_to_the_bit_and_says_what_it_learnt(configure, stopping, kind):
    lora = {"kind": kind, "denoiser": {"rank": 2, "layers": "all", "dropout": 0.1, "module_dropout": 0.05}}
    lora["denoiser"]["rank_dropout"] = 0.3 * (kind != "oft")
    lora["max_norm"] = 0.01 if kind in ("loha", "lokr") else None
    config = configure(lora=lora, optimizer={"ema_decay": 0.9}, run={"max_steps": 3}, save={"precision": "float32"},
                       memory={"gradient_checkpointing": True})
    straight, parted = command.create(config), command.create(config)
    train(straight.folder)
    stopping(parted.folder)
    train(parted.folder)
    assert parted.state() == "stopped"
    train(parted.folder)
    one, two = newest(straight), newest(parted)
    assert one.position["step"] == 3 and equal(one.adapters, two.adapters) and equal(one.average, two.average)
    assert equal(one.optimizer, two.optimizer)
    files = [load_file(job.folder / "tiny.safetensors") for job in (straight, parted)]
    assert equal(*files) and (straight.folder / "tiny-ema.safetensors").exists()

    (denoiser,) = json.loads((straight.folder / "coverage.json").read_text(encoding="utf-8"))["parts"]
    assert denoiser["norm"] > 0 and not denoiser["zero"]
    report = inspect(straight.folder / "tiny.safetensors")
    written = "lora" if kind == "pissa" else kind
    assert report["family"]["name"] == "sd15" and not report["unmatched"]["count"]
    assert report["coverage"]["parts"][0]["adapters"] == {written: denoiser["layers"]}
    module = "networks.lora" if kind == "pissa" else "lycoris.kohya"
    assert report["metadata"]["ss_network_module"] == module


@pytest.mark.parametrize("kind, source", [("pissa", "job"), ("pissa", "file"), ("oft", "file")])
def test_another_run_starts_from_it(configure, kind, source):
    lora = {"kind": kind, "denoiser": {"rank": 2}}
    first = command.create(configure(lora=lora, run={"max_steps": 2}, save={"precision": "float32"}))
    train(first.folder)
    weights = first.folder if source == "job" else first.folder / "tiny.safetensors"
    # So small a rate that what it started from is what it ends with.
    lora = {"kind": kind, "weights": str(weights), "denoiser": {"rank": 2, "learning_rate": 1e-12}}
    second = command.create(configure(lora=lora, run={"max_steps": 1, "seed": 5}))
    train(second.folder)
    for name, weight in newest(first).adapters.items():
        assert torch.allclose(newest(second).adapters[name], weight, atol=1e-6), name
    assert not [event for event in events(second, "warning") if "lora.weights" in event["message"]]
