"""What a run shows and leaves behind: samples, files, and what the files say of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from settings.section import Section, Ui

Count = Annotated[int, Field(ge=0)]


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

    keep_best: Annotated[bool, Ui("Keep the best", level="expert", when="validation.share")] = False
    """Keep what is learnt when the pictures that are held out were predicted best, as NAME-best: never removed, and at
    the end beside the finished LoRA."""

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
