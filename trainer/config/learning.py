"""How long is learnt, by which optimiser, at which rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui

Share = Annotated[float, Field(ge=0, lt=1)]


class RunSettings(Section):
    """How long to train, and on how many pictures at once."""

    epochs: Annotated[int, Field(ge=1, le=100_000), Ui(level="quick", kohya="epoch max_train_epochs")] = 10
    """How often the whole data set, with its repeats, is gone through."""

    max_steps: Annotated[int | None, Field(ge=1), Ui("Max steps", kohya="max_train_steps")] = None
    """Train exactly this many steps instead of the epochs. Empty: the epochs decide."""

    batch_size: Annotated[int, Field(ge=1, le=512), Ui(level="quick", kohya="train_batch_size")] = 1
    """Pictures in one forward pass. More is smoother and faster a picture, and needs more memory."""

    gradient_accumulation: Annotated[int, Field(ge=1, le=1024), Ui(kohya="gradient_accumulation_steps")] = 1
    """Batches added up before a step: the effect of a larger batch without its memory."""

    seed: Annotated[int, Field(ge=0, lt=2**32), Ui(kohya="seed")] = 42
    """Order of pictures, noise and timesteps all follow from this number, so that a run can be repeated."""


ADAMS = "adamw|adamw8bit|paged_adamw8bit|prodigy|dadapt_adam|schedulefree_adamw|ademamix"


class OptimizerSettings(Section):
    """How a gradient becomes a step."""

    name: Annotated[
        Literal[
            "adamw",
            "adamw8bit",
            "paged_adamw8bit",
            "adafactor",
            "prodigy",
            "dadapt_adam",
            "lion",
            "schedulefree_adamw",
            "came",
            "ademamix",
            "sgd",
        ],
        Ui("Optimizer", kohya="optimizer_type"),
    ] = "adamw"
    """AdamW suits nearly everything. Prodigy and D-Adaptation find their own step size (learning rate 1). Lion wants a
    3-10 times lower rate. Schedule-free needs no schedule: leave the rate constant."""

    weight_decay: Annotated[float, Field(ge=0, le=10), Ui(level="expert", kohya="optimizer_args weight_decay")] = 0.01
    """Pull of the weights towards zero, each step, times the learning rate."""

    beta1: Annotated[
        float,
        Field(ge=0, lt=1),
        Ui("Beta 1", level="expert", when=f"optimizer.name={ADAMS}|lion|came", kohya="optimizer_args betas"),
    ] = 0.9
    """How long the average direction remembers."""

    beta2: Annotated[
        float,
        Field(ge=0, lt=1),
        Ui("Beta 2", level="expert", when=f"optimizer.name={ADAMS}|lion|came", kohya="optimizer_args betas"),
    ] = 0.999
    """How long the average size of the gradient remembers. Lion is usually run with 0.99."""

    beta3: Annotated[
        float,
        Field(ge=0, lt=1),
        Ui("Beta 3", level="expert", when="optimizer.name=came|ademamix", kohya="optimizer_args betas"),
    ] = 0.9999
    """How long CAME remembers how far off it was, or AdEMAMix its slow average direction."""

    eps: Annotated[
        float,
        Field(gt=0, le=1),
        Ui("Epsilon", level="expert", when=f"optimizer.name={ADAMS}", kohya="optimizer_args eps"),
    ] = 1e-8
    """Keeps the division by the size of the gradient finite. Larger: weights with tiny gradients move less."""

    momentum: Annotated[
        float, Field(ge=0, lt=1), Ui(level="expert", when="optimizer.name=sgd", kohya="optimizer_args momentum")
    ] = 0.9
    """How much of the last step goes into the next."""

    nesterov: Annotated[bool, Ui(level="expert", when="optimizer.name=sgd", kohya="optimizer_args nesterov")] = False
    """Look ahead along the momentum before stepping. Needs a momentum."""

    clip_threshold: Annotated[
        float,
        Field(gt=0, le=100),
        Ui(level="expert", when="optimizer.name=adafactor|came", kohya="optimizer_args clip_threshold"),
    ] = 1.0
    """Steps larger than this, as the root of their mean square before the learning rate, are shortened to it."""

    d0: Annotated[
        float,
        Field(gt=0, le=1),
        Ui("First step size", level="expert", when="optimizer.name=prodigy|dadapt_adam", kohya="optimizer_args d0"),
    ] = 1e-6
    """Where the search for the step size begins. It only ever grows."""

    d_coef: Annotated[
        float,
        Field(gt=0, le=100),
        Ui("Step size factor", level="expert", when="optimizer.name=prodigy", kohya="optimizer_args d_coef"),
    ] = 1.0
    """Multiplies the step size that Prodigy finds. 0.5 to 2 is usual."""

    growth_rate: Annotated[
        float | None,
        Field(gt=1, le=100),
        Ui(
            "Step size growth",
            level="expert",
            when="optimizer.name=prodigy|dadapt_adam",
            kohya="optimizer_args growth_rate",
        ),
    ] = None
    """At most this many times larger from one step to the next; 1.02 makes a gentle start. Empty: no limit."""

    slow_weight: Annotated[
        float,
        Field(ge=0, le=100),
        Ui("Weight of the slow average", level="expert", when="optimizer.name=ademamix", kohya="optimizer_args alpha"),
    ] = 5.0
    """How much AdEMAMix adds of the direction that it remembers for long (alpha in arXiv 2409.03137)."""

    max_grad_norm: Annotated[float, Field(ge=0), Ui("Clip gradients at", level="expert", kohya="max_grad_norm")] = 1.0
    """A gradient longer than this is shortened to it, over all trained weights together. 0: never."""

    ema_decay: Annotated[float | None, Field(gt=0, lt=1), Ui("EMA decay", level="expert")] = None
    """Also keep a moving average of the weights, saved as NAME-ema beside each LoRA file: smoother, good where the last
    steps wobble. 0.99 for a few hundred steps, 0.999 for thousands. Empty: none."""

    @property
    def finds_its_rate(self) -> bool:
        """The learning rate only multiplies a step size that the optimiser estimates, one for all weights."""
        return self.name in ("prodigy", "dadapt_adam")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.name == "schedulefree_adamw" and self.beta1 == 0:
            yield "beta1", "must be more than 0 for the schedule-free optimiser, which averages by it"

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.name == "sgd" and self.nesterov and not self.momentum:
            yield "nesterov", "has no effect without momentum"


class ScheduleSettings(Section):
    """How the learning rate changes over the run."""

    name: Annotated[
        Literal[
            "constant",
            "linear",
            "cosine",
            "cosine_restarts",
            "polynomial",
            "inverse_sqrt",
            "warmup_stable_decay",
            "rex",
        ],
        Ui("Schedule", kohya="lr_scheduler"),
    ] = "cosine"
    """Constant keeps the rate; linear, cosine, polynomial and REX lower it towards the end, REX last; restarts jump
    back up in between; warm-up-stable-decay keeps it and falls at the end; the inverse root falls early."""

    warmup: Annotated[float, Field(ge=0, le=1), Ui("Warm-up", kohya="lr_warmup lr_warmup_steps")] = 0.0
    """Share of all steps over which the rate rises from zero: 0.1 is a tenth."""

    cycles: Annotated[
        int,
        Field(ge=1, le=100),
        Ui("Restarts", level="expert", when="schedule.name=cosine_restarts", kohya="lr_scheduler_num_cycles"),
    ] = 1
    """Number of falls from the full rate."""

    power: Annotated[
        float, Field(gt=0, le=10), Ui(level="expert", when="schedule.name=polynomial", kohya="lr_scheduler_power")
    ] = 1.0
    """Shape of the polynomial fall: 1 is a straight line, 2 falls faster at first."""

    decay: Annotated[
        float,
        Field(gt=0, le=1),
        Ui("Decay", level="expert", when="schedule.name=warmup_stable_decay", kohya="lr_decay_steps"),
    ] = 0.2
    """Share of the steps after the warm-up over which the rate falls."""

    minimum: Annotated[
        float,
        Field(ge=0, lt=1),
        Ui(
            level="expert",
            when="schedule.name=linear|cosine|cosine_restarts|polynomial|inverse_sqrt|warmup_stable_decay|rex",
            kohya="lr_scheduler_min_lr_ratio",
        ),
    ] = 0.0
    """Share of the learning rate that is left at the end."""
