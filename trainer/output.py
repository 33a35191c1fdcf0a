"""The LoRA files of a run: checkpoints on the way, and the finished one, read back before the run says that it is
done."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataset.scan import Dataset
from jobs.folder import Job
from settings.paths import absolute
from trainer.config import TrainSettings
from trainer.families.base import Family
from trainer.inversion import bundle, embedding_file, new_words
from trainer.lora import dialects, file, thumbnail, writing
from trainer.lora.adapter import Update
from trainer.lora.coverage import coverage
from trainer.lora.dialects import beside
from trainer.lora.kinds import made
from trainer.lora.metadata import metadata
from trainer.plan import Plan

COVERAGE = "coverage.json"


@dataclass(frozen=True)
class Learnt:
    """What a run has learnt so far: weights by name, the alpha of each update (inject.alphas), the moving average of
    the weights if one is kept, and the frozen layers that they change."""

    adapters: dict[str, Tensor]
    alphas: dict[str, float]
    average: dict[str, Tensor]
    layers: dict[str, nn.Module] = field(default_factory=dict)


class Output:
    """Writes into the job's folder; only the finished file is copied elsewhere too."""

    def __init__(self, folder: Path, config: TrainSettings, family: Family, plan: Plan, dataset: Dataset):
        self._folder, self._config, self._family, self._plan, self._dataset = folder, config, family, plan, dataset
        self._began = Job(folder).created

    @property
    def beside(self) -> int:
        """Numbers that each file holds besides those that learn."""
        return 0

    def sweep(self) -> None:
        """Remove what a killed process has left half written."""
        for folder in (self._folder, self._folder / "checkpoints"):
            file.sweep(folder)
            file.sweep(folder / embedding_file.FOLDER)

    def checkpoint(self, learnt: Learnt, step: int) -> Path:
        """checkpoints/NAME-000002.safetensors at the end of an epoch, NAME-step00000150.safetensors in between, as
        kohya names them."""
        epoch, rest = divmod(step, self._plan.steps_per_epoch)
        mark = f"step{step:08d}" if rest else f"{epoch:06d}"
        path = self._folder / "checkpoints" / f"{self._config.name}-{mark}.safetensors"
        path.parent.mkdir(exist_ok=True)
        written = self._write(path, learnt, step)
        for one in written:
            self._rotate(one, mark)
        return written[-1]

    def best(self, learnt: Learnt, step: int) -> Path:
        """checkpoints/NAME-best.safetensors, over the one before; without a number it is never one of the oldest."""
        path = self._folder / "checkpoints" / f"{self._config.name}-best.safetensors"
        path.parent.mkdir(exist_ok=True)
        return self._write(path, learnt, step)[-1]

    def final(self, learnt: Learnt, step: int, finished: bool) -> Path:
        """NAME.safetensors in the job's folder, with what else was asked for beside it, and copies in the output folder
        if one is set; returns where the LoRA itself is to be found there, or here.

        A run that was stopped leaves a checkpoint instead.
        """
        if not finished:
            return self.checkpoint(learnt, step)
        path = self._folder / f"{self._config.name}.safetensors"
        lora = self._write(path, learnt, step)  # first: it is safe whatever becomes of the others
        others = self._others(path, learnt, step) if lora[-1] == path else []
        written = [*self._bests(), *others, *lora]
        if self._config.save.folder:
            return [copied(one, absolute(self._config.save.folder)) for one in written][-1]
        return written[-1]

    def _bests(self) -> list[Path]:
        """Copies of the best checkpoint, with all that belongs to it, beside the finished LoRA; as old as they are."""
        checkpoints, copies = self._folder / "checkpoints", []
        for path in checkpoints.rglob(f"{self._config.name}-best*") if self._config.save.keep_best else ():
            copy = self._folder / path.relative_to(checkpoints)
            copy.parent.mkdir(exist_ok=True)
            part = copy.with_name(f".{copy.name}.part")
            shutil.copy2(path, part)
            os.replace(part, copy)
            copies.append(copy)
        return copies

    def coverage(self, learnt: Learnt) -> dict[str, Any]:
        """What was learnt, layer by layer; also written to coverage.json in the job's folder."""
        bases = {name: layer.weight.detach() for name, layer in learnt.layers.items()
                 if layer.weight.is_floating_point()}  # in 8 or 4 bits they can't be reckoned with
        found = coverage(self._adapters(learnt, torch.float32), bases)
        writing.write(self._folder / COVERAGE, json.dumps(found).encode())
        return found

    def _others(self, path: Path, learnt: Learnt, step: int) -> list[Path]:
        """The same LoRA for other programs, as save.peft, save.diffusers, save.blocks and words.bundle say. They are
        this run's own, so those that an earlier end of it has left are replaced."""
        save, written = self._config.save, []
        for dialect in ("peft", "diffusers", "blocks"):
            to = beside(path, dialect)
            if not getattr(save, dialect) or (dialect == "blocks" and "original_blocks" not in self._family.traits):
                continue
            shutil.rmtree(to) if to.is_dir() else to.unlink(missing_ok=True)
            adapters = self._adapters(learnt, file.PRECISIONS[save.precision])
            dialects.write(to, adapters, self._family.naming, dialect, self._notes(step))
            written.append(to)
        if self._config.words.bundle and (named := new_words.by_word(learnt.adapters)):
            said = {word.bare: word.word for word in self._config.words.new}
            words = {said[word]: self._keyed(rows) for word, rows in named.items()}
            bundle.write(bundle.beside(path), path, words)
            written.append(bundle.beside(path))
        return written

    def _adapters(self, learnt: Learnt, dtype: torch.dtype) -> dict[str, Update]:
        whole = file.updates_of(learnt.adapters, learnt.alphas)
        return {name: made({weight: tensor.to(dtype) for weight, tensor in one.weights.items()}, one.alpha)
                for name, one in whole.items()}

    def _notes(self, step: int) -> dict[str, str]:
        notes = metadata(self._config, self._family, self._plan, self._dataset, step=step, began=self._began)
        return notes | thumbnail.entry(self._config.metadata, self._folder / "samples")

    def _write(self, path: Path, learnt: Learnt, step: int) -> list[Path]:
        """New words, then the LoRA, each after its moving average if there is one: the newest file is the one that was
        trained."""
        words, written = [], []
        for weights, to in ((learnt.average, averaged), (learnt.adapters, Path)):
            named = new_words.by_word(weights)
            words += [self._write_word(to(embedding(path, word)), word, rows, step) for word, rows in named.items()]
            taught = {f"{part}.words.{word}" for word, rows in named.items() for part in rows}
            if adapters := {name: tensor for name, tensor in weights.items() if name not in taught}:
                self._write_one(to(path), adapters, learnt.alphas, step)
                written.append(to(path))
        return [*words, *written]

    def _write_word(self, path: Path, word: str, rows: dict[str, Tensor], step: int) -> Path:
        """A new word as a file of its own."""
        notes = {name: said for name, said in self._notes(step).items() if not name.startswith("ss_network_")}
        notes |= {"modelspec.architecture": f"{self._family.architecture}/textual-inversion", "modelspec.title": word}
        embedding_file.save(path, self._keyed(rows), notes, file.PRECISIONS[self._config.save.precision])
        return path

    def _keyed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """Of a word by text encoder -> by the names that files have for these."""
        return {self._family.embedding_keys[part]: tensor for part, tensor in rows.items()}

    def _write_one(self, path: Path, adapters: dict[str, Tensor], alphas: dict[str, float], step: int) -> None:
        dtype = file.PRECISIONS[self._config.save.precision]
        file.save(path, adapters, alphas, naming=self._family.naming, metadata=self._notes(step), dtype=dtype)
        # Before the first step that counts (a warm-up begins at rate 0) an update of nothing is right.
        trained = any(not one.nothing for one in file.updates_of(adapters, alphas).values())
        file.verify(path, adapters, alphas, naming=self._family.naming, trained=trained)

    def _rotate(self, newest: Path, mark: str) -> None:
        """Remove the oldest of this run's checkpoints that differ from the newest in their mark alone, now that it is
        safely on disk."""
        if not self._config.save.keep_last:
            return
        ending = newest.name.removeprefix(f"{self._config.name}-{mark}")
        ours = re.compile(rf"{re.escape(self._config.name)}-(step\d+|\d+){re.escape(ending)}")
        found = [path for path in newest.parent.iterdir() if ours.fullmatch(path.name)]
        for old in sorted(found, key=lambda path: path.stat().st_mtime_ns)[: -self._config.save.keep_last]:
            if old != newest:
                old.unlink()


def averaged(path: Path) -> Path:
    """Where the moving average of a LoRA file lies."""
    return path.with_name(f"{path.stem}-ema{path.suffix}")


def embedding(path: Path, word: str) -> Path:
    """Where a new word lies that was learnt together with a LoRA file, or without it."""
    return path.parent / embedding_file.FOLDER / f"{path.stem}-{word}{path.suffix}"


def copied(path: Path, folder: Path) -> Path:
    """A copy of a file or folder in `folder` under the same name, or name-2, name-3: nothing that is there is
    overwritten, and a full disk leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = claimed(folder / path.name, path.is_dir())
    part = copy.with_name(f".{copy.name}.part")
    try:
        if path.is_dir():
            shutil.copytree(path, part)
        else:
            shutil.copyfile(path, part)
        if contents(part) != contents(path):
            raise OSError(f"the copy in {folder} is not what was written; the LoRA itself is {path}")
        os.replace(part, copy)
    except OSError:
        for left in (part, copy):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        raise
    return copy


def claimed(path: Path, is_folder: bool) -> Path:
    """`path` or a free name like it, made now and empty, so that the name is ours."""
    count, free = 1, path
    while True:
        try:
            free.mkdir() if is_folder else free.open("xb").close()
            return free
        except FileExistsError:
            count += 1
            free = path.with_name(f"{path.stem}-{count}{path.suffix}")


def contents(path: Path) -> dict[str, bytes]:
    """{name: digest} of a file, or of all files in a folder."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return {one.relative_to(path).as_posix(): digest(one) for one in files}


def digest(path: Path) -> bytes:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()
