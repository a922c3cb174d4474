"""SIGINT, the signal of the stop button, where ``KeyboardInterrupt`` would lose something. Python 3.6 and newer.

Python raises it after any call: a descriptor that was just opened is then in no variable yet. Only the main thread gets
signals and may set their handlers; in other threads nothing changes here.
"""

import functools
import os
import signal
import sys
import threading
import time
import typing
from contextlib import contextmanager

RESEND_AFTER = 0.01
"""Seconds from an interrupt in a finalizer to the next one."""

meant_for: object = None
"""The request that a kernel handles now: an interrupt of one is none of the next."""


@contextmanager
def redirected(handler: typing.Callable[..., typing.Any]) -> typing.Iterator[None]:
    """SIGINT calls ``handler`` instead of raising ``KeyboardInterrupt`` in the middle of the code here.

    A handler that is not Python's could not be restored, and raises nothing: it stays.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    previous = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


@contextmanager
def postponed() -> typing.Iterator[None]:
    """SIGINT takes effect at the end; also a decorator. What is opened here has its owner by then."""
    pressed: typing.List[bool] = []
    try:
        with redirected(lambda *_: pressed.append(True)):
            yield
    finally:
        if pressed:
            os.kill(os.getpid(), signal.SIGINT)


def finalizer(method: typing.Callable[..., None]) -> typing.Callable[..., None]:
    """Decorates a finalizer: an interrupt in it, which would end it and which Python drops, is sent again later."""

    @functools.wraps(method)
    def run(*args: typing.Any) -> None:
        pressed, done = [], False
        while not done:
            try:
                with redirected(lambda *_: pressed.append(True)):
                    method(*args)
                    done = True
            except KeyboardInterrupt:  # just before the handler was there, or just after
                pressed.append(True)
        if pressed:
            threading.Timer(RESEND_AFTER, _send_again, (meant_for,)).start()

    return run


def _send_again(meant: object) -> None:
    while _main_thread_is_in_a_finalizer():  # where Python would drop it again; a slow machine can take longer
        time.sleep(RESEND_AFTER)
    if meant is meant_for:
        os.kill(os.getpid(), signal.SIGINT)


def _main_thread_is_in_a_finalizer() -> bool:
    frame = sys._current_frames().get(threading.main_thread().ident or 0)  # noqa: SLF001 (documented)
    while frame is not None:
        if frame.f_code is _FINALIZER:
            return True
        frame = frame.f_back
    return False


_FINALIZER = finalizer(lambda *_: None).__code__  # that of ``run``, which all finalizers have
