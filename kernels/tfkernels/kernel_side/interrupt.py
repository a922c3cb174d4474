"""Interrupts (SIGINT) in the kernel that is called: they reach the code of a cell, and not IPython around it.

An interrupt waits until that code begins. See docs/design/kernel-side.md.
"""

import asyncio
import functools
import signal
import threading
import typing
from contextlib import contextmanager, suppress


def _ignore() -> None:
    """Handles a signal that programs ignore by default."""


class Interrupts:
    """SIGINT in a kernel's main thread, while it handles a request."""

    def __init__(self, shell: typing.Any) -> None:
        self._pending = self._wakes_loop = False
        # Only from within run_code does IPython show an interrupt and count the cell.
        shell.run_code = self._interruptible(shell.run_code)
        evaluate = shell.user_expressions

        def user_expressions(expressions: typing.Any) -> typing.Any:
            with self.allowed():
                return evaluate(expressions)

        shell.user_expressions = user_expressions

    def wake_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes signals wake the event loop, so that a cell that awaits is interrupted at once.

        The handler is for SIGURG, which means nothing: see ``_check_times`` in ``client.connection``.
        """
        if self._wakes_loop or threading.current_thread() is not threading.main_thread():
            return
        self._wakes_loop = True
        # asyncio's errors for a loop that takes no signal handlers, and for a signal that is taken
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(signal.SIGURG, _ignore)
            signal.siginterrupt(signal.SIGURG, True)

    @contextmanager
    def deferred(self) -> typing.Iterator[None]:
        """Defers interrupts until ``allowed`` begins, and drops those that come after its end: they are too late."""
        if threading.current_thread() is not threading.main_thread():  # a subshell: signals do not arrive there
            yield
            return
        self._pending = False
        previous = signal.signal(signal.SIGINT, self._defer)
        try:
            yield
        finally:
            # ipykernel removes its own handler, which raises, at the end of the request.
            if previous is not signal.default_int_handler:
                signal.signal(signal.SIGINT, previous)

    @contextmanager
    def allowed(self) -> typing.Iterator[None]:
        """Lets interrupts raise ``KeyboardInterrupt``, including a deferred one."""
        if signal.getsignal(signal.SIGINT) != self._defer:  # a cell with `await`, which ipykernel cancels itself
            self._raise_pending()
            yield
            return
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._raise_pending()
            yield
        finally:
            signal.signal(signal.SIGINT, self._defer)

    def _raise_pending(self) -> None:
        pending, self._pending = self._pending, False
        if pending:
            raise KeyboardInterrupt

    def _defer(self, *_: object) -> None:
        self._pending = True

    def _interruptible(self, method: typing.Any) -> typing.Any:
        @functools.wraps(method)
        async def run(*args: typing.Any, **options: typing.Any) -> typing.Any:
            with self.allowed():
                return await method(*args, **options)

        return run
