"""Trains the toy base model: a small Stable Diffusion 1.x-shaped pipeline that draws what `toy/draw.py` draws.

Three things are learnt one after the other, each from what the one before left in the work folder: an autoencoder on
drawn pictures, a fixed set of latents computed once with it, and the UNet with its text encoder on those latents. Every
stage saves a checkpoint about once a minute and continues from it; a batch depends on (seed, step) alone, so a stopped
and continued run sees the same data as an unbroken one. `--steps` may change between calls: the learning rate falls to
zero over whatever total is asked for, so a finished stage can be trained further by asking for more.

    python -m toy.make all --work DIR          # pictures, vae, latents, unet, save
    python -m toy.make unet --work DIR --steps 4000
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
from diffusers import AutoencoderKL, DDPMScheduler, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import CLIPTextConfig, CLIPTextModel

from toy.draw import draw, draw_jumble
from toy.muon import Muon
from toy.tokens import MAX_LENGTH, build_tokenizer

MODEL_FOLDER = Path(__file__).parent / "models" / "sd"
SIZE = 64
SEED = 1
PICTURES, JUMBLES = 20_000, 8_000
LATENT_NOISE = 0.05
CROPPED = 0.8
CHECKPOINT_SECONDS = 20
# SD 1.5's noise schedule, with its scheduler's habits (skip_prk_steps, steps_offset 1).
NOISE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


# --- the models ---------------------------------------------------------------------------------------------------


def new_vae() -> AutoencoderKL:
    """Three levels, 4x smaller each way, 4 latent channels, no attention; its posterior has a fixed width.

    Sampling a learnt posterior kept the error nine times higher for the same training time, so the encoder's
    log-variance rows are set, not trained: a deviation of 0.05 before normalisation.
    """
    vae = AutoencoderKL(
        sample_size=SIZE,
        block_out_channels=(16, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = 2 * math.log(LATENT_NOISE)
    return vae


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 4,
        block_out_channels=(48, 96, 160),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=128,
        attention_head_dim=4,  # the number of heads: diffusers kept SD 1.x's misnomer
        norm_num_groups=16,
    )


def new_text_encoder() -> CLIPTextModel:
    tokenizer = build_tokenizer()
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_LENGTH,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


# --- training, whatever the model ---------------------------------------------------------------------------------


@dataclass
class Training:
    """One resumable training: the modules, how to get a loss from a step number, and where checkpoints live."""

    path: Path
    modules: nn.ModuleDict
    loss: Callable[[int], Tensor]
    steps: int
    rate: float
    batch: int
    decay: float = 0.999
    step: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimizer = Muon(self.modules, lr=self.rate)
        self.average = {name: value.detach().clone() for name, value in self.modules.state_dict().items()}
        if self.path.exists():
            state = torch.load(self.path, weights_only=True)
            self.modules.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.average, self.step = state["average"], state["step"]

    def save(self) -> None:
        if _rank() > 0:
            return
        state = {"model": self.modules.state_dict(), "optimizer": self.optimizer.state_dict()}
        beside = self.path.with_suffix(".part")
        torch.save(state | {"average": self.average, "step": self.step}, beside)
        os.replace(beside, self.path)

    def run(self) -> None:
        """Train to the last step, with a line of progress and a checkpoint about once a minute."""
        first, started, saved, losses = self.step, time.monotonic(), time.monotonic(), []
        while self.step < self.steps:
            losses.append(self._one_step())
            now = time.monotonic()
            if now - saved > CHECKPOINT_SECONDS or self.step == self.steps:
                self.save()
                if _rank() > 0:
                    continue
                pace = (self.step - first) / (now - started)
                print(
                    f"{self.path.stem} {self.step}/{self.steps}  loss {float(torch.stack(losses).mean()):.4f}  "
                    f"{pace * self.batch:.1f} img/s  {(self.steps - self.step) / pace / 60:.1f} min left",
                    flush=True,
                )
                saved, losses = time.monotonic(), []

    def _one_step(self) -> Tensor:
        warm = min(1.0, (self.step + 1) / 100)
        left = 1 - self.step / self.steps
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * warm * math.sin(left * math.pi / 2) ** 2
        loss = self.loss(self.step)
        loss.backward()
        _average_gradients(self.modules)
        nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if _rank() == 0:
            self._follow()
        return loss.detach()

    def _follow(self) -> None:
        keep = min(self.decay, (1 + self.step) / (10 + self.step))
        now = self.modules.state_dict()
        torch._foreach_lerp_(list(self.average.values()), [now[name] for name in self.average], 1 - keep)


def averaged(path: Path, modules: nn.ModuleDict) -> nn.ModuleDict:
    """The modules with the averaged weights (EMA) of a checkpoint, for use."""
    modules.load_state_dict(torch.load(path, weights_only=True)["average"])
    return modules.eval().requires_grad_(False)


def _dice(step: int) -> torch.Generator:
    """All chance of one step comes from here, so a continued run repeats an unbroken one."""
    return torch.Generator().manual_seed(SEED * 1_000_003 + step)


def _rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def _share(batch: Tensor) -> Tensor:
    """This process's rows of a batch that all processes drew alike."""
    return batch[_rank() :: dist.get_world_size()] if dist.is_initialized() else batch


def _average_gradients(module: nn.Module) -> None:
    """One exchange a step; threads, which wait for each other in every layer, are far slower on shared cores."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in module.parameters() if p.grad is not None]
    flat = nn.utils.parameters_to_vector(gradients)
    dist.all_reduce(flat)
    nn.utils.vector_to_parameters(flat / dist.get_world_size(), gradients)


# --- the stages ---------------------------------------------------------------------------------------------------


def make_pictures(work: Path, force: bool = False) -> None:
    """Draw the training pictures once: `pictures.npy` and `jumbles.npy` [n, 64, 64, 3] uint8, and `captions.txt`."""
    if (work / "captions.txt").exists() and not force:
        return
    jumbles = (np.asarray(draw_jumble(SEED, i, SIZE)) for i in range(JUMBLES))
    _write_array(work / "jumbles.npy", jumbles, JUMBLES)
    captions: list[str] = []

    def pictures() -> Iterable[np.ndarray]:
        for index in range(PICTURES):
            image, scene = draw(SEED, index, SIZE)
            captions.append(scene.caption)
            yield np.asarray(image)

    _write_array(work / "pictures.npy", pictures(), PICTURES)
    (work / "captions.txt").write_text("\n".join(captions), encoding="utf-8")


def _write_array(path: Path, images: Iterable[np.ndarray], count: int) -> None:
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, SIZE, SIZE, 3))
    for index, image in enumerate(images):
        out[index] = image
    out.flush()


def _pixels(array: np.ndarray, indices: Tensor) -> Tensor:
    """[n, 3, h, w] in -1..1 of the chosen pictures."""
    chosen = torch.from_numpy(np.ascontiguousarray(array[indices.numpy()]))
    return chosen.permute(0, 3, 1, 2).float() / 127.5 - 1


def train_vae(work: Path, steps: int, batch: int = 16) -> None:
    """Autoencoder on two parts things to one part jumble: absolute error of colours and of edges.

    The first `CROPPED` of the steps see quarter pictures: four times faster, and convolutions learn nearly the same.
    """
    torch.manual_seed(SEED)
    pictures, jumbles = (np.load(work / f"{name}.npy", mmap_mode="r") for name in ("pictures", "jumbles"))
    vae = new_vae()
    vae.quant_conv.weight.register_hook(_only_mean)
    vae.quant_conv.bias.register_hook(_only_mean)

    def loss(step: int) -> Tensor:
        dice = _dice(step)
        few = batch // 3
        images = torch.cat([
            _pixels(pictures, _share(torch.randint(PICTURES, (batch - few,), generator=dice))),
            _pixels(jumbles, _share(torch.randint(JUMBLES, (few,), generator=dice))),
        ])
        if step < CROPPED * steps:
            top, left = torch.randint(SIZE // 2 + 1, (2,), generator=dice).tolist()
            images = images[:, :, top : top + SIZE // 2, left : left + SIZE // 2]
        latents = vae.encode(images).latent_dist.mean
        noisy = latents + LATENT_NOISE * torch.randn(latents.shape, generator=dice)
        error = vae.decode(noisy).sample - images
        edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
        return error.abs().mean() + 0.5 * edges + 1e-3 * latents.square().mean()

    Training(work / "vae.pt", nn.ModuleDict({"vae": vae}), loss, steps, rate=1.5e-3, batch=batch, decay=0.995).run()


def _only_mean(gradient: Tensor) -> Tensor:
    gradient = gradient.clone()
    gradient[4:] = 0
    return gradient


def normalise(vae: AutoencoderKL, latents: Tensor) -> None:
    """Fold centring and decorrelation of the latents [n, 4, h, w] into the VAE's 1x1 convolutions.

    StableDiffusionPipeline knows one scaling factor and no shift, so centred, equally wide channels have to come from
    the weights. The common width stays the natural one, and `scaling_factor` undoes it.
    """
    flat = latents.permute(1, 0, 2, 3).flatten(1).double()
    centre = flat.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(flat))
    width = float(values.mean().sqrt())
    there = width * torch.diag(values.rsqrt()) @ vectors.T
    back = torch.linalg.inv(there)
    with torch.no_grad():
        inner, outer = vae.quant_conv, vae.post_quant_conv
        inner.weight[:4] = torch.einsum("ij,jkhw->ikhw", there, inner.weight[:4].double()).float()
        inner.bias[:4] = (there @ (inner.bias[:4].double() - centre)).float()
        outer.bias += (outer.weight[:, :, 0, 0].double() @ centre).float()
        outer.weight[:] = torch.einsum("kjhw,ji->kihw", outer.weight.double(), back).float()
    vae.register_to_config(scaling_factor=round(1 / width, 5))


def make_latents(work: Path, force: bool = False) -> None:
    """Encode every picture once: `latents.pt` holds the normalised VAE's weights, its scaling factor, the latents."""
    if (work / "latents.pt").exists() and not force:
        return
    pictures = np.load(work / "pictures.npy", mmap_mode="r")
    vae = averaged(work / "vae.pt", nn.ModuleDict({"vae": new_vae()}))["vae"]
    normalise(vae, _encode(vae, pictures, min(2000, PICTURES)))
    scale = vae.config.scaling_factor
    latents = _encode(vae, pictures, PICTURES) * scale
    print(f"latents: scaling factor {scale}, deviation {float(latents.std()):.3f}", flush=True)
    torch.save({"vae": vae.state_dict(), "scaling_factor": scale, "latents": latents}, work / "latents.pt")


@torch.inference_mode()
def _encode(vae: AutoencoderKL, pictures: np.ndarray, count: int, batch: int = 100) -> Tensor:
    chunks = torch.arange(count).split(batch)
    return torch.cat([vae.encode(_pixels(pictures, chunk)).latent_dist.mean for chunk in chunks])


def vary_caption(caption: str, chance: float) -> str:
    """Mostly the caption itself; now and then empty (for guidance), as tags, or without its ground (chance: 0..1)."""
    if chance < 0.10:
        return ""
    thing, ground = caption.split(" on ")
    if chance < 0.16:
        return thing
    if chance < 0.22:
        return f"{thing.split(' ', 1)[1]}, {ground.split(' ', 1)[1]}"
    return caption


def train_unet(work: Path, steps: int, batch: int = 32) -> None:
    """UNet and text encoder together on the cached latents: epsilon, min-SNR weights (arXiv:2303.09556, gamma 5)."""
    torch.manual_seed(SEED)
    latents = torch.load(work / "latents.pt", weights_only=True)["latents"]
    captions = (work / "captions.txt").read_text(encoding="utf-8").split("\n")
    tokenizer, noiser = build_tokenizer(), DDPMScheduler(**NOISE)
    unet, text_encoder = new_unet(), new_text_encoder()
    alphas = noiser.alphas_cumprod
    weights = (alphas / (1 - alphas)).clamp(max=5) / (alphas / (1 - alphas))

    def loss(step: int) -> Tensor:
        dice = _dice(step)
        picks = _share(torch.randint(len(latents), (batch,), generator=dice))
        chances = _share(torch.rand(batch, generator=dice)).tolist()
        words = [vary_caption(captions[pick], chance) for pick, chance in zip(picks.tolist(), chances)]
        tokens = tokenizer(words, padding="max_length", truncation=True, return_tensors="pt").input_ids
        clean = latents[picks]
        noise = _share(torch.randn(batch, *clean.shape[1:], generator=dice))
        times = _share(torch.randint(1000, (batch,), generator=dice))
        guess = unet(noiser.add_noise(clean, noise, times), times, text_encoder(tokens).last_hidden_state).sample
        errors = F.mse_loss(guess, noise, reduction="none").mean((1, 2, 3))
        return (errors * weights[times]).mean()

    both = nn.ModuleDict({"unet": unet, "text_encoder": text_encoder})
    Training(work / "unet.pt", both, loss, steps, rate=2e-3, batch=batch).run()


def pipeline(work: Path) -> StableDiffusionPipeline:
    """What the work folder holds so far, as a pipeline with the averaged weights."""
    stored = torch.load(work / "latents.pt", weights_only=True)
    vae = new_vae()
    vae.load_state_dict(stored["vae"])
    vae.register_to_config(scaling_factor=stored["scaling_factor"])
    both = averaged(work / "unet.pt", nn.ModuleDict({"unet": new_unet(), "text_encoder": new_text_encoder()}))
    return StableDiffusionPipeline(
        vae=vae.eval(),
        text_encoder=both["text_encoder"],
        tokenizer=build_tokenizer(),
        unet=both["unet"],
        scheduler=PNDMScheduler(**NOISE, skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save(work: Path, folder: Path = MODEL_FOLDER) -> None:
    """Write the pipeline folder in half precision."""
    pipeline(work).to(torch.float16).save_pretrained(folder, safe_serialization=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")


STAGES = ("pictures", "vae", "latents", "unet", "save")
STAGE_STEPS = {"vae": 1800, "unet": 2600}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m toy.make", description="Train the toy base model.")
    parser.add_argument("stage", choices=["all", "pictures", "vae", "latents", "unet", "save"])
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints and cached latents")
    parser.add_argument("--steps", type=int, help="total steps of the stage (default: what the committed model took)")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="where `save` writes the pipeline")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="one thread each; they share every batch")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    for stage in STAGES if options.stage == "all" else [options.stage]:
        if stage in STAGE_STEPS and options.processes > 1:
            torch.multiprocessing.spawn(_one_of_many, (stage, options), nprocs=options.processes)
        else:
            run_stage(stage, options)


def _one_of_many(rank: int, stage: str, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    # A meeting file is used once, hence the parent's number in its name.
    meeting = options.work / f"meeting-{stage}-{os.getppid()}"
    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=options.processes)
    run_stage(stage, options)
    dist.destroy_process_group()


def run_stage(stage: str, options: argparse.Namespace) -> None:
    steps = options.steps or STAGE_STEPS.get(stage, 0)
    if stage == "pictures":
        make_pictures(options.work)
    elif stage == "vae":
        train_vae(options.work, steps)
    elif stage == "latents":
        make_latents(options.work)
    elif stage == "unet":
        train_unet(options.work, steps)
    else:
        save(options.work, options.out)


if __name__ == "__main__":
    main()
