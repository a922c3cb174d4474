"""The stop button interrupts the code of a cell, and not what IPython does around it.

A ``KeyboardInterrupt`` in a callback of IPython is printed and forgotten, and the cell runs all the same; one while the
history is written moves the history to a new session; in one of ipykernel's before that it is lost, too. Here an
interrupt waits until the cell's own code begins.
"""

import asyncio
import functools
import os
import signal
import threading
import typing
from contextlib import contextmanager, suppress


def _nothing() -> None:
    """The signal is ignored, as it is by default."""


class StopButton:
    """SIGINT in a kernel's main thread, while a request is handled."""

    def __init__(self, shell: typing.Any) -> None:
        self._pressed = self._listens = False
        # Not around more: only from within it does IPython show an interrupt and count the cell.
        shell.run_code = self._interruptible(shell.run_code)
        evaluate = shell.user_expressions

        def user_expressions(expressions: typing.Any) -> typing.Any:
            with self.reaching():
                return evaluate(expressions)

        shell.user_expressions = user_expressions

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """To a signal that means nothing, and ends what an interrupt does not: see ``nudge`` in ``client.process``.

        A cell that awaits is cancelled by a callback, which sleeps with the loop: ipykernel takes the interrupt when
        something else happens. A loop with a signal handler, whichever it is, is woken by every signal.
        """
        if self._listens or os.name != "posix" or threading.current_thread() is not threading.main_thread():
            return
        self._listens = True
        # asyncio's words for a loop that takes no signal handlers, and for a signal that cannot be had. An interrupt is
        # as late as it is natively then, which is no reason not to run the cell.
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(signal.SIGURG, _nothing)
            signal.siginterrupt(signal.SIGURG, True)

    @contextmanager
    def waiting(self) -> typing.Iterator[None]:
        """An interrupt is kept until ``reaching`` begins, and forgotten when that has ended: it came too late."""
        if threading.current_thread() is not threading.main_thread():  # a subshell: signals do not arrive there
            yield
            return
        self._pressed = False
        previous = signal.signal(signal.SIGINT, self._press)
        try:
            yield
        finally:
            # ipykernel's own, which raises, goes at the end of the request; until then an interrupt is as late as here.
            if previous is not signal.default_int_handler:
                signal.signal(signal.SIGINT, previous)

    @contextmanager
    def reaching(self) -> typing.Iterator[None]:
        """An interrupt raises ``KeyboardInterrupt``, also one that came before."""
        if signal.getsignal(signal.SIGINT) != self._press:  # a cell with `await`, which ipykernel cancels itself
            self._raise_if_pressed()
            yield
            return
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._raise_if_pressed()
            yield
        finally:
            signal.signal(signal.SIGINT, self._press)

    def _raise_if_pressed(self) -> None:
        pressed, self._pressed = self._pressed, False
        if pressed:
            raise KeyboardInterrupt

    def _press(self, *_: object) -> None:
        self._pressed = True

    def _interruptible(self, method: typing.Any) -> typing.Any:
        @functools.wraps(method)
        async def run(*args: typing.Any, **options: typing.Any) -> typing.Any:
            with self.reaching():
                return await method(*args, **options)

        return run
