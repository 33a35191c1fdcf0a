"""The checkpoints of a run in which all weights of the denoiser learn: each is a whole model, with the VAE and the text
encoders as they were read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataset.scan import Dataset
from trainer.config import TrainSettings
from trainer.families.unet import UNetFamily
from trainer.full import checkpoint, names
from trainer.lora import file, writing
from trainer.lora.dialects import beside
from trainer.output import COVERAGE, Learnt, Output
from trainer.plan import Plan

DENOISER = "denoiser."


class WholeOutput(Output):
    """As Output, with whole models for LoRAs."""

    def __init__(self, folder: Path, config: TrainSettings, family: UNetFamily, plan: Plan, dataset: Dataset):
        super().__init__(folder, config, family, plan, dataset)
        self._frozen = {name: part for name, part in family.parts.items() if name != "denoiser"}
        self._names = names.unet(family.parts["denoiser"].state_dict())

    @property
    def beside(self) -> int:
        return sum(weight.numel() for part in self._frozen.values() for weight in part.parameters())

    def coverage(self, learnt: Learnt) -> dict[str, Any]:
        """Without a second copy of the base model there is nothing to compare with."""
        found = {"layers": 0, "parts": []}
        writing.write(self._folder / COVERAGE, json.dumps(found).encode())
        return found

    def _others(self, path: Path, learnt: Learnt, step: int) -> list[Path]:
        """The same model as a diffusers folder, as save.diffusers says."""
        to = beside(path, "diffusers")
        if not self._config.save.diffusers:
            return []
        shutil.rmtree(to, ignore_errors=True)
        dtype = file.PRECISIONS[self._config.save.precision]
        weights = {name: tensor.to(dtype) for name, tensor in own(learnt.adapters).items()}
        self._family.export(to, weights, dtype)
        return [to]

    def _write_one(self, path: Path, adapters: dict[str, Tensor], alphas: dict[str, float], step: int) -> None:
        tensors = self.tensors(adapters)
        checkpoint.save(path, tensors, self._notes(step))
        checkpoint.verify(path, tensors)

    def tensors(self, learnt: dict[str, Tensor]) -> dict[str, Tensor]:
        """The whole model at the save precision, on the CPU, under the names that single files have."""
        whole = {self._names[name]: tensor for name, tensor in own(learnt).items()}
        for part, module in self._frozen.items():
            state = module.state_dict()
            whole |= names.vae(state) if part == "vae" else names.text_encoder(state, self._family.places[part])
        dtype = file.PRECISIONS[self._config.save.precision]
        found = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in whole.items()}
        return found | {mark: torch.zeros(()) for mark in self._family.marks}


def own(learnt: dict[str, Tensor]) -> dict[str, Tensor]:
    """The denoiser's weights under its own names."""
    return {name.removeprefix(DENOISER): tensor for name, tensor in learnt.items()}
