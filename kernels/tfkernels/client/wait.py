"""Running cells in the foreground: their output in this thread, and the stop button for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from tfkernels.client import signals
from tfkernels.client.cell import Cell
from tfkernels.errors import CellCancelled
from tfkernels.protocol import Message

START_NOTICE_AFTER = 1.0
"""Seconds until the user reads that a kernel is starting."""

POLL_INTERVAL = 0.5
"""Seconds between two looks at the clock while no output comes."""

INTERRUPT_IGNORED = "Kernel {kernel} ignored the interrupt. Interrupt again to {effect}.\n"


def run_in_foreground(cells: Iterable[Cell]) -> list[Cell]:
    """Submits cells and shows their output in this thread until all have ended. Call ``result`` of each afterwards.

    Meanwhile the stop button raises nothing here; it interrupts all of them. Raises ``KeyboardInterrupt`` if one was
    stopped before it ran, or if the stop button came too late for all. After an error here, none is left running.
    """
    inbox: SimpleQueue[Any] = SimpleQueue()
    stop = StopButton(inbox)
    submitted: list[Cell] = []
    with signals.redirected(stop.press):  # before the first is submitted: no interrupt can lose a cell that runs
        try:
            for cell in cells:
                submitted.append(cell)
                cell.submit(inbox)
            _show_until_ended(submitted, inbox, stop)
        except BaseException:
            for cell in submitted:
                cell.detach()
            raise
    cancelled = [cell for cell in submitted if cell.began is None and isinstance(cell.exception(), CellCancelled)]
    if cancelled or stop.pending:
        for cell in submitted:
            cell.drop()
        raise KeyboardInterrupt(*(str(cell.exception()) for cell in cancelled[:1]))
    return submitted


def _show_until_ended(cells: Sequence[Cell], inbox: SimpleQueue[Any], stop: StopButton) -> None:
    running = list(cells)
    notices = StartNotices(cells)
    try:
        while running:
            stop.act(running)
            items = _take(inbox)
            notices.update()
            for cell, messages in items:
                if messages is None:
                    running.remove(cell)
                    cell.connection.show_end(cell)
                elif cell.connection.show(cell, messages):
                    stop.press()
                    stop.act(running)  # before another one asks
    finally:
        notices.close()


def _take(inbox: SimpleQueue[Any]) -> list[tuple[Cell, list[Message] | None]]:
    """The items that are there, at least one unless nothing comes; neighbours of one cell are joined."""
    items: list[tuple[Cell, list[Message] | None]] = []
    try:
        item = inbox.get(timeout=POLL_INTERVAL)
        while item is not None:
            cell, messages = item
            if messages is not None and items and items[-1][0] is cell and items[-1][1] is not None:
                items[-1] = (cell, items[-1][1] + messages)
            else:
                items.append(item)
            item = inbox.get_nowait()
    except Empty:
        pass
    return items


class StopButton:
    """Presses of the stop button: the first interrupts; one that comes after the grace period kills the kernels."""

    def __init__(self, inbox: SimpleQueue[Any]) -> None:
        self._inbox = inbox
        self._presses = self._handled = 0
        self._first = 0.0
        self._warned = False

    @property
    def pending(self) -> bool:
        return self._handled < self._presses

    def press(self) -> None:
        """Runs in a signal handler: it may take no lock."""
        if self._presses == 0:
            self._first = time.monotonic()
        self._presses += 1
        self._inbox.put(None)  # wakes the thread that waits

    def act(self, cells: Sequence[Cell]) -> None:
        late = self._presses > 0 and time.monotonic() - self._first > signals.INTERRUPT_GRACE
        if self.pending:
            self._handled = self._presses
            for cell in cells:
                cell.kill() if late else cell.interrupt()
        elif late and not self._warned:
            self._warned = True
            for cell in cells:
                effect = cell.connection.second_interrupt
                cell.relay.stream("stderr", INTERRUPT_IGNORED.format(kernel=cell.kernel, effect=effect))


class StartNotices:
    """Notices that kernels are starting; each is taken back when its kernel is ready."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._since = time.monotonic()
        self._waiting = [cell for cell in cells if not cell.connection.ready.is_set()]
        self._shown: list[Cell] = []

    def update(self) -> None:
        for cell in [cell for cell in self._shown if cell.connection.ready.is_set()]:
            self._shown.remove(cell)
            cell.relay.started(cell.kernel)
        self._waiting = [cell for cell in self._waiting if not cell.connection.ready.is_set()]
        if self._waiting and time.monotonic() - self._since > START_NOTICE_AFTER:
            for cell in self._waiting:
                cell.relay.starting(cell.kernel)
            self._shown += self._waiting
            self._waiting = []

    def close(self) -> None:
        for cell in self._shown:
            cell.relay.started(cell.kernel)
