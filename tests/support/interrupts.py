"""Interrupts at every moment: the stop button, pressed after each call of a C function in turn."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


def after_each_call(work: Callable[[], object]) -> Iterator[tuple[int, type[BaseException] | None]]:
    """Runs the work again and again, and presses stop after the first call of this thread, then the second, …

    Returns the number of the call and the kind of the exception, until the work makes no more calls.
    """
    for number in itertools.count(1):
        left, raised = number, None  # not the exception itself: its frames would keep what the work had

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            nonlocal left
            if event == "c_return":
                left -= 1
                if left == 0:
                    signal.raise_signal(signal.SIGINT)

        sys.setprofile(profile)
        try:
            work()
        except BaseException as error:  # noqa: BLE001 (the test looks at it)
            raised = type(error)
        finally:
            sys.setprofile(None)
        if left > 0:
            assert number > 1, "the work makes no calls"
            return
        yield number, raised
