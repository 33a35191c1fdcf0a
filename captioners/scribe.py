"""Writes down what captioners say, in a thread of its own, so that a model never waits for a disk: answers, captions,
and what there is to tell about them."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from captioners import captioners
from captioners.answers import Answers, Lines, Stamp
from captioners.asking import Silence
from captioners.base import Said
from captioners.config import Captioning
from captioners.join import joined, with_trigger
from dataset.caption_files import CaptionStore, combined
from dataset.files import FileError
from dataset.problem import Problem
from jobs.events import EventWriter

AHEAD = 256  # tasks that may wait; more, and the model waits for the disk after all
OFTEN = 0.5  # seconds between two lines of progress
COUNTED = ("written", "same", "kept", "failed")


@dataclass
class Pass:
    """How far one captioner has come."""

    captioner: str
    number: int
    passes: int
    total: int
    done: int  # with those of an earlier attempt
    began: float = field(default_factory=time.monotonic)  # when the model was ready
    now: int = 0  # done since

    def values(self) -> dict[str, Any]:
        rate = self.now / max(1e-6, time.monotonic() - self.began)
        eta = round((self.total - self.done) / rate, 1) if rate else None
        return {"captioner": self.captioner, "pass": self.number, "passes": self.passes, "done": self.done,
                "total": self.total, "img_s": round(rate, 2), "eta": eta}


class Scribe:
    """`tell`, `said` and `silent` return at once; an error of their work is raised by a later call, or by `close`."""

    def __init__(self, folder: Path, config: Captioning, befores: dict[Path, str], stores: dict[Path, CaptionStore]):
        self.config = config
        self.failed: set[Path] = set()
        self._befores = befores  # picture -> its caption before the job began
        self._stores = stores  # picture -> what keeps its captions
        self._events = EventWriter(folder / "events.jsonl")
        self._written = Lines(folder / "written.jsonl")
        self._earlier = {picture for picture in self._written if picture in stores and self._stands(picture)}
        self.count = Counter(self._written[picture]["outcome"] for picture in self._earlier)
        self._answers = {name: Answers(folder / "answers" / f"{name}.jsonl") for name in config.captioners}
        self._thread = ThreadPoolExecutor(1, "scribe")
        self._tasks: deque[Future[None]] = deque()
        self._pass: Pass | None = None
        self._told = 0.0

    def answers(self, name: str) -> Answers:
        """What a captioner said in this job, also in earlier attempts. To be read after `wait` only."""
        return self._answers[name]

    def done(self, picture: Path) -> bool:
        """Whether its caption was dealt with by an earlier attempt."""
        return picture in self._earlier

    def begin(self, work: Pass) -> None:
        self._do(self._begin, work)

    def tell(self, kind: str, **values: Any) -> None:
        """An event."""
        self._do(self._events.write, kind, **values)

    def said(self, name: str, picture: Path, seen: Stamp, said: Said) -> None:
        """A new answer: it is kept, and the last captioner's makes the caption."""
        self._do(self._said, name, picture, seen, said)

    def write(self, picture: Path) -> None:
        """Make the caption of a picture of which everything was said in an earlier attempt."""
        self._do(self._write, picture)

    def silent(self, picture: Path, why: Silence) -> None:
        """There is no answer for a picture, and so no caption."""
        self._do(self._silent, picture, why)

    def wait(self) -> None:
        """Until all is written that was asked for, and the progress is told."""
        self._do(self._progress, True)
        while self._tasks:
            self._tasks.popleft().result()

    def last(self, kind: str, remarks: Iterable[Problem], **values: Any) -> None:
        """The job's last word, with the numbers of all attempts; after `close`."""
        for one in remarks:
            self._events.write("warning", message=f"{one.path}: {one.reason}; {one.fix}")
        self._events.write(kind, **{name: self.count[name] for name in COUNTED}, **values)

    def close(self) -> None:
        """End, also after an error; what could be written is in the files."""
        self._thread.shutdown()
        for file in (self._written, *self._answers.values()):
            file.close()

    def _stands(self, picture: Path) -> bool:
        """Whether what an earlier attempt wrote came to the disk (a table may have waited), and wasn't undone."""
        same = self._written[picture]["outcome"] == "same"
        return same or self._stores[picture].before(picture) != self._befores[picture]

    def _do(self, work: Callable[..., None], *arguments: Any, **named: Any) -> None:
        while self._tasks and (self._tasks[0].done() or len(self._tasks) >= AHEAD):
            self._tasks.popleft().result()
        self._tasks.append(self._thread.submit(work, *arguments, **named))

    def _begin(self, work: Pass) -> None:
        self._pass = work

    def _said(self, name: str, picture: Path, seen: Stamp, said: Said) -> None:
        self._answers[name].keep(picture, seen, said)
        if name == self.config.captioners[-1]:
            self._write(picture)
        else:
            self._events.write("said", picture=str(picture), captioner=name, text=said.text)
        self._step()

    def _write(self, picture: Path) -> None:
        before = self._befores[picture]
        answers = {name: self._answers[name].said(picture) for name in self.config.captioners}
        texts = {name: said.text if said else "" for name, said in answers.items()}
        rating = next((tag.name for said in answers.values() if said for tag in said.tags if tag.category == "rating"),
                      "")
        text = caption(self.config, parts(picture, texts, rating, before), before)
        if not text or not any(said.strip() for said in texts.values()):
            return self._fail(picture, Silence("nothing was said of it", "try other settings or another captioner"))
        try:
            outcome = self._put(picture, text, before)
        except FileError as error:
            return self._fail(picture, Silence(f"its caption can't be written: {error.reason}", error.fix))
        self.count[outcome if outcome in COUNTED else "written"] += 1
        self._events.write("caption", picture=str(picture), text=text, before=before, outcome=outcome)
        if outcome == "kept":
            self._events.write("problem", picture=str(picture), reason="its caption was changed by someone meanwhile",
                               fix="it was left as it is; run again to describe the picture")
        if not self.config.write.dry_run:
            self._written.add(picture, outcome=outcome)
        print(told(picture, before, text, outcome), flush=True)

    def _put(self, picture: Path, text: str, before: str) -> Literal["written", "same", "kept", "would write"]:
        if self.config.write.dry_run:
            return "same" if text == before else "would write"
        return self._stores[picture].put(picture, text, before)

    def _silent(self, picture: Path, why: Silence) -> None:
        self._fail(picture, why)
        self._step()

    def _fail(self, picture: Path, why: Silence) -> None:
        self.failed.add(picture)
        self.count["failed"] += 1
        self._events.write("problem", picture=str(picture), reason=why.reason, fix=why.fix)
        print(f"{picture.name}: {why.reason}; {why.fix}", flush=True)

    def _step(self) -> None:
        if self._pass:
            self._pass.done += 1
            self._pass.now += 1
            self._progress()

    def _progress(self, now: bool = False) -> None:
        if self._pass and (now or time.monotonic() - self._told >= OFTEN):
            self._told = time.monotonic()
            counts = {name: self.count[name] for name in ("written", "kept", "failed")}
            self._events.write("progress", **self._pass.values(), **counts)


def told(picture: Path, before: str, text: str, outcome: str) -> str:
    """What the log says of a caption; of one that would replace another, both."""
    if outcome == "would write" and before:
        return f"{picture.name}\n  - {before}\n  + {text}"
    return f"{picture.name}: {text}" if outcome != "kept" else f"{picture.name}: kept as it is"


def parts(picture: Path, texts: dict[str, str], rating: str, before: str) -> dict[str, str]:
    """What can be a field of the template: captioners by name, and what they are together."""
    kinds = captioners()
    together = {kind: ", ".join(text for name, text in texts.items() if text and kinds[name].says == kind)
                for kind in ("tags", "caption")}
    place = {"existing": before, "name": picture.stem, "directory": picture.parent.name}
    return place | together | {"rating": rating} | texts  # a captioner's own name comes first: {existing}


def caption(config: Captioning, fields: dict[str, str], before: str) -> str:
    """A picture's new caption: what was said, joined and put together with what was there."""
    template = config.template or ", ".join(f"{{{name}}}" for name in dict.fromkeys(config.captioners))
    placed = "{trigger}" in template
    new = joined(template, fields, config.trigger if placed else "")
    text = combined(before, new, config.write.mode, config.write.separator)
    return text if placed else with_trigger(text, config.trigger)
