"""A training run from start to end. Read it top to bottom: this is the recipe, the other files are the ingredients.

The job is a folder: config.toml is read from it, events.jsonl and log.txt are written to it, and wishes (stop, pause,
save, sample) are looked for in it once a step. The same folder started again goes on from its newest state, and learns
bit for bit what it would have learnt: every random number follows from the seed and the step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn

from dataset.scan import Dataset, scan
from dataset.turns import lay_out
from jobs import requests
from jobs.folder import Job
from settings import toml
from trainer import disk, optim, state
from trainer.batches import Batches, Sample
from trainer.beginning import DTYPES, attach, earlier, encode, load_family, start_from, where_to_train
from trainer.cache import Captions, Latents
from trainer.config import TrainSettings
from trainer.ema import Average
from trainer.families.base import Family
from trainer.lora import inject
from trainer.objective import objective, only_from
from trainer.output import Learnt, Output
from trainer.plan import Plan, plan
from trainer.preview import Preview
from trainer.report import Report, Stopped
from trainer.schedule import schedule

GIVE_UP = 20  # steps in a row without a finite loss and gradient


def train(folder: Path) -> None:
    """Train the job in `folder` to its end or until it is asked to end. Raises what trainer.failures explains."""
    config = toml.read(TrainSettings, folder / "config.toml")
    dataset = scan(config.dataset.folders, config.dataset.caption_extension)
    planned = plan(config, dataset, begun=bool(state.saved(folder / "state")))
    place = where_to_train(config)
    report = Report(Job(folder), config, planned, place)
    try:
        run, preview, output = begin(folder, config, dataset, planned, place, report)
    except Stopped as stopped:
        return report.ended(stopped.wish, state.last_step(folder / "state"))
    wish = steps(run, folder, preview, output, report)
    if place.is_main_process:
        last_words(run, folder, output, report, wish)
    place.wait_for_everyone()


def begin(
    folder: Path, config: TrainSettings, dataset: Dataset, planned: Plan, place: PartialState, report: Report
) -> tuple[Run, Preview, Output]:
    """Everything up to the first step. Raises Stopped when someone does not want to wait for it."""
    batches = Batches(config, planned, lay_out(config.dataset, dataset.items), dataset.items)
    saved = earlier(folder, config, planned, batches, report)
    family, parts = load_family(config, report)
    latents, captions = encode(config, family, parts, batches, place, report)
    run = Run(config, planned, place, family, parts, batches, latents, captions, report.warning)
    preview = Preview(config, family, parts, captions, run.precision)
    output = Output(folder, config, family, planned, dataset)
    if place.is_main_process:
        output.sweep()
        weights = sum(tensor.nbytes for tensor in run.adapters.values())
        disk.before_the_start(folder, config, planned, weights, report)
    if saved:
        run.restore(saved)
        report.recall(saved.position.get("losses", []))
    elif config.lora.weights:
        start_from(Path(config.lora.weights).expanduser(), family, run.trained, report)
    report.started(run.step, place.device)
    return run, preview, output


def steps(run: Run, folder: Path, preview: Preview, output: Output, report: Report) -> str:
    """Step by step to the end: "", or until there is a wish to "stop" or to "pause"."""
    main, saved = run.place.is_main_process, time.monotonic()
    if main and preview.is_due(run.plan.samples, run.step, folder / "samples"):
        report.samples(run.step, run.samples(preview, folder / "samples"))
    while run.step < run.plan.total_steps:
        wishes = shared_wishes(folder, run.place)
        if wish := requests.ending(wishes):
            return wish
        report.step(run.one_step())
        if not main:
            continue
        checkpoint = run.step in run.plan.saves or "save" in wishes
        autosave = run.config.save.autosave_minutes * 60
        if checkpoint or (autosave and time.monotonic() - saved > autosave):
            with disk.full_is_a_warning(report):
                run.save_state(folder / "state", report.recent)
                if checkpoint:
                    report.checkpoint(run.step, output.checkpoint(run.learnt, run.step))
            saved = time.monotonic()
        # After the state is safe: drawing takes long, and what is not drawn now a resumed run draws.
        if run.step in run.plan.samples or "sample" in wishes:
            report.samples(run.step, run.samples(preview, folder / "samples"))
    return ""


def last_words(run: Run, folder: Path, output: Output, report: Report, wish: str) -> None:
    """The last state and the LoRA; of a paused run only the state, since it goes on."""
    if wish:
        run.save_state(folder / "state", report.recent)
    else:
        with disk.full_is_a_warning(report):  # the LoRA is smaller, and matters more
            run.save_state(folder / "state", report.recent)
    if wish == "pause":
        return report.paused(run.step)
    lora = output.final(run.learnt, run.step, finished=not wish)
    report.covered(output.coverage(run.learnt))
    report.ended(wish, run.step, lora) if wish else report.finished(lora, run.step)


@dataclass
class Run:
    """What changes while training: adapters, optimiser, position. One call of `one_step` is one optimiser step."""

    config: TrainSettings
    plan: Plan
    place: PartialState
    family: Family
    parts: dict[str, nn.Module]
    batches: Batches
    latents: Latents
    captions: Captions
    warn: Callable[[str], None]

    def __post_init__(self) -> None:
        config, family, place = self.config, self.family, self.place
        self.objective = objective(family.process(), config.noise)
        self.dtype = DTYPES[config.accelerate.mixed_precision]
        self.trained, groups = attach(config, family, self.parts)
        self.parameters = [weight for group in groups for weight in group["params"]]
        names = {id(weight): name for name, weight in inject.named_weights(self.trained)}
        self.names = [names[id(weight)] for weight in self.parameters]  # as the optimiser numbers them
        self.optimizer = optim.optimizer(config.optimizer, groups)
        self.rate = schedule(config.schedule, self.plan.total_steps)
        decay = config.optimizer.ema_decay
        self.average = Average(decay, self.adapters) if decay else None
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=self.dtype == torch.float16)
        self.step = self.skipped = self.skipped_in_a_row = 0

    @property
    def adapters(self) -> dict[str, torch.Tensor]:
        return inject.state(self.trained)

    @property
    def learnt(self) -> Learnt:
        """Copies, as they are to be saved: a schedule-free optimiser answers with other weights than it trains."""
        with optim.as_used(self.optimizer):
            adapters = {name: weight.clone() for name, weight in self.adapters.items()}
        return Learnt(adapters, inject.alphas(self.trained), self.average.weights if self.average else {})

    def samples(self, preview: Preview, folder: Path) -> Iterator[tuple[int, str, int, Path]]:
        """As Preview.draw, with the weights as they would be saved."""
        with optim.as_used(self.optimizer):
            yield from preview.draw(self.step, folder)

    def one_step(self) -> dict[str, float]:
        """Forward and backward over the step's batches, clip, update. Returns what a report says of it."""
        optim.set_learning_rates(self.optimizer, self.rate(self.step))
        batches = self.batches.of_step(self.step, self.place.process_index)
        loss = torch.zeros((), device=self.place.device)
        for turn, samples in enumerate(batches):
            part = self.loss(samples, turn)
            self.scaler.scale(part).backward()
            loss += part.detach()
        loss, norm = self.update(loss)
        self.step += 1
        self.count(loss, norm, batches)
        values = {
            "step": self.step,
            "epoch": self.step / self.plan.steps_per_epoch,
            "loss": loss,
            "grad_norm": norm,
            "skipped": self.skipped,
        }
        return values | {"lrs": optim.learning_rates(self.optimizer)}

    def loss(self, samples: list[Sample], turn: int) -> torch.Tensor:
        """This batch's share of the step's loss: weighted errors, over all pictures that the step sees anywhere."""
        device, seed = self.place.device, self.config.run.seed
        mean, std = self.latents.of(samples)
        places = [sample.place for sample in samples]
        draws = self.objective.draws(seed, self.step, places, mean.shape[1:])
        clean = mean + std * draws.posterior
        clean, noise, put_in = (t.to(device) for t in (clean, *self.objective.noises(draws, clean)))
        timesteps = draws.timesteps.to(device)
        noisy = self.objective.noised(clean, put_in, timesteps)
        # On the CPU, and before the forward pass: a number asked of the device later would wait for all of it.
        weights = self.objective.weights(draws.timesteps) * torch.tensor([sample.weight for sample in samples])
        weights = weights.to(device)
        with self.precision(), only_from(device, seed, self.step, turn, self.place.process_index, "dropout"):
            text = self.captions.of([s.caption for s in samples]) | self.family.conditions([s.view for s in samples])
            text = {name: tensor.to(device) for name, tensor in text.items()}
            prediction = self.family.predict(noisy.to(self.dtype), timesteps, text)
        mask = self.batches.masks.of(samples, tuple(mean.shape[-2:]))
        target = self.objective.target(clean, noise, timesteps)
        error = self.objective.errors(prediction, target, timesteps, None if mask is None else mask.to(device))
        return (weights * error).sum() / self.batches.size_of_step(self.step)

    def update(self, loss: torch.Tensor) -> tuple[float, float]:
        """Add up over processes, clip, and move the weights, unless loss or gradient is no number: then they stay."""
        self.scaler.unscale_(self.optimizer)
        if self.place.num_processes > 1:
            add_up([weight.grad for weight in self.parameters] + [loss])
        limit = self.config.optimizer.max_grad_norm or float("inf")
        loss, norm = loss.item(), nn.utils.clip_grad_norm_(self.parameters, limit).item()
        if is_number(loss) and is_number(norm):
            self.scaler.step(self.optimizer)
            if self.average:
                self.average.follow(self.adapters, self.step + 1 - self.skipped)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return loss, norm

    def count(self, loss: float, norm: float, batches: list[list[Sample]]) -> None:
        """Count the step if it was skipped; say which pictures it was, and give up after too many."""
        if is_number(loss) and is_number(norm):
            self.skipped_in_a_row = 0
            return
        self.skipped += 1
        self.skipped_in_a_row += 1
        names = ", ".join(dict.fromkeys(sample.item.path.name for samples in batches for sample in samples))
        if self.skipped_in_a_row >= GIVE_UP:
            raise FloatingPointError(
                f"the loss or its gradient was no number for {self.skipped_in_a_row} steps, up to step {self.step} "
                f"(with {names}); nothing was learnt from them, and what was saved before is whole"
            )
        # In fp16 the scale of the loss is found by trying: gradients too large are a part of it.
        if self.skipped_in_a_row == 1 and not (is_number(loss) and self.scaler.is_enabled()):
            self.warn(f"step {self.step} was skipped: its loss or gradient was no number (with {names})")

    def precision(self):
        """Autocast to the chosen format; the adapters themselves stay float32."""
        return torch.autocast(self.place.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def save_state(self, folder: Path, losses: list[float]) -> None:
        """Raises OSError where it does not fit, and FloatingPointError for weights from which nothing can go on."""
        adapters = self.adapters
        if not all(tensor.isfinite().all() for tensor in adapters.values()):
            raise FloatingPointError(f"the weights are no numbers any more at step {self.step}; they are not saved")
        position = {
            "step": self.step,
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "steps_per_epoch": self.plan.steps_per_epoch,
            "total_steps": self.plan.total_steps,
            "pictures": self.batches.seen,
            "losses": losses,
        }
        optimizer = state.named(self.optimizer.state_dict(), self.names)
        average = self.average.weights if self.average else {}
        now = state.State(adapters, optimizer, self.scaler.state_dict(), position, toml.dumps(self.config), average)
        disk.require(folder.parent, now.size)
        state.save(folder, now)

    def restore(self, saved: state.State) -> None:
        """Be where the run was when `saved` was written."""
        inject.load_state(self.trained, saved.adapters)
        optim.restore(self.optimizer, state.numbered(saved.optimizer, self.names))
        if self.average:
            self.average.restore(saved.average)
        self.scaler.load_state_dict(saved.scaler)
        self.step, self.skipped = saved.position["step"], saved.position["skipped"]
        self.skipped_in_a_row = saved.position.get("skipped_in_a_row", 0)


def add_up(tensors: list[torch.Tensor]) -> None:
    """The sum over all processes, in place, in one exchange."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(part.view_as(tensor))


def shared_wishes(folder: Path, place: PartialState) -> set[str]:
    """What was asked for since the last step, told to every process by the first."""
    found = [requests.take(folder) if place.is_main_process else set()]
    if place.num_processes > 1:
        torch.distributed.broadcast_object_list(found)
    return found[0]


def is_number(value: float) -> bool:
    """Neither infinite nor NaN."""
    return value - value == 0
