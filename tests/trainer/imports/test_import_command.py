"""The shell's door to imports: the report, and a file that `train` takes."""

import json

from settings import toml
from trainer.config import TrainSettings
from trainer.imports.command import main

PRESET = {"LoRA_type": "Standard", "network_dim": 24, "unet_lr": 2e-4, "text_encoder_lr": 0, "mystery": 1,
          "train_data_dir": "/data/img", "pretrained_model_name_or_path": "base.safetensors", "max_train_steps": 300}


def test_the_report_and_the_file(tmp_path, capsys):
    source, out = tmp_path / "preset.json", tmp_path / "made" / "config.toml"
    source.write_text(json.dumps(PRESET))
    assert main([str(source), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "network_dim = 24 -> lora.denoiser.rank" in said and "mystery" in said
    config = toml.read(TrainSettings, out)
    assert config.lora.denoiser.rank == 24 and not config.lora.text_encoder.train and config.run.max_steps == 300
    assert "Imported from preset.json" in out.read_text()
    assert main([str(source), "--out", str(out)]) == 2 and "--force" in capsys.readouterr().err
    assert main([str(source), "--out", str(out), "--force"]) == 0


def test_what_cannot_be_read(tmp_path, capsys):
    (tmp_path / "a.json").write_text("{")
    assert main([str(tmp_path / "a.json")]) == 2 and "not valid JSON" in capsys.readouterr().err
    assert main([str(tmp_path / "gone.toml")]) == 2 and capsys.readouterr().err.count("gone.toml") == 1
