"""Waiting for cells of other kernels: their output in this thread, and the stop button for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from tfkernels.client import signals
from tfkernels.client.cell import LOOK, Cell
from tfkernels.errors import CellCancelled

if TYPE_CHECKING:
    from tfkernels.protocol import Message

PATIENCE = 1.0
"""Seconds until the user is told that a kernel is starting."""


class Stop:
    """How often the user pressed the stop button, and what is still to be done about it."""

    def __init__(self) -> None:
        self.presses = self.seen = 0
        self.first = 0.0
        self.warned = False

    @property
    def pending(self) -> bool:
        return self.seen < self.presses

    def press(self) -> None:
        if self.presses == 0:
            self.first = time.monotonic()
        self.presses += 1

    def act(self, calls: Sequence[Cell]) -> None:
        late = self.presses > 0 and time.monotonic() - self.first > signals.REACTION
        if self.pending:
            self.seen = self.presses
            for call in calls:
                call.kill() if late else call.interrupt()
        elif late and not self.warned:
            self.warned = True
            for call in calls:
                call.show.stream(
                    "stderr",
                    f"kernel {call.kernel} does not react to the interrupt; another one {call.last_resort}\n",
                )


class _Starts:
    """Says which kernels are starting, and takes it back when they are there."""

    def __init__(self, calls: Sequence[Cell]) -> None:
        self._since = time.monotonic()
        self._waiting = [call for call in calls if not call.reachable]
        self._told: list[Cell] = []

    def tell(self) -> None:
        if not self._waiting and not self._told:
            return
        for call in [call for call in self._told if call.reachable]:
            self._told.remove(call)
            call.show.started(call.kernel)
        self._waiting = [call for call in self._waiting if not call.reachable]
        if time.monotonic() - self._since > PATIENCE:
            for call in self._waiting:
                call.show.starting(call.kernel)
            self._told += self._waiting
            self._waiting = []

    def close(self) -> None:
        for call in self._told:
            call.show.started(call.kernel)


@contextmanager
def stoppable(inbox: SimpleQueue[Any]) -> Iterator[Stop]:
    """Here the stop button raises nothing; it counts, and wakes whoever attends to the ``inbox``.

    Begin it before a cell is submitted: an interrupt in between would leave one that nobody attends to.
    """
    stop = Stop()

    def press() -> None:  # in a signal handler: no lock may be wanted here
        stop.press()
        inbox.put(None)

    with signals.redirected(press):
        yield stop


def attend(calls: Sequence[Cell], inbox: SimpleQueue[Any], stop: Stop) -> None:
    """Shows in this thread, in order, what comes into the ``inbox`` that the calls share, until all have ended.

    The stop button reaches all of them. Look at each one's ``result`` afterwards. Raises ``KeyboardInterrupt`` if one
    was stopped before its turn came, or if the stop button came too late for all of them.
    """
    running = list(calls)
    starts = _Starts(calls)
    try:
        while running:
            stop.act(running)
            items = _next(inbox)
            starts.tell()
            for call, messages in items:
                if messages is None:
                    running.remove(call)
                    call.show_last()
                elif call.handle(messages):
                    stop.press()
                    stop.act(running)  # before another one asks
    except BaseException:
        for call in calls:
            call.detach()
        raise
    finally:
        starts.close()
    cancelled = [call for call in calls if call.began is None and isinstance(call.exception(), CellCancelled)]
    if cancelled or stop.pending:
        for call in calls:
            call.close()  # nobody will ask for what it brought
        raise KeyboardInterrupt(*(str(call.exception()) for call in cancelled[:1]))


def _next(inbox: SimpleQueue[Any]) -> list[tuple[Cell, list[Message] | None]]:
    """What is there, at least one thing unless nothing comes; the messages of one call together."""
    items: list[tuple[Cell, list[Message] | None]] = []
    try:
        item = inbox.get(timeout=LOOK)
        while item is not None:
            call, messages = item
            if messages is not None and items and items[-1][0] is call and items[-1][1] is not None:
                items[-1] = (call, items[-1][1] + messages)
            else:
                items.append(item)
            item = inbox.get_nowait()
    except Empty:
        pass
    return items
