"""What the families with a UNet have in common: Stable Diffusion 1.x and 2.x, which differ in nothing else but sizes,
and SDXL, which adds a second text encoder and the sizes of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from trainer.base_model.models import ModelError, own_vae
from trainer.families import configs
from trainer.families.base import Diffusion, Drawing, Family, Footprint
from trainer.families.words import Reading, read
from trainer.lora import targets
from trainer.loss import shares

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from trainer.base_model.models import BaseModel


class UNetFamily(Family):
    """Denoising diffusion in the latents of an AutoencoderKL by a UNet2DConditionModel, as a pipeline of diffusers."""

    traits = frozenset({"ddpm", "text_encoder", "clip_words"})
    reading = Reading()  # how captions are read; whoever loads the model may say it
    bucket_step = 64
    layers = targets.UNET
    text_layers = targets.CLIP
    embedding_keys = {"text_encoder": "emb_params"}
    pipeline: ClassVar[str]  # of diffusers; also of what descends from it, such as "StableDiffusionPipelineSafe"
    left_out: ClassVar[dict[str, Any]]  # parts that training never looks at: the safety checker alone is 1.2 GB
    configs: ClassVar[configs.Config]  # of the published model, for single files
    places: ClassVar[dict[str, str]] = {}  # of the text encoders in a single file, where whole models are written

    def load(self, model: BaseModel, dtype: torch.dtype, vae: str = "") -> dict[str, nn.Module]:
        import torch
        from diffusers import AutoencoderKL

        self._pipe = self._read(model, dtype)
        self.prediction_type = model.prediction_type or self._pipe.scheduler.config.prediction_type
        if vae:
            self._pipe.vae = AutoencoderKL.from_pretrained(
                own_vae(vae, model), dtype=torch.float32, use_safetensors=model.only_safetensors
            )
        for part in self.parts.values():
            part.requires_grad_(False).eval()
        return self.parts

    @property
    def parts(self) -> dict[str, nn.Module]:
        """As they were loaded, by name."""
        return {"denoiser": self._pipe.unet, "vae": self._pipe.vae} | {
            name: getattr(self._pipe, name) for name in self.text_encoders}

    def _read(self, model: BaseModel, dtype: torch.dtype):
        import diffusers
        import torch

        pipeline = getattr(diffusers, self.pipeline)
        # The VAE is read in float32, not raised to it afterwards: what bfloat16 has rounded off would stay off, and
        # SDXL's makes no numbers in float16.
        if model.kind in ("folder", "hub"):
            dtypes = {"default": dtype, "vae": torch.float32}
            return pipeline.from_pretrained(
                model.where, dtype=dtypes, use_safetensors=model.only_safetensors, **self.left_out
            )
        folder = str(self.single_file_configs())
        vae = diffusers.AutoencoderKL.from_single_file(model.where, config=folder, subfolder="vae", dtype=torch.float32)
        return pipeline.from_single_file(model.where, config=folder, vae=vae, dtype=dtype, **self.left_out)

    @classmethod
    def footprint_of(cls, model: BaseModel) -> Footprint | None:
        usual = cls.configs["unet"]["cross_attention_dim"]
        return cls.footprint if model.configs.get("unet", {}).get("cross_attention_dim", usual) == usual else None

    @classmethod
    def single_file_configs(cls) -> Path:
        """A folder of configs and tokenizers that a single file leaves out, made once, with no download."""
        return configs.written(cls.name, cls.configs)

    @property
    def prediction_type(self) -> str:
        return self._prediction_type

    @prediction_type.setter
    def prediction_type(self, said: str) -> None:
        if said not in ("epsilon", "v_prediction"):
            raise ModelError(f"it predicts {said!r}; only epsilon and v_prediction can be trained")
        self._prediction_type = said

    def end_in_noise(self) -> None:
        """Train and draw as if the model's schedule ended in pure noise (Lin et al., arXiv 2305.08891)."""
        self._pipe.scheduler.register_to_config(rescale_betas_zero_snr=True, timestep_spacing="trailing")

    @property
    def marks(self) -> list[str]:
        """Names of empty tensors by which a single file says what it predicts, and whether it ends in pure noise."""
        said = self._pipe.scheduler.config
        found = {"v_pred": self.prediction_type == "v_prediction", "ztsnr": said.get("rescale_betas_zero_snr")}
        return [mark for mark, holds in found.items() if holds]

    def export(self, folder: Path, weights: dict[str, Tensor], dtype: torch.dtype) -> None:
        """Write the whole model, with these weights of the denoiser, as a diffusers folder in `dtype`."""
        import torch

        pipe, parts = self._pipe, {}
        for name, part in self.parts.items():
            reads = name in self.text_encoders
            with torch.device("meta"):
                parts[name] = type(part)(part.config) if reads else type(part).from_config(part.config)
            values = weights if name == "denoiser" else part.state_dict()
            parts[name].load_state_dict({key: value.to("cpu", dtype) for key, value in values.items()}, assign=True)
        scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type=self.prediction_type)
        others = {name: part for name, part in pipe.components.items() if "tokenizer" in name}
        unet = parts.pop("denoiser")
        type(pipe)(unet=unet, scheduler=scheduler, **parts, **others, **self.left_out).save_pretrained(folder)

    def process(self) -> Diffusion:
        return Diffusion(self.alphas_cumprod(), self.prediction_type)

    def alphas_cumprod(self) -> Tensor:
        """The noise schedule, float64 [timesteps]."""
        import torch

        return torch.tensor(shares.alphas_cumprod(self._pipe.scheduler.config), dtype=torch.float64)

    def tokenizer(self, name: str) -> Any:
        return getattr(self._pipe, name.replace("text_encoder", "tokenizer"))

    def tokenizer_id(self) -> str:
        return self._pipe.tokenizer.backend_tokenizer.to_str() + self.reading.mark

    def encode_pictures(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self._pipe.vae.encode(pixels).latent_dist
        scale = self._pipe.vae.config.scaling_factor
        return posterior.mean * scale, posterior.std * scale

    def encode_captions(self, captions: list[str]) -> dict[str, Tensor]:
        encoder, layer = self._pipe.text_encoder, self.reading.layer
        asked = read(self._pipe.tokenizer, captions, self.reading, encoder)
        if layer == 1:
            said = encoder(asked.numbers).last_hidden_state
        else:  # what would follow the last layer follows this one
            said = encoder(asked.numbers, output_hidden_states=True).hidden_states[-layer]
            said = encoder.final_layer_norm(said)
        return {"words": asked.joined(said)}

    def predict(self, noisy: Tensor, timesteps: Tensor, text: dict[str, Tensor]) -> Tensor:
        return self._pipe.unet(noisy, timesteps, text["words"]).sample

    def checkpoint_gradients(self) -> None:
        self._pipe.unet.enable_gradient_checkpointing()
        for name in self.text_encoders:
            getattr(self._pipe, name).gradient_checkpointing_enable({"use_reentrant": False})

    def draw(self, text: dict[str, Tensor], negative: dict[str, Tensor], how: Drawing) -> Tensor:
        import torch

        unet = self._pipe.unet
        pipe = self._drawing_pipe(how)
        pipe.set_progress_bar_config(disable=True)
        factor = pipe.vae_scale_factor
        shape = (1, unet.config.in_channels, how.height // factor, how.width // factor)
        generator = torch.Generator().manual_seed(how.seed)
        noise = torch.randn(shape, generator=generator).to(unet.device, unet.dtype)
        return pipe(
            **{name: tensor.to(unet.device, unet.dtype) for name, tensor in self._prompts(text, negative).items()},
            height=how.height,
            width=how.width,
            num_inference_steps=how.steps,
            guidance_scale=how.guidance,
            latents=noise,
            generator=generator,
            output_type="latent",
        ).images

    def _drawing_pipe(self, how: Drawing):
        """The pipeline with the sampler that was asked for, and without the text encoders: what they say is there."""
        pipe = self._pipe
        read = [name.replace("text_encoder", "tokenizer") for name in self.text_encoders]
        nothing = dict.fromkeys([*self.text_encoders, *read])
        return type(pipe)(vae=pipe.vae, unet=pipe.unet, scheduler=self._sampler(how), **nothing, **self.left_out)

    def _prompts(self, text: dict[str, Tensor], negative: dict[str, Tensor]) -> dict[str, Tensor]:
        """Encoded captions under the names of the pipeline's arguments."""
        return {"prompt_embeds": text["words"], "negative_prompt_embeds": negative["words"]}

    def _sampler(self, how: Drawing):
        import diffusers

        kinds = {
            # clip_sample, on by default, would cut latents off at 1 where the model's own scheduler does not forbid it.
            "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
            "euler": ("EulerDiscreteScheduler", {}),
            "euler_a": ("EulerAncestralDiscreteScheduler", {}),
            "dpm++_2m": ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        }
        name, extra = kinds[how.sampler]
        return getattr(diffusers, name).from_config(
            self._pipe.scheduler.config, prediction_type=self._prediction_type, **extra
        )

    def decode(self, latents: Tensor) -> Tensor:
        vae = self._pipe.vae
        pixels = vae.decode(latents.to(vae.device, vae.dtype) / vae.config.scaling_factor).sample
        return ((pixels / 2 + 0.5).clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu()
