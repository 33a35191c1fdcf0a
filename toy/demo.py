"""`python launch.py demo`: the whole job on the toy world, in minutes and without a window, measured before and after.

Three captioners say what they see on the pictures (their captions stay as they are), then the LoRA is trained. The last
line printed is one JSON object: ok, job, captions, lora, before_after, steps, seconds, score_before, score_after.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from PIL import Image, ImageDraw

import jobs.follow
from captioners import command as captioning
from captioners.config import CaptionConfig
from jobs.events import read_events
from jobs.folder import Job
from jobs.process import JobError
from settings import flags, toml
from settings.errors import SettingsError, check
from settings.paths import ROOT
from toy.score import character_score
from trainer import command
from trainer.config import TrainSettings

PRESET = ROOT / "presets" / "toy" / "demo.toml"
CAPTIONERS = {
    "wd_tagger": {"model": "toy/models/wd_tagger"},
    "blip": {"model": "toy/models/blip"},
    "clip_interrogate": {"model": "toy/models/clip", "caption_model": "toy/models/blip"},
}
TOLD = "the tagger: {wd_tagger} / BLIP: {blip} / CLIP: {clip_interrogate}"  # of each picture, in the log
SHOWN = 128  # pixels a sample is enlarged to in the comparison
MARGIN = 8


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="launch.py demo", description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--job", type=Path, metavar="DIR", help="folder of the job; default: a new one in the workspace"
    )
    flags.add_flags(parser, TrainSettings)
    try:
        options, given = flags.parse(parser, TrainSettings, arguments)
        values = flags.flat(toml.loads(TrainSettings, toml.text_of(PRESET))) | flags.flat(given)
        config = check(TrainSettings, flags.nested(values))
        job = command.prepared(config, options.job)
        if not (config.preview.prompts and config.preview.at_start):
            raise SettingsError({"preview": "the demo compares samples: keep its prompts and the sample at the start"})
        began = time.monotonic()
        captions = described(config)
        code = command.follow(job)
    except (SettingsError, JobError) as error:
        print(error, file=sys.stderr)
        return 2
    result = {"ok": False, "job": str(job.folder), "captions": str(captions.folder)}
    print(json.dumps(result | (measured(job, config, began) if code == 0 else {})))
    return code


def described(config: TrainSettings) -> Job:
    """A job in which all three captioners look at the pictures and tell, without writing. Raises SettingsError."""
    values = {
        "name": "demo captions",
        "captioners": list(CAPTIONERS),
        "template": TOLD,
        "source": {"folders": [folder.path for folder in config.dataset.folders]},
        "write": {"mode": "overwrite", "dry_run": True},
        **CAPTIONERS,
    }
    job = captioning.create(check(CaptionConfig, values))
    jobs.follow.follow(job, "stopping after these pictures")
    return job


def measured(job: Job, config: TrainSettings, began: float) -> dict:
    """What the demo is judged by. A score is how much the samples that asked for the character show it:
    toy/score.py."""
    events, _ = read_events(job.events_path)
    done = job.last_event
    samples = {
        (event["step"], event["index"]): job.folder / event["path"] for event in events if event["kind"] == "sample"
    }
    last = max(step for step, _ in samples)
    prompts = config.preview.prompts
    before, after = (
        [Image.open(samples[step, index]).convert("RGB") for index in range(len(prompts))] for step in (0, last)
    )
    picture = job.folder / "before_after.png"
    side_by_side(prompts, before, after, last).save(picture)
    asked = [index for index, prompt in enumerate(prompts) if config.metadata.trigger in prompt]
    scores = [character_score([drawn[index] for index in asked]) for drawn in (before, after)]
    return {
        "ok": done["kind"] == "finished",
        "lora": done["lora"],
        "before_after": str(picture),
        "steps": done.get("steps", done.get("step")),
        "seconds": round(time.monotonic() - began, 1),
        "score_before": round(scores[0], 3),
        "score_after": round(scores[1], 3),
    }


def side_by_side(prompts: list[str], before: list[Image.Image], after: list[Image.Image], step: int) -> Image.Image:
    """A row a prompt: what the base model drew, what it draws with the LoRA, from the same seed."""
    head, words, row = 28, 260, SHOWN + MARGIN
    sheet = Image.new("RGB", (words + 2 * row + MARGIN, head + row * len(prompts)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((words, 8), "before", fill="black")
    pen.text((words + row, 8), f"after {step} steps", fill="black")
    for line, (prompt, one, other) in enumerate(zip(prompts, before, after)):
        top = head + line * row
        pen.multiline_text((MARGIN, top + 8), "\n".join(wrapped(prompt, 38)), fill="black")
        for place, picture in enumerate((one, other)):
            sheet.paste(picture.resize((SHOWN, SHOWN), Image.Resampling.LANCZOS), (words + place * row, top))
    return sheet


def wrapped(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width) or [""]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
