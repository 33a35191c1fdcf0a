"""A training run from start to end. Read it top to bottom: this is the recipe, the other files are the ingredients.

The job is a folder: config.toml is read from it, events.jsonl and log.txt are written to it, and wishes (stop, save,
sample) are looked for in it once a step. The same folder started again goes on from its newest state.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn

from dataset.scan import Dataset, scan
from dataset.turns import lay_out, seed_of
from jobs import requests
from jobs.folder import Job
from settings import toml
from trainer import optim, state
from trainer.batches import Batches, Sample
from trainer.beginning import DTYPES, attach, encode, load_family, where_to_train
from trainer.cache import Captions, Latents
from trainer.config import TrainSettings
from trainer.families.base import Family
from trainer.lora import inject
from trainer.objective import Objective, errors
from trainer.output import Output
from trainer.plan import Plan, plan
from trainer.preview import Preview
from trainer.report import Report, Stopped

GIVE_UP = 20  # steps without a finite gradient in a row


def train(folder: Path) -> None:
    """Train the job in `folder` to its end or until it is asked to stop. Raises what trainer.failures explains."""
    config = toml.read(TrainSettings, folder / "config.toml")
    dataset = scan(config.dataset.folders, config.dataset.caption_extension)
    planned = plan(config, dataset)
    place = where_to_train(config)
    report = Report(Job(folder), config, planned, place)
    with stopping_on_signals(folder):
        try:
            run, preview, output = begin(folder, config, dataset, planned, place, report)
        except Stopped:
            return report.stopped(None, state.last_step(folder / "state"))
        finished = steps(run, folder, preview, output, report)
    if place.is_main_process:
        run.save_state(folder / "state")
        lora = output.final(run.adapters, run.alphas, run.step, finished)
        report.finished(lora, run.step) if finished else report.stopped(lora, run.step)
    place.wait_for_everyone()


def begin(
    folder: Path, config: TrainSettings, dataset: Dataset, planned: Plan, place: PartialState, report: Report
) -> tuple[Run, Preview, Output]:
    """Everything up to the first step. Raises Stopped when someone does not want to wait for it."""
    family, parts = load_family(config, report)
    batches = Batches(config, planned, lay_out(config.dataset, dataset.items), dataset.items)
    latents, captions = encode(config, family, parts, batches, place, report)
    run = Run(config, planned, place, family, parts, batches, latents, captions)
    preview = Preview(config, family, parts, captions, run.precision)
    output = Output(folder, config, family, planned, dataset)
    if place.is_main_process:
        output.sweep()
    run.restore(folder / "state", report)
    report.started(run.step, place.device)
    return run, preview, output


def steps(run: Run, folder: Path, preview: Preview, output: Output, report: Report) -> bool:
    """Step by step to the end (True) or until someone asks to stop (False)."""
    main, saved = run.place.is_main_process, time.monotonic()
    if run.step == 0 and 0 in run.plan.samples and main:
        report.samples(0, preview.draw(0, folder / "samples"))
    while run.step < run.plan.total_steps:
        wishes = shared_wishes(folder, run.place)
        if "stop" in wishes:
            return False
        report.step(run.one_step())
        if not main:
            continue
        if run.step in run.plan.samples or "sample" in wishes:
            report.samples(run.step, preview.draw(run.step, folder / "samples"))
        if run.step in run.plan.saves or "save" in wishes:
            report.checkpoint(run.step, output.checkpoint(run.adapters, run.alphas, run.step))
        autosave = run.config.save.autosave_minutes * 60
        if run.step in run.plan.saves or "save" in wishes or (autosave and time.monotonic() - saved > autosave):
            run.save_state(folder / "state")
            saved = time.monotonic()
    return True


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

    def __post_init__(self) -> None:
        config, family, place = self.config, self.family, self.place
        self.objective = Objective(
            family.alphas_cumprod(), family.prediction_type, config.noise.min_snr_gamma, config.noise.noise_offset
        )
        self.dtype = DTYPES[config.accelerate.mixed_precision]
        self.trained, groups = attach(config, family, self.parts)
        self.parameters = [weight for group in groups for weight in group["params"]]
        self.optimizer = optim.optimizer(config.optimizer, groups)
        self.rate = optim.schedule(config.schedule, self.plan.total_steps)
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=self.dtype == torch.float16)
        self.step = self.skipped = self.skipped_in_a_row = 0

    @property
    def adapters(self) -> dict[str, torch.Tensor]:
        return inject.state(self.trained)

    @property
    def alphas(self) -> dict[str, float]:
        return inject.alphas(self.trained)

    def one_step(self) -> dict[str, float]:
        """Forward and backward over the step's batches, clip, update. Returns what a report says of it."""
        optim.set_learning_rates(self.optimizer, self.rate(self.step))
        loss = torch.zeros((), device=self.place.device)
        for turn, samples in enumerate(self.batches.of_step(self.step, self.place.process_index)):
            part = self.loss(samples, turn)
            self.scaler.scale(part).backward()
            loss += part.detach()
        loss, norm = self.update(loss)
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
        device = self.place.device
        mean, std = self.latents.of(samples)
        places = [sample.place for sample in samples]
        draws = self.objective.draws(self.config.run.seed, self.step, places, mean.shape[1:])
        torch.manual_seed(seed_of(self.config.run.seed, self.step, turn, self.place.process_index, "dropout"))
        clean = (mean + std * draws.posterior).to(device)
        noise, timesteps = draws.noise.to(device), draws.timesteps.to(device)
        noisy = self.objective.noised(clean, noise, timesteps)
        # On the CPU, and before the forward pass: a number asked of the device later would wait for all of it.
        weights = self.objective.weights(draws.timesteps) * torch.tensor([sample.weight for sample in samples])
        weights = weights.to(device)
        with self.precision():
            text = {name: tensor.to(device) for name, tensor in self.captions.of([s.caption for s in samples]).items()}
            prediction = self.family.predict(noisy.to(self.dtype), timesteps, text)
        error = errors(prediction, self.objective.target(clean, noise, timesteps))
        return (weights * error).sum() / self.batches.size_of_step(self.step)

    def update(self, loss: torch.Tensor) -> tuple[float, float]:
        """Add up over processes, clip, and move the weights, unless the gradient is no number: then the step is
        skipped."""
        self.scaler.unscale_(self.optimizer)
        if self.place.num_processes > 1:
            add_up([weight.grad for weight in self.parameters] + [loss])
        limit = self.config.optimizer.max_grad_norm or float("inf")
        norm = nn.utils.clip_grad_norm_(self.parameters, limit).item()
        usable = norm - norm == 0  # neither infinite nor NaN
        if usable:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.skipped += not usable
        self.skipped_in_a_row = 0 if usable else self.skipped_in_a_row + 1
        self.step += 1
        if self.skipped_in_a_row >= GIVE_UP:
            raise FloatingPointError(
                f"the loss was no number for {GIVE_UP} steps, up to step {self.step}; "
                "the last checkpoint is from before that"
            )
        return loss.item(), norm

    def precision(self):
        """Autocast to the chosen format; the adapters themselves stay float32."""
        return torch.autocast(self.place.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def save_state(self, folder: Path) -> None:
        position = {"step": self.step, "skipped": self.skipped, "steps_per_epoch": self.plan.steps_per_epoch}
        state.save(folder, state.State(self.adapters, self.optimizer.state_dict(), self.scaler.state_dict(), position))

    def restore(self, folder: Path, report: Report) -> None:
        """Go on from the newest whole state, if there is one."""
        if (saved := state.load(folder, report.warning)) is None:
            return
        inject.load_state(self.trained, saved.adapters)
        self.optimizer.load_state_dict(saved.optimizer)
        self.scaler.load_state_dict(saved.scaler)
        self.step, self.skipped = saved.position["step"], saved.position["skipped"]
        if (before := saved.position["steps_per_epoch"]) != self.plan.steps_per_epoch:
            report.warning(
                f"the pictures have changed since the run began: an epoch had {before} steps and has now "
                f"{self.plan.steps_per_epoch}. It goes on, and is not the run that it would have been"
            )


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


@contextmanager
def stopping_on_signals(folder: Path):
    """SIGTERM and Ctrl+C finish the step, save and end well, like the Stop button; a second one ends at once."""

    def ask(number: int, _frame) -> None:
        requests.ask(folder, "stop")
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
