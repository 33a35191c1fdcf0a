"""The base model: which one, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui


class MergedLora(Section):
    """A LoRA that is made a part of the base model."""

    file: Annotated[str, Ui(kind="file", kohya="base_weights")] = ""
    """A LoRA file of any dialect, or a PEFT folder, for the same family."""

    strength: Annotated[float, Field(ge=-10, le=10), Ui(kohya="base_weights_multiplier")] = 1.0
    """How strongly; below 0 takes away what it adds."""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if not self.file:
            yield "file", "choose a LoRA file"
        if not self.strength:
            yield "strength", "0 would add nothing: remove the row"


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
    encoders, tokenizers and VAE that the file lacks. Empty: the base model lacks nothing."""

    vae: Annotated[str, Ui("VAE", level="expert", kind="model", kohya="vae")] = ""
    """A diffusers VAE folder or hub name to use instead of the model's own. Empty: its own."""

    merge: Annotated[list[MergedLora], Ui("Merge LoRAs", level="expert", kohya="base_weights")] = []
    """LoRAs added to the base model in memory before anything is learnt, so that what is learnt comes on top of them.
    Whoever uses the result needs them too, at the same strengths."""

    prediction_type: Annotated[
        Literal["auto", "epsilon", "v_prediction"], Ui(level="expert", needs="ddpm", kohya="v_parameterization")
    ] = "auto"
    """What the model predicts. Auto reads it from the model; say it for single files of v-prediction fine-tunes."""

    trust_pickle: Annotated[bool, Ui("I trust this .ckpt file", level="expert")] = False
    """Allow a base model that is a .ckpt, .pt or .bin file. Such files can carry programs; they are read
    weights-only."""
