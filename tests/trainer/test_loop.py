"""Whole runs of a tiny model: what is promised of a run, from the first event to the file."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from jobs import requests
from jobs.folder import Job
from tests.trainer.conftest import draw
from tests.trainer.reading import events, losses, newest
from trainer import __main__ as worker
from trainer import command
from trainer.batches import Batches
from trainer.loop import train
from trainer.run import Run

GOLDEN = Path(__file__).parents[1] / "golden" / "losses"


def run(config, at: Path | None = None) -> Job:
    job = command.create(config, at)
    train(job.folder)
    return job


CASES = {
    "unet": {},
    "text_encoder": {
        "lora": {
            "denoiser": {"rank": 4, "alpha": 2, "layers": "all", "learning_rate": 1e-3},
            "text_encoder": {"train": True, "rank": 2, "learning_rate": 1e-3},
        }
    },
    "v_min_snr": {"model": {"prediction_type": "v_prediction"}, "noise": {"min_snr_gamma": 5.0, "noise_offset": 0.1}},
}


@pytest.mark.parametrize("name", CASES)
def test_golden_losses(configure, name):
    """A refactoring changes none of these. They are changed only on purpose, with the reason in the commit."""
    got = losses(run(configure(run={"epochs": 2, "batch_size": 2}, captions={"dropout": 0.2}, **CASES[name])))
    wanted = [float(line) for line in (GOLDEN / f"sd15_tiny_{name}.txt").read_text().split()]
    assert got == pytest.approx(wanted, rel=1e-3)


@pytest.mark.proves("save.keep_last", "save.folder")
def test_a_run_does_what_was_planned_and_says_so(configure, tmp_path):
    config = configure(
        run={"epochs": 3},
        preview={"prompts": ["sks dog", "a cat"], "steps": 2, "every_epochs": 2},
        save={"every_epochs": 1, "keep_last": 1, "folder": str(tmp_path / "out")},
    )
    job = run(config)
    started, finished = events(job, "started")[0], events(job, "finished")[0]
    assert started["total_steps"] == started["plan"]["total_steps"] == 18
    assert [event["step"] for event in events(job, "step")] == list(range(1, 19))
    assert [(event["step"], event["index"]) for event in events(job, "sample")] == [
        (step, index) for step in (0, 12, 18) for index in (0, 1)
    ]
    assert all((job.folder / event["path"]).is_file() for event in events(job, "sample"))
    assert [event["step"] for event in events(job, "checkpoint")] == [6, 12]
    assert [path.name for path in job.checkpoints.iterdir()] == ["tiny-000002.safetensors"], "keep_last = 1"
    assert finished["steps"] == 18 and job.state() == "finished"
    assert Path(finished["lora"]) == tmp_path / "out" / "tiny.safetensors"
    assert Path(finished["lora"]).read_bytes() == (job.folder / "tiny.safetensors").read_bytes()
    run(config)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["tiny-2.safetensors", "tiny.safetensors"]
    assert any((job.folder / "tensorboard").iterdir())


def test_samples_saves_and_caching_do_not_touch_the_training(configure):
    plain = run(configure(run={"epochs": 2}))
    busy = run(
        configure(
            run={"epochs": 2},
            preview={"prompts": ["sks"], "steps": 2, "every_steps": 3},
            save={"every_steps": 2},
            memory={"cache_latents": False, "cache_captions": False},
        )
    )
    assert losses(busy) == pytest.approx(losses(plain), rel=1e-5)
    lean = run(configure(run={"epochs": 2}, memory={"gradient_checkpointing": True}))
    assert losses(lean) == pytest.approx(losses(plain), rel=1e-5)


def test_accumulated_batches_are_one_larger_batch(configure, tmp_path, monkeypatch):
    """Four of one are one of four, when they come in the same order: gradients, and so the first step, are the same."""
    folder = draw(tmp_path / "square", sizes=[(64, 64)] * 8)
    monkeypatch.setattr(
        Batches,
        "_shuffled",
        lambda self, epoch: [
            list(range(start, start + self._plan.batch_size)) for start in range(0, 8, self._plan.batch_size)
        ],
    )
    dataset = {"folders": [{"path": str(folder)}]}
    jobs = [
        run(
            configure(
                run={"batch_size": size, "gradient_accumulation": 4 // size},
                dataset=dataset,
                optimizer={"max_grad_norm": 0.0},
            )
        )
        for size in (4, 1)
    ]
    for one, other in zip(events(jobs[0], "step"), events(jobs[1], "step")):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_adapters_and_their_optimiser_stay_float32(configure, precision):
    job = run(
        configure(
            accelerate={"cpu": True, "mixed_precision": precision},
            lora={"denoiser": {"rank": 2}, "text_encoder": {"train": True, "rank": 2}},
            preview={"prompts": ["sks"], "steps": 1},
            memory={"gradient_checkpointing": True},
        )
    )
    saved = newest(job)
    assert {tensor.dtype for tensor in saved.adapters.values()} == {torch.float32}
    moments = [value for slot in saved.optimizer["state"].values() for name, value in slot.items() if "exp" in name]
    assert moments and {moment.dtype for moment in moments} == {torch.float32}
    assert {part.split(".")[0] for part in saved.adapters} == {"denoiser", "text_encoder"}
    assert events(job, "step")[-1]["skipped"] == 0


def test_a_model_that_has_gone_is_one_sentence(configure, tiny, tmp_path):
    gone = tmp_path / "gone"
    job = command.create(configure())
    job.config_path.write_text(job.config_path.read_text().replace(str(tiny), str(gone)))
    assert worker.main(["train", str(job.folder)]) == 1
    assert "model.base" in job.last_event["cause"] and str(gone) in job.last_event["cause"]


def test_cached_latents_are_those_of_their_picture(configure, tiny, monkeypatch):
    """Through shuffled epochs, flips and buckets: what the denoiser gets for a picture is what the VAE makes of that
    file."""
    seen = {}
    whole = Run.losses

    def watch(self, samples, turn):
        for sample, mean in zip(samples, self.latents.of(samples)[0]):
            seen[sample.item.path, sample.flip] = (sample, mean, self)
            assert sample.caption.endswith(f"number {int(sample.item.path.stem)}")
        return whole(self, samples, turn)

    monkeypatch.setattr(Run, "losses", watch)
    run(
        configure(
            run={"epochs": 3, "batch_size": 2},
            dataset={"folders": [{"path": str(configure().dataset.folders[0].path)}], "flip": True},
        )
    )
    assert len({path for path, _ in seen}) == 6
    for (path, flip), (sample, mean, run_) in seen.items():
        picture = Image.open(path).convert("RGB").resize(sample.crop.resized)
        left, top = sample.crop.left, sample.crop.top
        picture = picture.crop((left, top, left + sample.crop.bucket[0], top + sample.crop.bucket[1]))
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
        vae = run_.parts["vae"]
        with torch.no_grad():
            wanted = vae.encode(pixels.flip(-1) if flip else pixels).latent_dist.mean[0] * vae.config.scaling_factor
        assert torch.allclose(mean, wanted, atol=1e-5), path


def test_an_old_cache_is_never_used_for_a_changed_picture(configure, pictures):
    first = losses(run(configure()))
    assert losses(run(configure())) == first
    Image.new("RGB", (64, 64), "white").save(pictures / "00.png")
    assert losses(run(configure())) != first


def test_hostile_names_and_captions(configure, tmp_path):
    folder = draw(tmp_path / 'мои "фото" [1] 猫\'; rm -rf x', sizes=[(64, 64)] * 2)
    (folder / "00.txt").write_text(
        '$(touch /tmp/x) "; <script>alert(1)</script> \x00\x07 ' + "слово " * 300, encoding="utf-8"
    )
    (folder / "01.txt").write_bytes(b"\xff\xfe\x00 nothing readable \x81")
    (folder / "02.png").write_bytes(b"not a picture")
    job = run(configure(dataset={"folders": [{"path": str(folder)}]}))
    assert job.state() == "finished" and len(losses(job)) == 2
    assert any("02.png" in event["message"] for event in events(job, "warning"))


def test_launched_with_two_processes_it_is_the_same_run(configure, capsys):
    """Through `accelerate launch` and a process of its own, as the window starts it; twice the batches a step, and the
    class images shared out. A wish from last time does not stop this time."""
    same = {"prior": {"kind": "images", "class_prompt": "a dog", "images": 3, "steps": 1},
            "words": {"new": [{"word": "sks", "vectors": 2}]}}
    both = command.create(
        configure(accelerate={"cpu": True, "mixed_precision": "no", "processes": 2, "cpu_threads": 1}, **same)
    )
    assert "--config_file" in " ".join(both.argv), "no default of the machine's counts"
    requests.ask(both.folder, "stop")
    assert command.follow(both) == 0, both.log_path.read_text()
    assert both.state() == "finished"
    alone = run(configure(run={"gradient_accumulation": 2}, **same))
    assert not [event for event in events(alone, "phase") if event["name"] == "draw class images" and not event["done"]]
    assert losses(both) == pytest.approx(losses(alone), rel=1e-4)
    assert "finished after" in capsys.readouterr().out
    one, other = load_file(alone.folder / "tiny.safetensors"), load_file(both.folder / "tiny.safetensors")
    assert one.keys() == other.keys() and all(torch.allclose(one[name], other[name], atol=1e-3) for name in one)
    word, same_word = (load_file(job.folder / "embeddings" / "tiny-sks.safetensors") for job in (alone, both))
    assert torch.allclose(word["emb_params"], same_word["emb_params"], atol=3e-4)
    assert command.follow(both) == 0 and "finished already" in capsys.readouterr().out


def test_dry_run_prints_the_plan(configure, tmp_path, capsys):
    path = tmp_path / "config.toml"
    path.write_text(command.toml.dumps(configure()))
    assert command.main([str(path), "--dry-run", "--run.epochs", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["total_steps"] == 18
    assert command.main([str(path), "--dry-run", "--run.epoch", "3"]) == 2
    assert "run.epochs" in capsys.readouterr().err


def test_stopping_before_there_is_anything_to_keep(configure):
    """A warm-up begins at rate 0, so after one step the LoRA is still nothing: that is no failure. Nor is stopping
    while pictures are still being encoded."""
    job = command.create(configure(schedule={"warmup": 0.5}, save={"every_steps": 1}))
    requests.ask(job.folder, "stop")
    train(job.folder)
    assert job.state() == "stopped" and job.last_event["lora"] is None and not losses(job)
    train(job.folder)
    assert job.state() == "finished" and len(events(job, "checkpoint")) == 5


def test_the_same_command_again_goes_on_with_its_job(configure):
    config = configure()
    job = command.prepared(config, None)
    assert command.prepared(config, None).folder == job.folder
    assert command.prepared(configure(run={"epochs": 2}), None).folder != job.folder
    train(job.folder)
    assert command.prepared(config, None).folder != job.folder, "a finished one is done"


def test_changed_pictures_are_told_when_a_run_goes_on(configure, pictures):
    job = run(configure())
    (pictures / "00.png").unlink()
    train(job.folder)
    assert any("pictures have changed" in event["message"] for event in events(job, "warning"))


def test_a_picture_damaged_inside_is_named(configure, pictures):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    noise.save(pictures / "07.png")
    data = bytearray((pictures / "07.png").read_bytes())
    data[200:4000] = bytes(3800)
    (pictures / "07.png").write_bytes(data)
    job = command.create(configure())
    assert worker.main(["train", str(job.folder)]) == 1
    assert "07.png" in job.last_event["cause"] and "dataset.folders" in job.last_event["cause"]
