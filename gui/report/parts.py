"""What a report tells of a run, section by section. All texts may be strangers' words: `safe` is the only way in."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from dataset.pictures import PictureError
from gui.chosen import Chosen, last_part
from gui.figures import results, size
from gui.run import Run
from gui.thumbnails import Thumbnails
from trainer.base_model.models import ModelError, read_header

SIDE = 256  # pixels of a sample
STEPS, PROMPTS = 8, 6  # samples that are in it at most: about half a megabyte
TAGS = 40
PRIVATE = "metadata.private"  # the setting by which names are left out
PLANNED = {
    "Pictures": "pictures",
    "With repeats": "repeated",
    "Regularisation pictures": "regularisation",
    "Batch": "batch_size",
    "Accumulated": "accumulation",
    "Processes": "processes",
    "Steps an epoch": "steps_per_epoch",
    "Epochs": "epochs",
    "Steps": "total_steps",
    "Warm-up steps": "warmup_steps",
}
MOMENTS = {"Checkpoints on the way": "saves", "Samples are drawn": "samples"}


def safe(text: Any) -> str:
    """As text in the page, never as markup; the person's own folder is nobody's business."""
    words, home = str(text), str(Path.home())
    return escape((words.replace(home, "~") if len(home) > 1 else words).encode(errors="replace").decode())


def table(rows: Iterable[Iterable[str]], head: Iterable[str] = ()) -> list[str]:
    """`rows` are ready for the page; the first cell of each is its head."""
    lines = [f"<tr><th>{first}</th>{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>" for first, *rest in rows]
    top = "".join(f"<th>{name}</th>" for name in head)
    return ['<div class="scroll"><table>', f"<thead><tr>{top}</tr></thead>" if top else "", *lines, "</table></div>"]


def section(title: str, lines: list[str]) -> list[str]:
    """Nothing where there is nothing to tell."""
    return [f"<section><h2>{title}</h2>", *lines, "</section>"] if lines else []


def facts(pairs: dict[str, str]) -> list[str]:
    return table((safe(name), safe(value)) for name, value in pairs.items()) if pairs else []


def ending(run: Run) -> list[str]:
    if run.end.get("kind") != "failed":
        return []
    trace = run.end.get("traceback")
    return [
        '<section class="bad"><h2>What went wrong</h2>',
        f"<p>{safe(run.end.get('cause') or 'It ended without saying why.')}</p>",
        f"<p><b>{safe(run.end.get('fix') or '')}</b></p>",
        f"<details><summary>Details</summary><pre>{safe(trace)}</pre></details>" if trace else "",
        "</section>",
    ]


def warnings(run: Run) -> list[str]:
    return ["<ul>", *(f"<li>{safe(text)}</li>" for text in run.warnings), "</ul>"] if run.warnings else []


def settings(known: dict[str, Chosen]) -> list[str]:
    """Those that differ from the defaults; of places on the disk only the last part, or nothing where names are left
    out."""
    rows = [
        (safe(one.label), safe(one.shown(named(known))), safe(one.default), f"<code>{safe(one.path)}</code>")
        for one in known.values()
        if one.changed
    ]
    return table(rows, ("Setting", "This run", "Default", "")) if rows else []


def named(known: dict[str, Chosen]) -> Any:
    private = PRIVATE in known and known[PRIVATE].value is True
    return (lambda _: "left out") if private else last_part


def plan(run: Run) -> list[str]:
    """What was counted beforehand, by the run's `started` event; another version may have counted otherwise."""
    told = run.started.get("plan") or {}
    counted = {title: told.get(name) for title, name in PLANNED.items()}
    pairs = {title: value for title, value in counted.items() if isinstance(value, int) and value}
    lists = {title: len(told[name]) for title, name in MOMENTS.items() if isinstance(told.get(name), list)}
    return facts({title: f"{value:,}" for title, value in (pairs | lists).items()})


def buckets(run: Run) -> str:
    listed = (run.started.get("plan") or {}).get("buckets")
    if not isinstance(listed, list):
        return ""
    return ", ".join(f"{width} x {height}: {count}" for width, height, count, *_ in listed)


def data(run: Run, known: dict[str, Chosen]) -> list[str]:
    """Folders and repeats, how many pictures, and the tags that the LoRA file lists."""
    pairs = {}
    if "dataset.folders" in known:
        pairs["Folders"] = known["dataset.folders"].shown(named(known))
    if told := buckets(run):
        pairs["Buckets"] = told
    if "metadata.trigger" in known and known["metadata.trigger"].value:
        pairs["Trigger words"] = known["metadata.trigger"].shown()
    counts = tags(run)
    if counts and named(known) is last_part:
        most = ", ".join(f"{tag} ({count:,})" for tag, count in counts.most_common(TAGS))
        pairs["Tags"] = f"{most}{', …' if len(counts) > TAGS else ''}"
    return facts(pairs)


def tags(run: Run) -> Counter[str]:
    """How often each tag was in a caption, by the LoRA file's own account."""
    lora = next(iter(results(run.job)), None)
    found: Counter[str] = Counter()
    try:
        listed = json.loads(read_header(lora)[1].get("ss_tag_frequency") or "{}") if lora else {}
        for folder in listed.values():
            found.update({str(tag): int(count) for tag, count in folder.items()})
    except (ModelError, OSError, ValueError, TypeError, AttributeError):  # a file of another kind, or half of one
        return Counter()
    return found


def files(run: Run) -> list[str]:
    """The LoRA's name, size and sums, by which it can be recognised anywhere."""
    rows = []
    for lora in results(run.job):
        with lora.open("rb") as file:
            total = hashlib.file_digest(file, "sha256").hexdigest()
        rows.append((safe(lora.name), size(lora.stat().st_size), f"<code>{total}</code>", total[:10].upper()))
    return table(rows, ("LoRA", "Size", "SHA-256", "AutoV2")) if rows else []


def samples(run: Run, thumbnails: Thumbnails) -> list[str]:
    """Prompts as rows and steps as columns, some of each where there are many."""
    steps = spread(sorted({step for step, _ in run.samples}), STEPS)
    prompts = sorted({index for _, index in run.samples})[:PROMPTS]
    rows = [
        (words(run, index), *(picture(run, thumbnails, step, index) for step in steps))
        for index in prompts
    ]
    if not rows:
        return []
    left = len(run.samples) - len(steps) * len(prompts)
    note = [f"<p class=note>Some of {len(run.samples):,} samples; all of them are in the run's folder.</p>"]
    head = ("Prompt", *("before" if step == 0 else f"step {step:,}" for step in steps))
    return [*table(rows, head), *(note if left > 0 else [])]


def words(run: Run, index: int) -> str:
    event = next(event for (_, place), event in sorted(run.samples.items()) if place == index)
    return f"{safe(event.get('prompt') or 'no words')}<br><small>seed {safe(event.get('seed'))}</small>"


def picture(run: Run, thumbnails: Thumbnails, step: int, index: int) -> str:
    path = run.sample(step, index)
    try:
        data = thumbnails.small(path, SIDE).read_bytes() if path else b""
    except (PictureError, OSError):  # removed, or never whole
        data = b""
    return f'<img src="data:image/webp;base64,{base64.b64encode(data).decode()}" alt="">' if data else ""


def spread(values: list[int], most: int) -> list[int]:
    """At most so many, the first and the last among them, evenly between."""
    if len(values) <= most:
        return values
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]
