"""Interrupts (SIGINT) in the kernel that is called: they reach the code of a cell, and not IPython around it.

An interrupt waits until that code begins. See docs/design/kernel-side.md.
"""

import asyncio
import functools
import signal
import threading
import typing
from contextlib import contextmanager, suppress

from tfkernels import sigint


class Interrupts:
    """SIGINT in a kernel's main thread, while it handles a request."""

    def __init__(self, shell: typing.Any) -> None:
        self._pending = self._wakes_loop = False
        shell.user_expressions = self.allowed()(shell.user_expressions)
        native = shell.run_code

        @functools.wraps(native)
        async def run_code(*args: typing.Any, **options: typing.Any) -> typing.Any:
            with self.allowed():
                return await native(*args, **options)

        shell.run_code = run_code  # only from within it does IPython show an interrupt and count the cell

    def wake_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes signals wake the event loop, so that a cell that awaits is interrupted at once.

        The handler is for SIGURG, which means nothing: see ``_check_times`` in ``client.connection``.
        """
        if self._wakes_loop or not _in_main_thread():
            return
        self._wakes_loop = True
        # A loop of another kind, such as Qt's, may take no signal handlers, and the system may refuse one. The cell
        # still runs then; an interrupt only waits until the loop wakes by itself.
        with suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(signal.SIGURG, lambda: None)
            signal.siginterrupt(signal.SIGURG, True)

    @contextmanager
    def deferred(self) -> typing.Iterator[None]:
        """Defers interrupts until ``allowed`` begins, and drops those that come after its end: they are too late."""
        if not _in_main_thread() or signal.getsignal(signal.SIGINT) is None:  # set in C: Python could not set it again
            yield
            return
        self._pending, sigint.meant_for = False, object()
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
        # Not in a cell with `await`, which ipykernel cancels itself, nor in a subshell.
        deferred = _in_main_thread() and signal.getsignal(signal.SIGINT) == self._defer
        try:
            if deferred:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            pending, self._pending = self._pending, False
            if pending:
                raise KeyboardInterrupt
            yield
        finally:
            if deferred:
                signal.signal(signal.SIGINT, self._defer)

    def _defer(self, *_: object) -> None:
        self._pending = True


def _in_main_thread() -> bool:
    """Whether signals arrive here; in the thread of a subshell they do not."""
    return threading.current_thread() is threading.main_thread()
