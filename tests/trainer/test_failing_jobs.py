"""Every way in which a run can fail, in a process of its own: what the job then says, and what is still there."""

import ctypes.util
import os
import shutil
import sys

import pytest

from jobs.folder import Job
from settings import toml
from tests.trainer.forks import Forks
from tests.trainer.reading import newest, warnings
from trainer import command
from trainer.config import TrainSettings


@pytest.fixture(scope="module")
def forks():
    if not hasattr(os, "fork"):
        pytest.skip("this system can't fork")
    program = Forks()
    yield program
    program.end()


def failed(forks: Forks, job: Job, how: str | None = None) -> dict:
    """The last event of a run that fails."""
    code = forks.train(job.folder, fail=how)
    last = job.last_event
    assert code == 1 and job.state() == "failed", job.log_path.read_text()
    assert "\n" not in last["cause"] and last["fix"] and "Traceback" in last["traceback"]
    return last


def test_out_of_memory_of_the_card_names_what_helps_this_run(forks, configure):
    settings = {"run": {"batch_size": 4}, "dataset": {"resolution": 64}, "memory": {"cache_latents": False}}
    settings["accelerate"] = {"cpu": False}
    last = failed(forks, command.create(configure(**settings)), "card")
    assert "The graphics card has not enough memory" in last["cause"] and "2.4 GB for it" in last["cause"]
    changes = [fix["settings"] for fix in last["fixes"]]
    assert changes[0] == {"memory.cache_latents": True}
    assert changes[1] == {"accelerate.mixed_precision": "bf16"}
    assert changes[2] == {"run.batch_size": 1, "run.gradient_accumulation": 4}
    assert last["fixes"][-1]["says"] == "all of them" and changes[-1] == changes[0] | changes[1] | changes[2]
    assert [fix["says"] in last["fix"] for fix in last["fixes"][:-1]] == [True] * len(changes[:-1])


def test_out_of_memory_of_the_machine(forks, configure):
    last = failed(forks, command.create(configure()), "machine")
    assert "The machine has not enough memory" in last["cause"] and "gradient checkpointing" in last["fix"]
    assert not any("bf16" in fix["says"] and "faster" in fix["says"] for fix in last["fixes"]), "not on a processor"


def test_no_numbers_say_the_step_the_pictures_and_what_is_kept(forks, configure):
    job = command.create(configure(save={"every_steps": 1}))
    last = failed(forks, job, "numbers")
    assert "up to step 4" in last["cause"] and ".png" in last["cause"]
    kept = newest(job).position["step"]
    assert f"up to step {kept} is kept" in last["cause"] and kept >= 2
    (fix,) = last["fixes"]
    assert fix["settings"]["lora.denoiser.learning_rate"] == 5e-4 and fix["settings"]["lora.weights"] == str(job.folder)
    assert "half the learning rate" in fix["says"] and "clipped" not in fix["says"]


def test_a_gated_model(forks, configure):
    last = failed(forks, command.create(configure()), "gated")
    assert "without a login" in last["cause"] and "licence" in last["fix"] and "token" in last["fix"]


def test_a_driver_that_does_not_fit(forks, configure):
    last = failed(forks, command.create(configure()), "driver")
    assert "driver" in last["cause"] and "no kernel image" in last["cause"] and "doctor" in last["fix"]


def test_a_base_model_that_went(forks, configure, tiny, tmp_path):
    model = shutil.copytree(tiny, tmp_path / "model")
    job = command.create(configure(model={"base": str(model)}))
    shutil.rmtree(model)
    last = failed(forks, job)
    assert "model.base" in last["cause"] and str(model) in last["cause"]


def test_a_part_of_the_base_model_that_went(forks, configure, tiny, tmp_path):
    model = shutil.copytree(tiny, tmp_path / "model")
    job = command.create(configure(model={"base": str(model)}))
    for file in (model / "unet").glob("*.safetensors"):
        file.unlink()
    last = failed(forks, job)
    assert "The base model lacks a file" in last["cause"] and "unet" in last["cause"] and "model.base" in last["fix"]


def test_another_family(forks, configure):
    job = command.create(configure())
    job.config_path.write_text(job.config_path.read_text().replace('family = "sd15"', 'family = "sdxl"'))
    last = failed(forks, job)
    assert "Stable Diffusion 1.x" in last["cause"] and "expected Stable Diffusion XL" in last["cause"]


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or not ctypes.util.find_library("c"),
    reason="a small disk can be mounted by root on Linux only",
)
def test_a_disk_that_is_really_full(forks, configure):
    """What fits no more costs a warning where the run can go on, and the newest whole state is there to go on from."""
    job = command.create(configure(save={"every_steps": 1}, lora={"denoiser": {"rank": 64}}))
    forks.train(job.folder, fail="full")
    kept = Job(job.folder.with_name(f"{job.folder.name}-kept"))
    assert kept.last_event["kind"] == "failed" and "disk is full" in kept.last_event["cause"], kept.log_path.read_text()
    assert newest(kept).position["step"] == 2 and "nothing was saved at this step" in warnings(kept)
    assert forks.train(kept.folder) == 0 and kept.state() == "finished"


def test_the_settings_that_a_fix_leads_to_are_valid(forks, configure):
    from settings.coerce import over
    from settings.errors import check
    from settings.flags import nested

    job = command.create(configure(run={"batch_size": 2}))
    fixes = failed(forks, job, "machine")["fixes"]
    assert fixes
    for fix in fixes:
        config = toml.read(TrainSettings, job.config_path)
        check(TrainSettings, over(config.model_dump(), nested(fix["settings"])))
