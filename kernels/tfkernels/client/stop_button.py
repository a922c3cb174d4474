"""Cells in the foreground: their output in this thread, and the stop button for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any

from tfkernels.client.cell import Cell
from tfkernels.errors import CellCancelled
from tfkernels.sigint import redirected

# Seconds
START_NOTICE_AFTER = 1.0  # until the user reads that a kernel is starting
POLL_INTERVAL = 0.5  # between two looks at the clock while no output comes
INTERRUPT_GRACE = 5.0  # that a cell has to react to an interrupt before another one ends its kernel

INTERRUPT_IGNORED = "Kernel {kernel} ignored the interrupt. Interrupt again to {effect}.\n"


def run_in_foreground(cells: Iterable[Cell]) -> list[Cell]:
    """Submits cells and shows their output in this thread until all have ended. Call ``result`` of each afterwards.

    Meanwhile the stop button raises nothing here; it interrupts all of them. Raises ``KeyboardInterrupt`` if one was
    stopped before it ran, or if the stop button came too late for all. After an error here, none is left running.
    """
    foreground = _Foreground()
    submitted = foreground.cells
    with redirected(foreground.press):  # before the first is made: no interrupt can lose a cell, or its memory
        try:
            for cell in cells:
                submitted.append(cell)
                cell.submit(foreground.inbox)
            foreground.show_until_ended()
        except BaseException:
            for cell in submitted:
                cell.detach()
            raise
    cancelled = [cell for cell in submitted if cell.began is None and isinstance(cell.exception(), CellCancelled)]
    if cancelled or foreground.stop_pending:
        for cell in submitted:
            cell.drop()
        raise KeyboardInterrupt(*(str(cell.exception()) for cell in cancelled[:1]))
    return submitted


class _Foreground:
    """Cells that one thread waits for.

    The first press of the stop button interrupts them; one that comes after the grace period kills their kernels.
    """

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        """``(cell, messages)``, at a cell's end ``(cell, None)``, and ``None`` to wake the thread."""
        self._since = time.monotonic()
        self._notice_due = True
        self._notices: dict[Cell, Callable[[], None]] = {}  # that a cell's kernel is starting; the value takes it back
        self._presses = self._handled = 0
        self._first_press = 0.0
        self._warned = False

    def show_until_ended(self) -> None:
        running = list(self.cells)
        try:
            while running:
                self._act(running)
                items = self._take()
                self._update_notices()
                for (cell, ended), group in groupby(items, lambda item: (item[0], item[1] is None)):
                    if ended:
                        running.remove(cell)
                        cell.show_end()
                    elif cell.connection.show(cell, [message for _, messages in group for message in messages]):
                        self.press()
                        self._act(running)  # before another one asks
        finally:
            for take_back in self._notices.values():
                take_back()

    def _take(self) -> list[Any]:
        """The items of the inbox; waits for one."""
        items = []
        with suppress(Empty):
            items.append(self.inbox.get(timeout=POLL_INTERVAL))
            while True:
                items.append(self.inbox.get_nowait())
        return [item for item in items if item is not None]

    def _update_notices(self) -> None:
        """Shows, once, which kernels are starting; each notice is taken back when its kernel is ready."""
        if self._notice_due and time.monotonic() - self._since > START_NOTICE_AFTER:
            self._notice_due = False
            waiting = [cell for cell in self.cells if not cell.connection.ready.is_set()]
            self._notices = {cell: cell.relay.starting(cell.kernel) for cell in waiting}
        for cell in [cell for cell in self._notices if cell.connection.ready.is_set()]:
            self._notices.pop(cell)()

    @property
    def stop_pending(self) -> bool:
        return self._handled < self._presses

    def press(self, *_: Any) -> None:
        """Runs in a signal handler: it may take no lock."""
        self._first_press = self._first_press or time.monotonic()
        self._presses += 1
        self.inbox.put(None)

    def _act(self, cells: list[Cell]) -> None:
        late = self._presses > 0 and time.monotonic() - self._first_press > INTERRUPT_GRACE
        if self.stop_pending:
            self._handled = self._presses
            for cell in cells:
                cell.connection.kill() if late else cell.interrupt()
        elif late and not self._warned:
            self._warned = True
            for cell in cells:
                effect = cell.connection.second_interrupt
                cell.relay.stream("stderr", INTERRUPT_IGNORED.format(kernel=cell.kernel, effect=effect))
