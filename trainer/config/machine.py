"""What computes, and what it keeps in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui


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
    """Empty: as many as OMP_NUM_THREADS says, else as the machine has cores."""

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

    base_precision: Annotated[
        Literal["16bit", "8bit", "4bit"], Ui("Base model precision", kohya="fp8_base fp8_base_unet")
    ] = "16bit"
    """Number format in which the frozen denoiser waits in memory. 8 bits take half, 4 bits (NF4) a good quarter, for
    cards that are too small; both are slower and a little less exact. The LoRA itself always stays in float32."""

    text_precision: Annotated[
        Literal["16bit", "8bit", "4bit"], Ui("Text encoder precision", level="expert", kohya="fp8_vl")
    ] = "16bit"
    """The same for text encoders that do not learn: T5 of SD 3 and FLUX has 9.5 GB in 16 bits. What they say of a
    caption is a little less exact, and is kept apart from what they say in 16 bits."""

    cache_latents: Annotated[bool, Ui(kohya="cache_latents cache_latents_to_disk")] = True
    """Encode each picture once and keep the latents on disk. They are found by content: a changed picture is encoded
    anew. Pictures that are cut or coloured at random, in no limited number of ways, are encoded each step."""

    cache_captions: Annotated[bool, Ui(kohya="cache_text_encoder_outputs")] = True
    """Encode each caption once, where possible: while the text encoder learns or captions vary, they are
    encoded each step whatever is set here."""
