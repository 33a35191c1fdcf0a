"""Every training option, once: the form, the flags, the TOML files, the presets and docs/options.md are made from
this file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from dataset.settings import CaptionSettings, DatasetSettings, ValidationSettings
from dataset.variation import varies
from settings.section import Section, Ui
from trainer.families import families

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

Share = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=0)]


class ModelSettings(Section):
    """The base model that learns something new. It is never changed: what is learnt goes into the LoRA file."""

    family: Annotated[str, Ui("Family", level="quick")] = "sd15"
    """The kind of base model. Everything that fits only some kinds follows this choice."""

    base: Annotated[str, Ui("Base model", level="quick", kind="model", kohya="pretrained_model_name_or_path")] = (
        "stable-diffusion-v1-5/stable-diffusion-v1-5"
    )
    """A .safetensors checkpoint, a folder in diffusers layout, or a name on the Hugging Face hub."""

    components: Annotated[str, Ui("Other components", kind="model", needs="flow")] = ""
    """For a single file of SD 3, FLUX.1 or Chroma: a diffusers folder or hub name of the same family, for the text
    encoders, VAE and sampler. Empty: the base model is a folder, which has its own."""

    vae: Annotated[str, Ui("VAE", level="expert", kind="model", kohya="vae")] = ""
    """A diffusers VAE folder or hub name to use instead of the model's own. Empty: its own."""

    prediction_type: Annotated[
        Literal["auto", "epsilon", "v_prediction"], Ui(level="expert", needs="ddpm", kohya="v_parameterization")
    ] = "auto"
    """What the model predicts. Auto reads it from the model; say it for single files of v-prediction fine-tunes."""

    trust_pickle: Annotated[bool, Ui("I trust this .ckpt file", level="expert")] = False
    """Allow a base model that is a .ckpt, .pt or .bin file. Such files can carry programs; they are read
    weights-only."""


class DenoiserLora(Section):
    """The part that draws. This is where a subject or a style is learnt."""

    train: Annotated[bool, Ui("Train the UNet", kohya="network_train_text_encoder_only")] = True
    """Teach the denoiser."""

    rank: Annotated[
        int, Field(ge=1, le=1024), Ui(level="quick", step=4, when="lora.denoiser.train", kohya="network_dim")
    ] = 16
    """Size of the update to each layer. More holds more detail, and needs more memory and more pictures."""

    alpha: Annotated[float, Field(gt=0, le=4096), Ui(when="lora.denoiser.train", kohya="network_alpha")] = 16
    """The update is scaled by alpha / rank. Equal to the rank: no scaling. Halving it acts like halving the learning
    rate."""

    learning_rate: Annotated[
        float, Field(gt=0, le=10), Ui(level="quick", when="lora.denoiser.train", kohya="unet_lr learning_rate")
    ] = 1e-4
    """Size of a step. Too high: burnt colours and mush. Too low: the subject never appears."""

    layers: Annotated[
        Literal["attention", "attention+ff", "all"],
        Ui("Layers", when="lora.denoiser.train", kohya="conv_dim lycoris preset"),
    ] = "attention+ff"
    """Which layers learn: attention only (smallest), with the feed-forward layers (kohya's default), or with the
    convolutions (LoCon)."""

    dropout: Annotated[Share, Ui(level="expert", when="lora.denoiser.train", kohya="network_dropout")] = 0.0
    """Share of the update's inputs dropped at random while training. Slows memorising on very small sets."""

    plus_ratio: Annotated[
        float | None,
        Field(ge=1, le=100),
        Ui(
            "LoRA+ ratio",
            level="expert",
            when="lora.denoiser.train",
            kohya="network_args loraplus_lr_ratio loraplus_unet_lr_ratio",
        ),
    ] = None
    """The second matrix of each update learns this many times faster (LoRA+): 4 to 16 learns sooner with the same
    rate. Empty: both alike."""


class TextEncoderLora(Section):
    """The part that reads the caption. Training it helps a new word take hold, and makes overtraining easier."""

    train: Annotated[bool, Ui("Train the text encoder", kohya="text_encoder_lr network_train_unet_only")] = False
    """Also teach this text encoder. Captions are then encoded anew each step instead of once."""

    rank: Annotated[int, Field(ge=1, le=1024), Ui(step=4, when=".train", kohya="network_dim")] = 8
    """Size of the update to each layer."""

    alpha: Annotated[float, Field(gt=0, le=4096), Ui(when=".train", kohya="network_alpha")] = 8
    """The update is scaled by alpha / rank."""

    learning_rate: Annotated[float, Field(gt=0, le=10), Ui(when=".train", kohya="text_encoder_lr")] = (
        5e-5
    )
    """Size of a step for this text encoder; usually half of the UNet's or less."""

    dropout: Annotated[Share, Ui(level="expert", when=".train", kohya="network_dropout")] = 0.0
    """Share of the update's inputs dropped at random while training."""

    plus_ratio: Annotated[
        float | None,
        Field(ge=1, le=100),
        Ui(
            "LoRA+ ratio",
            level="expert",
            when=".train",
            kohya="network_args loraplus_lr_ratio loraplus_text_encoder_lr_ratio",
        ),
    ] = None
    """The second matrix of each update learns this many times faster (LoRA+): 4 to 16 learns sooner with the same
    rate. Empty: both alike."""


class LoraSettings(Section):
    """What is trained: small updates beside the layers of the frozen base model (LoRA, arXiv 2106.09685)."""

    weights: Annotated[str, Ui("Start from", kind="file", kohya="network_weights")] = ""
    """A LoRA file, or the folder of an earlier run, to train on from as a new run. Ranks and layers must be the same.
    Empty: from nothing."""

    denoiser: DenoiserLora = DenoiserLora()
    text_encoder: Annotated[TextEncoderLora, Ui(needs="text_encoder")] = TextEncoderLora()
    text_encoder_2: Annotated[TextEncoderLora, Ui(needs="two_text_encoders")] = TextEncoderLora()

    @property
    def text_encoders(self) -> dict[str, TextEncoderLora]:
        """By the names that families give the parts."""
        return {"text_encoder": self.text_encoder, "text_encoder_2": self.text_encoder_2}

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.denoiser.train and not any(text.train for text in self.text_encoders.values()):
            yield "denoiser.train", "nothing would be trained: switch on the UNet or the text encoder"


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


class NoiseSettings(Section):
    """What noise a picture gets, and how each error counts."""

    loss: Annotated[Literal["l2", "l1", "huber", "smooth_l1"], Ui("Loss", level="expert", kohya="loss_type")] = "l2"
    """How an error is measured. L2, its square, is what the models were made with; Huber and smooth L1 let outliers,
    such as a watermark on a few pictures, count less."""

    huber_c: Annotated[
        float, Field(gt=0, le=1), Ui("Huber width", level="expert", when="noise.loss=huber|smooth_l1", kohya="huber_c")
    ] = 0.1
    """Errors smaller than this count as squares. Scheduled, it is the width at the noisy end."""

    huber_schedule: Annotated[
        Literal["snr", "exponential", "constant"],
        Ui("Huber schedule", level="expert", when="noise.loss=huber|smooth_l1", kohya="huber_schedule"),
    ] = "snr"
    """Where there is little noise details are learnt, and there the width grows: with the ratio of signal to noise, or
    evenly with the timestep; or not at all."""

    min_snr_gamma: Annotated[
        float | None, Field(gt=0, le=100), Ui("Min-SNR gamma", needs="ddpm", kohya="min_snr_gamma")
    ] = None
    """Cap on the weight of nearly clean pictures (arXiv 2303.09556); 5 is usual. Empty: every timestep counts the
    same."""

    min_snr_soft: Annotated[bool, Ui("Soft min-SNR", level="expert", needs="ddpm")] = False
    """Rounds the corner of min-SNR off, so that no timestep is where weights suddenly change. Needs a gamma."""

    debiased: Annotated[
        bool, Ui("Debiased estimation", level="expert", needs="ddpm", kohya="debiased_estimation_loss")
    ] = False
    """Errors at noisy timesteps count more (arXiv 2310.08442): overall colour and shape. In place of min-SNR."""

    scale_v_prediction: Annotated[
        bool, Ui("V-prediction like noise", level="expert", needs="ddpm", kohya="scale_v_pred_loss_like_noise_pred")
    ] = False
    """Lets errors of a v-prediction model count as those of a noise prediction would. No effect on others."""

    zero_terminal_snr: Annotated[
        bool, Ui("Zero terminal SNR", level="expert", needs="ddpm", kohya="zero_terminal_snr")
    ] = False
    """Makes the last timestep pure noise (arXiv 2305.08891), for v-prediction models that were made so; those that say
    it themselves need no switch. Samples are drawn accordingly."""

    noise_offset: Annotated[float, Field(ge=0, le=1), Ui(level="expert", needs="ddpm", kohya="noise_offset")] = 0.0
    """Adds a random overall brightness to the noise, for very dark and very bright pictures; 0.05 to 0.1 is usual."""

    noise_offset_adaptive: Annotated[
        float,
        Field(ge=0, le=1),
        Ui("Adaptive noise offset", level="expert", needs="ddpm", kohya="adaptive_noise_scale"),
    ] = 0.0
    """Adds to the noise offset this share of how far a picture's latents are from zero on the whole."""

    multires_iterations: Annotated[
        int,
        Field(ge=0, le=10),
        Ui("Multires noise levels", level="expert", needs="ddpm", kohya="multires_noise_iterations"),
    ] = 0
    """Mixes in ever coarser noise, for light and shape on the large scale; 6 to 10 is usual. 0: none."""

    multires_discount: Annotated[
        float,
        Field(gt=0, le=1),
        Ui("Multires noise discount", level="expert", needs="ddpm", kohya="multires_noise_discount"),
    ] = 0.3
    """How much weaker each coarser level is than the one before."""

    input_perturbation: Annotated[
        float, Field(ge=0, le=1), Ui(level="expert", needs="ddpm", kohya="ip_noise_gamma")
    ] = 0.0
    """Puts in a little more noise than is to be found (arXiv 2301.11706), against errors that add up while drawing;
    0.1 is usual."""

    timesteps: Annotated[
        Literal["logit_normal", "uniform", "mode"],
        Ui("Timesteps", needs="flow", kohya="timestep_sampling weighting_scheme"),
    ] = "logit_normal"
    """How much noise the pictures get: mostly a middling share, which is where most is learnt; any share alike; or the
    middle preferred without leaving out the ends."""

    bias: Annotated[
        float, Field(ge=-3, le=3), Ui("Bias to composition", step=0.1, needs="flow", kohya="logit_mean sigmoid_bias")
    ] = 0.0
    """Above 0: more noise, so that composition and shapes are learnt; below 0: less noise, so that details are."""

    spread: Annotated[
        float,
        Field(gt=0, le=5),
        Ui(level="expert", needs="flow", when="noise.timesteps=logit_normal", kohya="logit_std sigmoid_scale"),
    ] = 1.0
    """How far from the middle shares of noise are drawn. Smaller: closer to it."""

    mode_scale: Annotated[
        float,
        Field(ge=-1, le=1.75),
        Ui("Mode scale", level="expert", needs="flow", when="noise.timesteps=mode", kohya="mode_scale"),
    ] = 1.29
    """How much the middle is preferred; below 0 the ends are; 0 is uniform."""

    shift: Annotated[
        float | None, Field(gt=0, le=20), Ui(level="expert", needs="flow", kohya="discrete_flow_shift training_shift")
    ] = None
    """How much more the noisy end is trained, as large pictures need it. Empty: the model's own; 1: none."""

    timestep_min: Annotated[
        int, Field(ge=0, le=999), Ui("First timestep", level="expert", kohya="min_timestep")
    ] = 0
    """Train no timestep below this, of 1000: leaves out the nearly clean pictures, where details are learnt."""

    timestep_max: Annotated[
        int, Field(ge=1, le=1000), Ui("Last timestep", level="expert", kohya="max_timestep")
    ] = 1000
    """Train only timesteps below this, of 1000: leaves out the noisiest pictures, where composition is learnt."""

    prior_loss_weight: Annotated[float, Field(ge=0, le=10), Ui("Regularisation weight", kohya="prior_loss_weight")] = (
        1.0
    )
    """How much regularisation pictures count beside training pictures (prior preservation, arXiv 2208.12242)."""

    def timesteps_of(self, count: int) -> tuple[int, int]:
        """The first, and the one after the last, of a model that has `count` of them."""
        first = self.timestep_min * count // 1000
        return first, max(first + 1, self.timestep_max * count // 1000)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.timestep_min >= self.timestep_max:
            yield "timestep_min", f"must be less than the last timestep ({self.timestep_max}); got {self.timestep_min}"
        if self.debiased and self.min_snr_gamma is not None:
            yield "debiased", "weighs timesteps in place of min-SNR: switch it off, or empty noise.min_snr_gamma"

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.min_snr_soft and self.min_snr_gamma is None:
            yield "min_snr_soft", "has no effect without a gamma: set noise.min_snr_gamma, to 5 say"
        if self.noise_offset_adaptive and not self.noise_offset:
            yield "noise_offset_adaptive", "has no effect without a noise offset"


class AccelerateSettings(Section):
    """How `accelerate launch` runs the training process."""

    mixed_precision: Annotated[Literal["bf16", "fp16", "no"], Ui(kohya="mixed_precision")] = "bf16"
    """Number format of the frozen model and of the arithmetic. The LoRA itself always stays in float32."""

    processes: Annotated[int, Field(ge=1, le=64), Ui("Number of processes", level="expert", kohya="num_processes")] = 1
    """One for each GPU. Each step then uses that many batches."""

    gpu_ids: Annotated[str, Ui("GPU IDs", level="expert", kohya="gpu_ids")] = ""
    """Which GPUs, such as 0 or 0,1. Empty: the first ones."""

    cpu: Annotated[bool, Ui("Train on the CPU", level="expert")] = False
    """Leave the GPU alone. Without a GPU the CPU is used anyway."""

    cpu_threads: Annotated[
        int | None,
        Field(ge=1, le=1024),
        Ui("CPU threads per process", level="expert", kohya="num_cpu_threads_per_process"),
    ] = None
    """Empty: as many as the machine has cores."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.gpu_ids and not re.fullmatch(r"\d+(,\d+)*", self.gpu_ids):
            yield "gpu_ids", f"write numbers separated by commas, such as 0 or 0,1; got {self.gpu_ids!r}"
        elif self.gpu_ids and len(self.gpu_ids.split(",")) != self.processes:
            yield "gpu_ids", f"name as many GPUs as there are processes ({self.processes})"

    def warnings(self) -> Iterator[tuple[str, str]]:
        if self.cpu and self.gpu_ids:
            yield "gpu_ids", "has no effect while training on the CPU"


class MemorySettings(Section):
    """What is kept, and what is computed again."""

    gradient_checkpointing: Annotated[bool, Ui(kohya="gradient_checkpointing")] = False
    """Computes parts of the forward pass twice: about a third slower, a fraction of the memory. For 8 GB cards."""

    cache_latents: Annotated[bool, Ui(kohya="cache_latents cache_latents_to_disk")] = True
    """Encode each picture once and keep the latents on disk. They are found by content: a changed picture is encoded
    anew."""

    cache_captions: Annotated[bool, Ui(kohya="cache_text_encoder_outputs")] = True
    """Encode each caption once, where possible: while the text encoder learns or captions vary, they are
    encoded each step whatever is set here."""


class PreviewSettings(Section):
    """Pictures drawn while training, always from the same seeds, so that they can be compared."""

    prompts: Annotated[list[str], Ui("Sample prompts", level="quick", kind="text", kohya="sample_prompts")] = []
    """One prompt a line. Use the trigger word. Empty: no samples."""

    negative_prompt: Annotated[str, Ui(kohya="sample_prompts --n")] = ""
    """What samples should not show."""

    every_steps: Annotated[Count, Ui("Sample every N steps", kohya="sample_every_n_steps")] = 0
    """0: not by steps."""

    every_epochs: Annotated[Count, Ui("Sample every N epochs", kohya="sample_every_n_epochs")] = 1
    """0: not by epochs. The end of the run is always sampled."""

    at_start: Annotated[bool, Ui("Sample before the first step", kohya="sample_at_first")] = True
    """Shows what the base model draws, to compare with."""

    width: Annotated[int | None, Field(ge=16, le=4096), Ui(kohya="sample_prompts --w")] = None
    """Empty: the training resolution."""

    height: Annotated[int | None, Field(ge=16, le=4096), Ui(kohya="sample_prompts --h")] = None
    """Empty: the training resolution."""

    steps: Annotated[int | None, Field(ge=1, le=200), Ui("Sampling steps", kohya="sample_prompts --s")] = None
    """Denoising steps of a sample. Empty: as many as are usual for the family."""

    guidance: Annotated[float | None, Field(ge=1, le=30), Ui("Guidance scale", kohya="sample_prompts --l")] = None
    """How closely a sample follows its prompt (classifier-free guidance). 1: none. Empty: as is usual for the
    family."""

    sampler: Annotated[
        Literal["ddim", "euler", "euler_a", "dpm++_2m"], Ui(level="expert", needs="ddpm", kohya="sample_sampler")
    ] = "ddim"
    """The method that draws samples."""

    seed: Annotated[int, Field(ge=0, lt=2**32), Ui(level="expert", kohya="sample_prompts --d")] = 1
    """Seed of the first prompt; the second has the next, and so on."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for side in ("width", "height"):
            if (value := getattr(self, side)) and value % 8:
                yield side, f"must be a multiple of 8; got {value}"


class SaveSettings(Section):
    """What is written, and when."""

    every_epochs: Annotated[Count, Ui("Save every N epochs", kohya="save_every_n_epochs")] = 1
    """A LoRA file that can be tried, and a state to go on from. 0: not by epochs."""

    every_steps: Annotated[Count, Ui("Save every N steps", kohya="save_every_n_steps")] = 0
    """0: not by steps."""

    keep_last: Annotated[Count, Ui("Keep the last N", kohya="save_last_n_epochs save_last_n_steps")] = 0
    """Older checkpoints of this run are removed once a newer one is safely written. 0: keep all."""

    autosave_minutes: Annotated[
        float, Field(ge=0), Ui("Autosave every N minutes", level="expert", kohya="save_state")
    ] = 10
    """Writes the state from which an interrupted run goes on. 0: only together with checkpoints and at the end."""

    precision: Annotated[Literal["fp16", "bf16", "float32"], Ui("Save precision", kohya="save_precision")] = "fp16"
    """Number format of the LoRA file."""

    peft: Annotated[bool, Ui("Also as PEFT folders", level="expert")] = False
    """Beside the finished LoRA a folder NAME-peft with one adapter folder for each part, as PeftModel.from_pretrained
    takes it."""

    diffusers: Annotated[bool, Ui("Also for diffusers", level="expert")] = False
    """Beside the finished LoRA a folder NAME-diffusers with pytorch_lora_weights.safetensors in it."""

    blocks: Annotated[
        bool, Ui("Also with the original's block names", level="expert", needs="original_blocks")
    ] = False
    """Beside the finished LoRA NAME-blocks.safetensors, with layers named as kohya's own trainers name them
    (input_blocks, double_blocks): for tools that know no others."""

    folder: Annotated[str, Ui("Output folder", kind="folder", kohya="output_dir")] = ""
    """The finished LoRA is copied here too, under a name that overwrites nothing. Empty: it stays in the job's
    folder."""

    logging_folder: Annotated[str, Ui("Logging folder", level="expert", kind="folder", kohya="logging_dir")] = ""
    """Where TensorBoard logs go. Empty: into the job's folder."""


class MetadataSettings(Section):
    """What the LoRA file says about itself (ss_* and modelspec.* entries, read by ComfyUI, A1111 and others)."""

    trigger: Annotated[str, Ui("Trigger words", level="quick", kohya="metadata_trigger_phrase")] = ""
    """The words that call up what was learnt."""

    title: Annotated[str, Ui(level="expert", kohya="metadata_title")] = ""
    """Empty: the name."""

    author: Annotated[str, Ui(level="expert", kohya="metadata_author")] = ""
    """Who made it."""

    description: Annotated[str, Ui(level="expert", kind="text", kohya="metadata_description")] = ""
    """What it is and how to use it."""

    license: Annotated[str, Ui(level="expert", kohya="metadata_license")] = ""
    """Under which terms others may use it."""

    tags: Annotated[str, Ui(level="expert", kohya="metadata_tags")] = ""
    """Words to find it by, separated by commas."""

    usage_hint: Annotated[str, Ui(level="expert", kohya="metadata_usage_hint")] = ""
    """How to use it, in one line: a strength, a sampler, words for the prompt."""

    thumbnail: Annotated[bool, Ui("Newest sample as thumbnail", level="expert")] = True
    """Keep a small copy of the newest sample of the first prompt in the file, for programs that show LoRAs as
    pictures."""

    comment: Annotated[str, Ui("Training comment", level="expert", kohya="training_comment")] = ""
    """A note kept in the file."""

    private: Annotated[bool, Ui("Leave out names and tags", level="expert", kohya="no_metadata")] = False
    """Leave out folder names, the base model's file name, the list of caption tags and the thumbnail."""


class TrainSettings(Section):
    """One training run."""

    version: ClassVar[int] = 1
    renames: ClassVar[dict[str, str]] = {}

    name: Annotated[str, Ui("Name of the LoRA", level="quick", kohya="output_name")] = "my_lora"
    """Letters, digits, - _ and dots. The file will be NAME.safetensors."""

    model: ModelSettings = ModelSettings()
    dataset: DatasetSettings = DatasetSettings()
    captions: CaptionSettings = CaptionSettings()
    validation: ValidationSettings = ValidationSettings()
    lora: LoraSettings = LoraSettings()
    run: RunSettings = RunSettings()
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    noise: NoiseSettings = NoiseSettings()
    memory: MemorySettings = MemorySettings()
    accelerate: AccelerateSettings = AccelerateSettings()
    preview: PreviewSettings = PreviewSettings()
    save: SaveSettings = SaveSettings()
    metadata: MetadataSettings = MetadataSettings()

    @property
    def text_encoders(self) -> dict[str, TextEncoderLora]:
        """Those that can learn in this family, by its names for them. What is set for others has no effect."""
        family = families().get(self.model.family)
        return {name: self.lora.text_encoders[name] for name in (family.text_encoders if family else ())}

    @property
    def captions_can_be_cached(self) -> bool:
        """Captions that vary and a learning text encoder give another encoding each step."""
        varied = varies(self.captions) and not self.captions.variants
        learnt = any(text.train for text in self.text_encoders.values())
        return self.memory.cache_captions and not varied and not learnt

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not NAME.fullmatch(self.name):
            yield "name", "use letters, digits, - _ and dots, starting with a letter or digit, at most 64"
        if self.noise.zero_terminal_snr and self.model.prediction_type == "epsilon":
            yield "noise.zero_terminal_snr", "where all is noise, predicting it teaches nothing: only for v-prediction"
        if not self.model.base:
            yield "model.base", "choose a base model: a .safetensors file, a diffusers folder or a hub name"
        yield from self._one_rate()

    def _one_rate(self) -> Iterator[tuple[str, str]]:
        unet = self.lora.denoiser
        for part, lora in {"denoiser": unet, **self.text_encoders}.items():
            if self.optimizer.finds_its_rate and lora.train and (lora.plus_ratio or 1) != 1:
                said = f"{self.optimizer.name} finds one step size for everything: leave it empty"
                yield f"lora.{part}.plus_ratio", said
        for name, text in self.text_encoders.items():
            differ = unet.train and text.train and unet.learning_rate != text.learning_rate
            if self.optimizer.finds_its_rate and differ:
                same = f"set the learning rate of the UNet ({unet.learning_rate:g}) here too"
                yield f"lora.{name}.learning_rate", f"{self.optimizer.name} finds one step size for everything: {same}"

    def warnings(self) -> Iterator[tuple[str, str]]:
        for part, lora in {"denoiser": self.lora.denoiser, **self.text_encoders}.items():
            if self.optimizer.finds_its_rate and lora.train and lora.learning_rate < 0.1:
                said = f"{self.optimizer.name} multiplies its own step size by this: leave it at 1"
                yield f"lora.{part}.learning_rate", said
        if self.optimizer.name == "schedulefree_adamw" and self.schedule.name != "constant":
            yield "schedule.name", "the schedule-free optimiser needs none, and learns less with one: choose constant"
        if self.schedule.name == "constant" and self.schedule.minimum:
            yield "schedule.minimum", "has no effect with a constant rate"
