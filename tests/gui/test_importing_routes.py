"""Foreign settings in the window: the report first, then the form, and back; and what the base model's field says."""

import json
import types

import pytest

from gui import basemodel
from gui.importing import Importing
from gui.training import Training
from tests.models import tiny_sd15
from trainer.imports.report import ImportProblem

PRESET = {"LoRA_type": "Standard", "network_dim": 48, "network_alpha": 24, "unet_lr": 2e-4, "text_encoder_lr": 0,
          "max_train_steps": 300, "train_data_dir": "/data/img", "mystery": 1,
          "pretrained_model_name_or_path": "stabilityai/stable-diffusion-xl-base-1.0"}  # fmt: skip


@pytest.fixture
def training(fresh_window):
    return Training(fresh_window)


@pytest.fixture
def importing(fresh_window, training):
    return Importing(fresh_window, training)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(tiny_sd15(tmp_path_factory.mktemp("models") / "tiny"))


def on_form(training, updates):
    return {field: update["value"] for field, update in updates.items() if field in training._form.fields}


def typed(training, updates):
    return training._form.typed(on_form(training, updates))


def event(**data):
    return types.SimpleNamespace(_data=data)


def test_the_form_is_filled_with_what_the_report_has_shown_and_emptied_again(importing, training):
    before = on_form(training, training.fill({"name": "mine", "run.epochs": 99, "lora.denoiser.rank": 4}))
    report = training._window.imports.look_at("preset.json", json.dumps(PRESET).encode())
    assert "mystery" in json.dumps(report)
    updates = importing.fill(before, event(id=report["id"]))
    now = typed(training, updates)
    assert now["lora"]["denoiser"]["rank"] == 48 and now["run"]["max_steps"] == 300 and now["name"] == "mine"
    assert now["model"]["family"] == "sdxl" and now["dataset"]["folders"][0]["path"] == "/data/img"
    assert updates[training._parts["import"]]["undo"] is True
    back = importing.undo()
    assert on_form(training, back) == before and back[training._parts["import"]]["undo"] is False
    assert on_form(training, training.fill()) == before


def test_a_report_that_is_gone_changes_nothing(importing, training):
    before = on_form(training, training.fill({"name": "mine"}))
    answer = importing.fill(before, event(id="unknown"))
    assert answer[training._parts["notice"]]["bad"] and len(answer) == 1
    with pytest.raises(ImportProblem):
        training._window.imports.look_at("../x.json", b"{")


def test_the_family_follows_another_base_model_and_nothing_else_does(training, tiny):
    values = on_form(training, training.fill({"model.family": "sdxl", "dataset.resolution": 768}))
    values[training._form.one("model.base")] = tiny
    updates = training.typed(values)
    assert updates[training._form.one("model.family")]["value"] == "sd15"
    said = updates[training._parts["model"]]
    assert said["followed"] == "Stable Diffusion 1.x" and said["model"]["problem"] == ""
    (offer,) = said["model"]["offers"]
    assert offer["values"] == {"dataset.resolution": 512}
    taken = training.take(values | {training._form.one("model.family"): "sd15"}, event(values=offer["values"]))
    assert typed(training, taken)["dataset"]["resolution"] == 512


def test_a_family_that_is_chosen_against_the_model_is_refused_beside_it(training, tiny):
    values = on_form(training, training.fill({"model.base": tiny, "name": "what / is wrong"}))
    values[training._form.one("model.family")] = "sdxl"
    said = training.typed(values)[training._parts["model"]]
    assert "expected Stable Diffusion XL" in said["model"]["problem"] and "followed" not in said
    assert said["model"]["offers"][0]["values"] == {"model.family": "sd15"}


def test_a_preset_leaves_a_base_model_of_its_family_alone(tiny):
    mine = {"model": {"base": tiny, "family": "sd15", "trust_pickle": False}}
    assert basemodel.kept(mine, {"model.family": "sd15"})["model.base"] == tiny
    assert basemodel.kept(mine, {}) and not basemodel.kept(mine, {"model.family": "sdxl", "model.base": "a/b"})
    assert not basemodel.kept(mine, {"model.base": "toy/models/sd"})
    named = {"model": {"base": "someone/fine-tune", "family": "sdxl"}}
    assert basemodel.kept(named, {"model.family": "sdxl", "model.base": "a/b"})["model.base"] == "someone/fine-tune"
    assert not basemodel.kept(named, {"model.family": "sd15"})


def test_the_routes(page, tmp_path):
    path = tmp_path / "preset.json"
    path.write_text(json.dumps(PRESET))
    by_path = page.post("/api/import-settings", json={"path": str(path)}).json()
    sent = page.post("/api/import-settings/file?name=a.json", content=path.read_bytes()).json()
    assert by_path["groups"] == sent["groups"] and by_path["id"] != sent["id"]
    for wrong in ("", "a\0b", str(tmp_path), "/nothing/here.json"):
        answer = page.post("/api/import-settings", json={"path": wrong})
        assert answer.status_code == 422 and answer.json()["detail"].endswith(".")
    assert page.post("/api/import-settings/file?name=a.json", content=b"{").status_code == 422
    assert page.post("/api/import-settings/file?name=a.safetensors", content=b"").status_code == 422


def test_presets_say_what_they_are_for(page):
    listed = {preset["key"]: preset for preset in page.get("/api/presets").json()}
    one = listed["ours/sdxl/style-24gb"]
    assert (one["purpose"], one["memory_gb"], one["label"]) == ("Style", 24, "Stable Diffusion XL")
    assert listed["ours/toy/demo"]["memory_gb"] is None
