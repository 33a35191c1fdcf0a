"""Asking a captioner about many pictures: threads prepare them ahead of the model, in batches that fit the memory.

One picture that can't be described never ends a run; a model that can't describe any does."""

from __future__ import annotations

import gc
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioners.base import Captioner, CaptionerError, Said
from captioners.gate import objection
from dataset.pictures import PictureError
from jobs.failures import out_of_memory

PATIENCE = 5  # pictures in a row that a captioner fails at before the run is given up: an endpoint that went away
UNUSABLE = (OSError, ValueError, ArithmeticError, IndexError, TypeError, MemoryError)  # of code that handles pictures


@dataclass(frozen=True)
class Silence:
    """Why there is no answer for a picture; clauses to stand after its name."""

    reason: str
    fix: str


Answer = Said | Silence


@dataclass
class Asker:
    """Asks one captioner. `size` is the number of pictures at once, and becomes smaller where memory runs out."""

    captioner: Captioner
    size: int
    warn: Callable[[str], None]
    failed: int = 0  # pictures in a row

    def answers(self, batch: Sequence[Any]) -> list[Answer]:
        """What it says of prepared pictures, in their order; judged, and asked once more where that was no caption."""
        answers = self.ask(batch, 0)
        if self.captioner.says != "caption":
            return answers
        prompt = getattr(self.captioner.options, "prompt", "")
        objections = [objection(answer.text, prompt) if isinstance(answer, Said) else "" for answer in answers]
        doubtful = [index for index, why in enumerate(objections) if why]
        for index, again in zip(doubtful, self.ask([batch[index] for index in doubtful], 1), strict=True):
            why = objection(again.text, prompt) if isinstance(again, Said) else ""
            answers[index] = unfit(again, why) if why else again
        return answers

    def ask(self, batch: Sequence[Any], attempt: int) -> list[Answer]:
        answers: list[Answer] = []
        while len(answers) < len(batch):
            part = batch[len(answers) : len(answers) + self.size]
            said = self._say(part, attempt)
            if said is None and len(part) == 1:
                answers.append(Silence("there is not enough memory even for this picture alone",
                                       "choose a smaller model, or compute on the CPU (run.device)"))
            elif said is None:
                self.size = len(part) // 2
                self.warn(f"not enough memory for {len(part)} pictures at once; going on with {self.size}")
            else:
                answers += said
        return answers

    def _say(self, part: Sequence[Any], attempt: int) -> list[Answer] | None:
        """None: the memory was not enough for these."""
        try:
            said = self.captioner.say(part, attempt)
        except Exception as error:  # noqa: BLE001  kept only if it is about memory, or about a single picture
            if not out_of_memory(error):
                return self._one_by_one(part, attempt, error)
        else:
            self.failed = 0
            if len(said) != len(part):
                raise RuntimeError(f"{self.captioner.name} gave {len(said)} answers for {len(part)} pictures")
            return list(said)
        free_memory()  # out here, where the error and what it holds are gone
        return None

    def _one_by_one(self, part: Sequence[Any], attempt: int, error: Exception) -> list[Answer]:
        """One odd picture must not take the others with it; an error that comes with every picture is raised."""
        if len(part) > 1:
            return [answer for one in part for answer in self.ask([one], attempt)]
        self.failed += 1
        if self.failed >= PATIENCE:
            raise error
        said = str(error) if isinstance(error, CaptionerError) else f"{type(error).__name__}: {error}"
        return [Silence(f"{self.captioner.label} can't describe it: {said}", "try another captioner, or run again")]


def unfit(said: Said, why: str) -> Silence:
    text = (said.raw or said.text).strip()
    shown = f" ({text[:100]}{'…' * (len(text) > 100)})" if text else ""
    return Silence(f"the answer {why}, twice{shown}", "try other settings or another captioner, or write this one")


def prepared(paths: Iterable[Path], prepare: Callable[[Path], Any], workers: int,
             size: Callable[[], int]) -> Iterator[list[tuple[Path, Any]]]:
    """Batches of (path, what `prepare` made of it, or why it made nothing: Silence), in order. `size()` pictures that
    can be used make a batch; as many more are prepared meanwhile."""
    coming: deque[tuple[Path, Future[Any]]] = deque()
    waiting = iter(paths)
    threads = ThreadPoolExecutor(workers, "prepare")
    try:
        batch: list[tuple[Path, Any]] = []
        while True:
            while len(coming) < size() + workers and (path := next(waiting, None)) is not None:
                coming.append((path, threads.submit(attempt, prepare, path)))
            if not coming:
                break
            path, future = coming.popleft()
            batch.append((path, future.result()))
            if sum(not isinstance(item, Silence) for _, item in batch) >= size():
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        threads.shutdown(cancel_futures=True)


def attempt(prepare: Callable[[Path], Any], path: Path) -> Any:
    try:
        return prepare(path)
    except PictureError as error:
        return Silence(error.reason, error.fix)
    except CaptionerError as error:
        return Silence(str(error), "run again for what is left")
    except UNUSABLE as error:
        return Silence(f"it can't be prepared ({type(error).__name__}: {error})", "save it anew, or leave it out")


def free_memory() -> None:
    """Give back what a model or a batch that is gone has held, also on the graphics card."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
