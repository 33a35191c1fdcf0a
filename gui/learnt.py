"""What a run leaves behind, and how a new run starts from it: a LoRA, or a whole model."""

from __future__ import annotations

from jobs.folder import Job
from settings import toml
from settings.errors import SettingsError
from trainer.config import TrainSettings


def is_whole(job: Job) -> bool:
    """Whether all weights learnt, and its files are whole models."""
    try:
        return toml.read(TrainSettings, job.config_path).all_weights
    except (SettingsError, OSError):  # of another version, or damaged: its files are shown all the same
        return False


def start_from(job: Job) -> dict[str, str]:
    """The settings of a new run that starts from what this one has learnt."""
    if not is_whole(job):
        return {"lora.weights": str(job.folder)}
    files = [*job.folder.glob("*.safetensors"), *job.checkpoints.glob("*.safetensors")]
    newest = max(files, key=lambda path: path.stat().st_mtime_ns, default=None)
    return {"model.base": str(newest)} if newest else {}
