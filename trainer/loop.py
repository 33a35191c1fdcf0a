"""A training run from start to end. Read it top to bottom: this is the recipe, the other files are the ingredients.

The job is a folder: config.toml is read from it, events.jsonl and log.txt are written to it, and wishes (stop, pause,
save, sample) are looked for in it once a step. The same folder started again goes on from its newest state, and learns
bit for bit what it would have learnt: every random number follows from the seed and the step.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from accelerate import PartialState

from dataset.holdout import held_out
from dataset.scan import Dataset, scan
from dataset.turns import lay_out
from jobs import requests
from jobs.folder import Job
from settings import toml
from settings.paths import absolute
from trainer import state
from trainer.base_model import hashes
from trainer.batches import Batches
from trainer.beginning import earlier, encode, load_family, start_from, where_to_train
from trainer.config import TrainSettings
from trainer.full.output import WholeOutput
from trainer.inversion import new_words
from trainer.needs import disk
from trainer.needs.room import room
from trainer.output import Output
from trainer.plan import Plan, plan
from trainer.preview import Preview
from trainer.prior.class_drawing import draw_class_images
from trainer.prior.class_images import with_class_images
from trainer.report import Report, Stopped
from trainer.run import Run, is_number


def train(folder: Path) -> None:
    """Train the job in `folder` to its end or until it is asked to end. Raises what trainer.failures explains."""
    config = toml.read(TrainSettings, folder / "config.toml")
    dataset = scan(config.dataset.folders, config.dataset.caption_extension)
    planned = plan(config, dataset, begun=bool(state.saved(folder / "state")))
    place = where_to_train(config)
    report = Report(Job(folder), config, planned, place)
    try:
        run, preview, output = begin(folder, config, dataset, planned, place, report)
    except Stopped as stopped:
        return report.ended(stopped.wish, state.last_step(folder / "state"))
    wish = steps(run, folder, preview, output, report)
    if place.is_main_process:
        last_words(run, folder, output, report, wish)
    place.wait_for_everyone()


def begin(
    folder: Path, config: TrainSettings, dataset: Dataset, planned: Plan, place: PartialState, report: Report
) -> tuple[Run, Preview, Output]:
    """Everything up to the first step. Raises Stopped when someone does not want to wait for it."""
    dataset, held = held_out(config.validation, with_class_images(config, dataset))
    batches = Batches(config, planned, lay_out(config.dataset, dataset.items), dataset.items, held)
    saved = earlier(folder, config, planned, batches, report)
    family, parts = load_family(config, report)
    draw_class_images(config, family, parts, batches.shown, place, report)
    latents, captions = encode(config, family, parts, batches, place, report)
    run = Run(config, planned, place, family, parts, batches, latents, captions, report.warning)
    preview = Preview(config, family, parts, captions, run.precision)
    output = (WholeOutput if config.all_weights else Output)(folder, config, family, planned, dataset)
    if place.is_main_process:
        output.sweep()
        hashes.begin(config.model.base)
        learnt = sum(tensor.numel() for tensor in run.adapters.values())
        disk.before_the_start(folder, room(config, learnt, output.beside, len(planned.saves)), report)
    if saved:
        run.restore(saved)
        report.recall(saved.position.get("losses", []))
    else:
        if config.lora.weights:
            start_from(absolute(config.lora.weights), family, run.trained, report)
        new_words.start_from_files(config, family, run.trained)
    report.started(run.step, place.device)
    return run, preview, output


def steps(run: Run, folder: Path, preview: Preview, output: Output, report: Report) -> str:
    """Step by step to the end: "", or until there is a wish to "stop" or to "pause"."""
    main, saved = run.place.is_main_process, time.monotonic()
    if main and preview.is_due(run.plan.samples, run.step, folder / "samples"):
        report.samples(run.step, run.samples(preview, folder / "samples"))
    if main and run.step in run.plan.validations:
        report.validated(run.step, run.validate())
    while run.step < run.plan.total_steps:
        wishes = shared_wishes(folder, run.place)
        if wish := requests.ending(wishes):
            return wish
        report.step(run.one_step())
        if not main:
            continue
        if run.step in run.plan.validations:
            validate(run, output, report)
        checkpoint = run.step in run.plan.saves or "save" in wishes
        autosave = run.config.save.autosave_minutes * 60
        if checkpoint or (autosave and time.monotonic() - saved > autosave):
            with disk.full_is_a_warning(report):
                run.save_state(folder / "state", report.recent)
                if checkpoint:
                    report.checkpoint(run.step, output.checkpoint(run.learnt, run.step))
            saved = time.monotonic()
        # After the state is safe: drawing takes long, and what is not drawn now a resumed run draws.
        if run.step in run.plan.samples or "sample" in wishes:
            report.samples(run.step, run.samples(preview, folder / "samples"))
    return ""


def validate(run: Run, output: Output, report: Report) -> None:
    """Look at what is held out; where it was never predicted as well, keep what is learnt, if that is wanted."""
    loss = report.validated(run.step, run.validate())
    if run.config.save.keep_best and is_number(loss) and (run.best is None or loss < run.best):
        with disk.full_is_a_warning(report):
            report.checkpoint(run.step, output.best(run.learnt, run.step))
            run.best = loss


def last_words(run: Run, folder: Path, output: Output, report: Report, wish: str) -> None:
    """The last state and the LoRA; of a paused run only the state, since it goes on."""
    if wish:
        run.save_state(folder / "state", report.recent)
    else:
        with disk.full_is_a_warning(report):  # the LoRA is smaller, and matters more
            run.save_state(folder / "state", report.recent)
    if wish == "pause":
        return report.paused(run.step)
    lora = output.final(run.learnt, run.step, finished=not wish)
    report.covered(output.coverage(run.learnt))
    report.ended(wish, run.step, lora) if wish else report.finished(lora, run.step)


def shared_wishes(folder: Path, place: PartialState) -> set[str]:
    """What was asked for since the last step, told to every process by the first."""
    found = [requests.take(folder) if place.is_main_process else set()]
    if place.num_processes > 1:
        torch.distributed.broadcast_object_list(found)
    return found[0]
