"""What changes while training, and one step of it: batch, noise, prediction, error, update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from torch import nn

from settings import toml
from trainer import optim, state
from trainer.batches import Batches, Sample
from trainer.beginning import DTYPES, attach
from trainer.cache import Captions, Latents
from trainer.config import TrainSettings
from trainer.ema import Average
from trainer.families.base import Family
from trainer.inversion import new_words
from trainer.lora import inject
from trainer.lora.norms import Limit
from trainer.loss.objective import objective, only_from
from trainer.needs import disk
from trainer.output import Learnt
from trainer.plan import Plan
from trainer.preview import Preview
from trainer.prior.preserving import Noised, Preservation
from trainer.schedule import schedule
from trainer.validation import Validation

GIVE_UP = 20  # steps in a row without a finite loss and gradient


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
        self.weights = dict(inject.named_weights(self.trained))  # asked for in each step
        names = {id(weight): name for name, weight in self.weights.items()}
        self.names = [names[id(weight)] for weight in self.parameters]  # as the optimiser numbers them
        self.limit = Limit(self.trained, config.lora.max_norm) if config.lora.max_norm else None
        self.optimizer = optim.optimizer(config.optimizer, groups)
        self.rate = schedule(config.schedule, self.plan.total_steps)
        decay = config.optimizer.ema_decay
        self.average = Average(decay, self.adapters) if decay else None
        self.scaler = torch.amp.GradScaler(place.device.type, enabled=self.dtype == torch.float16)
        self.preservation = Preservation(config) if config.prior.asks else None
        self.unseen = Validation(self.batches.unseen, config.validation.draws)
        self.best: float | None = None  # the lowest validation loss of which the weights are kept
        self.step = self.skipped = self.skipped_in_a_row = self.scaled = 0

    @property
    def adapters(self) -> dict[str, torch.Tensor]:
        return {name: weight.detach() for name, weight in self.weights.items()}

    @property
    def learnt(self) -> Learnt:
        """Copies, as they are to be saved: a schedule-free optimiser answers with other weights than it trains."""
        with optim.as_used(self.optimizer):
            adapters = {name: weight.to("cpu", copy=True) for name, weight in self.adapters.items()}
        kept = inject.kept(self.trained)
        average = self.average.weights | kept if self.average else {}
        return Learnt(adapters | kept, inject.alphas(self.trained), average, inject.learnable(self.trained))

    def samples(self, preview: Preview, folder: Path) -> Iterator[tuple[int, str, int, Path]]:
        """As Preview.draw, with the weights as they would be saved."""
        with optim.as_used(self.optimizer):
            yield from preview.draw(self.step, folder)

    def validate(self) -> dict[int, float]:
        """The error on what is held out at each resolution, with the weights as they would be saved."""
        with optim.as_used(self.optimizer):
            return self.unseen.losses(self)

    def one_step(self) -> dict[str, float]:
        """Forward and backward over the step's batches, clip, update. Returns what a report says of it."""
        if self.config.words.new:
            new_words.learn(self.trained, self.step < self.config.words.stop_at * self.plan.total_steps)
        optim.set_learning_rates(self.optimizer, self.rate(self.step))
        batches = self.batches.of_step(self.step, self.place.process_index)
        loss = torch.zeros((), device=self.place.device)
        for turn, samples in enumerate(batches):
            for part in self.losses(samples, turn):
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
        if self.limit:
            values["scaled"] = int(self.scaled)
        return values | {"lrs": optim.learning_rates(self.optimizer)}

    def losses(self, samples: list[Sample], turn: int) -> Iterator[torch.Tensor]:
        """This batch's shares of the step's loss, each to be gone backward through before the next is asked for:
        weighted errors, over all pictures that the step sees anywhere."""
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
        with self.precision(), only_from(device, *self.key(turn), "dropout"):
            words = self.captions.of([sample.caption for sample in samples])
            prediction = self.predict(noisy, timesteps, samples, words)
        mask = self.batches.masks.of(samples, tuple(mean.shape[-2:]))
        target = self.objective.target(clean, noise, timesteps)
        error = self.objective.errors(prediction, target, timesteps, None if mask is None else mask.to(device))
        yield (weights * error).sum() / self.batches.size_of_step(self.step)
        if self.preservation:
            kept = self.preservation.loss(self, Noised(samples, noisy, timesteps, weights), turn)
            if kept is not None:
                yield kept

    def predict(
        self, noisy: torch.Tensor, timesteps: torch.Tensor, samples: list[Sample], words: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """What the denoiser makes of these pictures with encoded captions, which need not be theirs."""
        text = words | self.family.conditions([sample.view for sample in samples])
        text = {name: tensor.to(self.place.device) for name, tensor in text.items()}
        return self.family.predict(noisy.to(self.dtype), timesteps, text)

    def key(self, turn: int) -> tuple[int, ...]:
        """What the random numbers of layers follow from in one batch of one process."""
        return self.config.run.seed, self.step, turn, self.place.process_index

    def update(self, loss: torch.Tensor) -> tuple[float, float]:
        """Add up over processes, clip, and move the weights, unless loss or gradient is no number: then they stay."""
        if self.place.num_processes > 1:
            # The last block of some models still works on the words, and nothing reads them any more.
            add_up([weight.grad for weight in self.parameters if weight.grad is not None] + [loss])
        self.scaler.unscale_(self.optimizer)  # of the sum, so that all processes find the same scale
        limit = self.config.optimizer.max_grad_norm or float("inf")
        loss, norm = loss.item(), nn.utils.clip_grad_norm_(self.parameters, limit).item()
        if is_number(loss) and is_number(norm):
            self.scaler.step(self.optimizer)
            if self.limit:
                self.scaled = self.limit()
            if self.config.words.keep_norm:
                new_words.keep_norm(self.trained)
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
            "best": self.best,
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
        self.best = saved.position.get("best")


def add_up(tensors: list[torch.Tensor]) -> None:
    """The sum over all processes, in place, in one exchange."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    torch.distributed.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors])):
        tensor.copy_(part.view_as(tensor))


def is_number(value: float) -> bool:
    """Neither infinite nor NaN."""
    return value - value == 0
