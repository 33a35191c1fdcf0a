"""The LoRA files of a run: checkpoints on the way, and the finished one, read back before the run says that it is
done."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dataset.scan import Dataset
from jobs.folder import Job
from trainer.config import TrainSettings
from trainer.families.base import Family
from trainer.lora import file
from trainer.lora.metadata import metadata
from trainer.plan import Plan


@dataclass(frozen=True)
class Learnt:
    """What a run has learnt so far: weights by name, the factor of each update times its rank, and the moving average
    of the weights if one is kept."""

    adapters: dict[str, Tensor]
    alphas: dict[str, float]
    average: dict[str, Tensor]


class Output:
    """Writes into the job's folder; only the finished file is copied elsewhere too."""

    def __init__(self, folder: Path, config: TrainSettings, family: Family, plan: Plan, dataset: Dataset):
        self._folder, self._config, self._family, self._plan, self._dataset = folder, config, family, plan, dataset
        self._began = Job(folder).created

    def sweep(self) -> None:
        """Remove what a killed process has left half written."""
        file.sweep(self._folder)
        file.sweep(self._folder / "checkpoints")

    def checkpoint(self, learnt: Learnt, step: int) -> Path:
        """checkpoints/NAME-000002.safetensors at the end of an epoch, NAME-step00000150.safetensors in between, as
        kohya names them."""
        epoch, rest = divmod(step, self._plan.steps_per_epoch)
        mark = f"step{step:08d}" if rest else f"{epoch:06d}"
        path = self._folder / "checkpoints" / f"{self._config.name}-{mark}.safetensors"
        path.parent.mkdir(exist_ok=True)
        self._write(path, learnt, step)
        self._rotate(path)
        return path

    def final(self, learnt: Learnt, step: int, finished: bool) -> Path:
        """NAME.safetensors in the job's folder, and a copy in the output folder if one is set; returns the last of
        the two.

        A run that was stopped leaves a checkpoint instead.
        """
        if not finished:
            return self.checkpoint(learnt, step)
        path = self._folder / f"{self._config.name}.safetensors"
        written = self._write(path, learnt, step)
        if self._config.save.folder:
            return [copied(one, Path(self._config.save.folder).expanduser()) for one in written][-1]
        return path

    def _write(self, path: Path, learnt: Learnt, step: int) -> list[Path]:
        """The LoRA, after its moving average if there is one: the newest file is the one that was trained."""
        written = []
        for adapters, to in ((learnt.average, averaged(path)), (learnt.adapters, path)):
            if adapters:
                self._write_one(to, adapters, learnt.alphas, step)
                written.append(to)
        return written

    def _write_one(self, path: Path, adapters: dict[str, Tensor], alphas: dict[str, float], step: int) -> None:
        notes = metadata(self._config, self._family, self._plan, self._dataset, step=step, began=self._began)
        dtype = file.PRECISIONS[self._config.save.precision]
        file.save(path, adapters, alphas, naming=self._family.naming, metadata=notes, dtype=dtype)
        # Before the first step that counts (a warm-up begins at rate 0) an update of nothing is right.
        trained = any(tensor.any() for name, tensor in adapters.items() if ".lora_B." in name)
        file.verify(path, adapters, alphas, naming=self._family.naming, trained=trained)

    def _rotate(self, newest: Path) -> None:
        """Remove the oldest checkpoints of this run, now that the newest is safely on disk."""
        if not self._config.save.keep_last:
            return
        ours = [path for path in newest.parent.glob(f"{self._config.name}-*.safetensors") if not is_average(path)]
        ours.sort(key=lambda path: path.stat().st_mtime_ns)
        for old in ours[: -self._config.save.keep_last]:
            if old != newest:
                old.unlink()
                averaged(old).unlink(missing_ok=True)


def averaged(path: Path) -> Path:
    """Where the moving average of a LoRA file lies."""
    return path.with_name(f"{path.stem}-ema{path.suffix}")


def is_average(path: Path) -> bool:
    return path.stem.endswith("-ema") and path.with_name(path.stem.removesuffix("-ema") + path.suffix).exists()


def copied(path: Path, folder: Path) -> Path:
    """A copy in `folder` under the same name, or name-2, name-3: nothing that is there is overwritten, and a full disk
    leaves nothing behind."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 1
    while True:
        copy = folder / (path.name if count == 1 else f"{path.stem}-{count}{path.suffix}")
        try:
            copy.open("xb").close()  # the name is ours
            break
        except FileExistsError:
            count += 1
    part = copy.with_name(f".{copy.name}.part")
    try:
        shutil.copyfile(path, part)
        if part.read_bytes() != path.read_bytes():
            raise OSError(f"the copy in {folder} is not what was written; the LoRA itself is {path}")
        os.replace(part, copy)
    except OSError:
        part.unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
        raise
    return copy
