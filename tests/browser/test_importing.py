"""Importing settings of another program, and what the base model's field says, as a person does it."""

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import HOSTILE, PATIENCE, Server, Visit

expect.set_options(timeout=PATIENCE)
PRESET = {"LoRA_type": "Standard", "network_dim": 48, "unet_lr": 2e-4, "text_encoder_lr": 0, "max_train_steps": 300,
          "output_name": "mine", "training_comment": HOSTILE, "mystery": HOSTILE}


def test_look_fill_and_undo(visit: Visit, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "preset.json"
    path.write_text(json.dumps(PRESET), encoding="utf-8")
    page = visit.page
    visit.open("LoRA training")
    rank = page.locator("#train-lora-denoiser-rank input")
    expect(rank).to_be_enabled()
    rank.fill("5")
    page.get_by_role("button", name="Import settings…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Fill the form")).to_be_disabled()
    page.locator("#import-file").set_input_files(path)
    expect(dialog).to_contain_text("kohya_ss preset")
    expect(dialog).to_contain_text(HOSTILE)
    dialog.get_by_role("button", name="Fill the form").click()
    expect(rank).to_have_value("48")
    expect(page.locator("#train-name input")).to_have_value("mine")
    page.get_by_role("button", name="Undo import").click()
    expect(rank).to_have_value("5")


def test_the_base_model_says_what_it_is(visit: Visit, server: Server) -> None:
    page = visit.page
    visit.open("LoRA training")
    field = page.locator("#train-model-base input, #train-model-base textarea").first
    expect(field).to_be_enabled()
    field.fill("toy/models/sd")
    about = page.locator("#train-model-base .lor-detected")
    expect(about).to_contain_text("7.14 million weights in the denoiser, float16")
    page.get_by_label("Presets for which card").select_option("12")
    page.get_by_label("Presets for which model").select_option("Stable Diffusion XL")
    options = page.get_by_label("Preset", exact=True).locator("optgroup[label='Style'] option")
    expect(options).to_have_text(["Stable Diffusion XL · 8 GB · style-8gb", "Stable Diffusion XL · 12 GB · style-12gb"])
