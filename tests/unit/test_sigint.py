"""SIGINT at any moment of an exchange: ``KeyboardInterrupt`` is raised, and nothing stays open, mapped or locked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.interrupts import after_each_call
from tests.support.memory import open_segments
from tests.support.waiting import DEADLINE
from tfkernels import sigint
from tfkernels.sigint import finalizer, postponed
from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.segment_pool import pack, shared
from tfkernels.transfer.shared_memory import reader, writer


@pytest.fixture(autouse=True)
def _request() -> Iterator[None]:
    yield
    sigint.meant_for = None


def exchange() -> None:
    """Values of a kernel on the way to itself, twice through one segment."""
    for _ in range(2):
        with pack({"x": np.ones(10**5), "y": 1}) as lease:
            assert lease.descriptor is not None
            got = unpack(lease.descriptor)
            with writer.open_for_writing(lease.address):
                got["x"][0] = 2


def mapped() -> int:
    return Path("/proc/self/maps").read_text().count("memfd:tfkernels")


def test_an_interrupt_after_any_call_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange()
    # On a slow machine what a finalizer sends again comes before the exchange has ended: a second interrupt.
    monkeypatch.setattr(sigint, "_send_again", lambda meant: None)
    with ThreadPoolExecutor(1) as other:
        for number, raised in after_each_call(exchange):
            assert raised in (None, KeyboardInterrupt), f"call {number}"
            other.submit(shared.close).result(DEADLINE)  # takes the pool's lock
            for cache in (reader.cache, writer.cache):
                cache.clear()
            assert (open_segments(), mapped(), reader.views()) == (0, 0, 0), f"left after call {number}"


def test_an_interrupt_waits_for_the_end() -> None:
    done = []

    @postponed()
    def work() -> None:
        signal.raise_signal(signal.SIGINT)
        done.append(True)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done


def test_an_interrupt_waits_for_a_slow_finalizer(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Timer.start
    timers: list[threading.Timer] = []

    def started_slowly(timer: threading.Timer) -> None:
        start(timer)
        timers.append(timer)
        assert not timer.finished.wait(10 * sigint.RESEND_AFTER), "it was sent into the finalizer"

    monkeypatch.setattr(threading.Timer, "start", started_slowly)

    class Finalized:
        @finalizer
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        Finalized()
        timers[0].join(DEADLINE)

    with pytest.raises(KeyboardInterrupt):
        work()


def test_a_finalizers_interrupt_comes_later_for_its_request(monkeypatch: pytest.MonkeyPatch) -> None:
    timers: list[Any] = []
    monkeypatch.setattr(threading.Timer, "start", lambda timer: timers.append(timer))

    class Finalized:
        @finalizer
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)
            ended.append(True)

    ended: list[bool] = []
    for _ in range(2):
        Finalized()
    assert len(ended) == 2
    ours, late = timers
    with pytest.raises(KeyboardInterrupt):
        ours.function(*ours.args)
    sigint.meant_for = object()
    late.function(*late.args)
