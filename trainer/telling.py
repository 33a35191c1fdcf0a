"""The three ways in which a run says something: an event, a line in the log, scalars for TensorBoard.

A full disk takes none of them, and ends nothing: what is learnt is worth more than what is told of it. Once there is
room again, it is said that something is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.events import EventWriter
from jobs.failures import disk_full

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Telling:
    """`speaks`: of several processes one does; in the others nothing is said."""

    def __init__(self, events: Path, speaks: bool):
        self.speaks = speaks
        self._events = EventWriter(events)
        self._board: SummaryWriter | None = None
        self._missing = False

    def event(self, kind: str, **values: Any) -> None:
        if not self.speaks:
            return
        with self._as_far_as_it_fits():
            if self._missing:
                self._events.write("warning", message="the disk was full: some of what this run had to say is missing")
                self._missing = False
            self._events.write(kind, **values)

    def line(self, text: str) -> None:
        if self.speaks:
            with self._as_far_as_it_fits():
                print(text, flush=True)

    def open_board(self, folder: Path, step: int) -> None:
        """Scalars go there from now on; those after `step` that an earlier process has left there count no more."""
        from torch.utils.tensorboard import SummaryWriter

        with self._as_far_as_it_fits():
            self._board = SummaryWriter(folder, purge_step=step + 1 if step else None)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._board is None:
            return
        board, self._board = self._board, None  # one that has met a full disk once writes nothing any more
        with self._as_far_as_it_fits():
            for name, value in values.items():
                board.add_scalar(name, value, step)
            self._board = board

    def last_word(self, kind: str, **values: Any) -> None:
        """How the run ended. Raises OSError where even that can't be written: then it may go on from its state."""
        if not self.speaks:
            return
        if self._board:
            with self._as_far_as_it_fits():
                self._board.close()
        self._events.write(kind, **values)

    @contextmanager
    def _as_far_as_it_fits(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not disk_full(error):
                raise
            self._missing = True
