"""Shared memory: private, never a SIGBUS, nothing left behind; its system knows who looks into it."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import resource
import signal
import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.memory import descriptors, limited, send
from tests.support.waiting import DEADLINE
from tfkernels.errors import ExchangeError, NotPortable
from tfkernels.protocol import MESSAGE_FORMAT
from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage, join
from tfkernels.transfer.shared_memory import limits, writer
from tfkernels.transfer.shared_memory import segment as segments
from tfkernels.transfer.shared_memory.reader import read
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Segment, mappings_keep_locks, open_segment
from tfkernels.transfer.shared_memory.writer import write

MAPPED = np.ones(MIN_MAPPED_BYTES, np.uint8)
"""So large that it is looked at where it lies."""


@pytest.fixture(params=["anonymous", "unlinked", "named"])
def segment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Segment]:
    """All kinds: Linux's, where that makes no anonymous memory files, and where there is no ``/proc`` either."""
    if request.param != "anonymous":
        monkeypatch.setattr(segments, "_anonymous_file", lambda: None)
    if request.param == "named":
        monkeypatch.setattr(segments, "_leads_to", lambda path, file: False)
    with Segment() as made:
        yield made


@pytest.mark.parametrize("count", [0, 10, 200_000, 6_000_000])
@pytest.mark.parametrize("times", [1, 2], ids=["fresh", "used-again"])
def test_values_arrive_independent_and_outlive_the_segment(segment: Segment, count: int, times: int) -> None:
    array = np.arange(count, dtype="f4")
    small = {str(number): np.full(number, number, "u2") for number in range(300)}
    for _ in range(times):
        array[:] = np.arange(count)
        there = send({"x": array, "y": [1, "a"], "small": small, "last": array[::-1]}, segment)
        array[:] = -1
        assert there["y"] == [1, "a"]
        assert np.array_equal(there["x"], np.arange(count))
        assert np.array_equal(there["last"], np.arange(count)[::-1])
        there["x"] += 1
        assert np.array_equal(there["x"], np.arange(count) + 1)
        assert all(np.array_equal(there["small"][name], small[name]) for name in small)
        if times > 1:
            del there
    segment.close()
    if times == 1:
        assert np.array_equal(there["x"], np.arange(count) + 1)


def test_memory_is_aligned_for_tensorflow(segment: Segment) -> None:
    for size in (100_000, MIN_MAPPED_BYTES):
        write(segment.descriptor, [(0, bytes(size))])
        assert read(segment.address, size)[0].ctypes.data % 64 == 0


def test_segments_are_nameless_where_possible(segment: Segment) -> None:
    path = segment.address["path"]
    if path.startswith("/proc"):
        assert os.readlink(path).endswith("(deleted)"), "it has no name that could be left behind"
    assert os.fstat(segment.descriptor).st_mode & 0o777 == 0o600
    segment.close()
    segment.close()
    assert not Path(path).exists()


def test_no_room_is_an_error_and_no_signal(segment: Segment) -> None:
    with limited(resource.RLIMIT_FSIZE, 4096), pytest.raises(ExchangeError, match="no room in shared memory"):
        write(segment.descriptor, [(0, bytes(8192))])


def test_more_than_the_free_memory_is_refused(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MIN_CHECKED_BYTES", 10_000)
    monkeypatch.setattr(limits, "available", lambda: 15_000)
    write(segment.descriptor, [(0, bytes(10_000))])
    with pytest.raises(ExchangeError, match="not enough memory is free"):
        write(segment.descriptor, [(0, bytes(40_000))])
    assert segment.size <= 12_288, "nothing was written"


def test_damaged_segments_never_raise_signals(segment: Segment) -> None:
    descriptor = ValueMessage({"x": MAPPED}).write(segment.descriptor, segment.address)
    try:
        os.ftruncate(segment.descriptor, 1000)
    except PermissionError:  # sealed: nobody can
        assert unpack(descriptor)["x"].sum() == len(MAPPED)
    else:
        with pytest.raises(ExchangeError, match=r"damaged|shorter"):
            unpack(descriptor)
    size = descriptor["parts"][0]["buffers"]
    os.pwrite(segment.descriptor, b"]]]]nonsense", size)
    with pytest.raises(ExchangeError, match=r"damaged|shorter"):
        unpack(descriptor)


def test_shortening_a_segment_while_read_is_harmless(segment: Segment) -> None:
    there = send({"x": MAPPED}, segment)
    with contextlib.suppress(PermissionError):
        os.ftruncate(segment.descriptor, 0)
    assert there["x"].sum() == len(MAPPED)


def test_a_replaced_path_is_refused(tmp_path: Path) -> None:
    """A closed segment's number is given to the next file that the owner opens."""
    segment = Segment()
    address = segment.address
    segment.close()
    (tmp_path / "precious").write_text("precious")
    with (tmp_path / "precious").open() as file:
        address["path"] = f"/proc/self/fd/{file.fileno()}"
        with pytest.raises(ExchangeError, match="gone or was replaced"):
            open_segment(address)


@pytest.mark.parametrize("other", [MESSAGE_FORMAT - 1, MESSAGE_FORMAT + 1, None])
def test_other_formats_are_named(segment: Segment, other: int | None) -> None:
    descriptor = ValueMessage({"x": 1}).write(segment.descriptor, segment.address)
    with pytest.raises(ExchangeError, match=rf"format {other} .*format {MESSAGE_FORMAT}\..*tfkernels install"):
        unpack({**descriptor, "format": other})


def test_messages_of_several_segments_are_one() -> None:
    with Segment() as one, Segment() as other:
        messages = [ValueMessage({"a": 1, "b": MAPPED, "again": MAPPED}).write(one.descriptor, one.address)]
        twice = [2]
        messages.append(ValueMessage({"c": twice, "d": (twice,)}).write(other.descriptor, other.address))
        there = unpack(join(messages))
    assert list(there) == ["a", "b", "again", "c", "d"]
    assert there["c"] == [2]
    assert there["again"] is there["b"], "what occurs twice is one object"
    assert there["d"][0] is there["c"], "counted in its own segment"


def test_all_or_nothing() -> None:
    with pytest.raises(NotPortable, match=r"^weights\['dense'\]\[1\]: "):
        ValueMessage({"good": np.ones(3), "weights": {"dense": [1, object()]}})


# Busy: what the reuse of segments rests on


def test_a_segment_is_busy_while_arrays_read_it() -> None:
    with Segment() as segment:
        there = send({"x": MAPPED, "y": 1}, segment)
        part = there.pop("x")[5:10]
        assert segment.is_busy()
        del part
        assert not segment.is_busy()
        assert send({"x": np.ones(1000)}, segment)["x"].sum() == 1000
        assert not segment.is_busy(), "what is small was copied out"


def test_small_values_do_not_keep_segments_busy() -> None:
    with Segment() as segment:
        send({"x": np.ones(MIN_MAPPED_BYTES * 5, np.uint8)}, segment)
        there = send({"x": MAPPED}, segment)
        assert not segment.is_busy()
        assert there["x"].sum() == MIN_MAPPED_BYTES


def test_this_system_keeps_a_lock_with_its_mapping() -> None:
    assert mappings_keep_locks()


def test_give_back_frees_memory_despite_mappings() -> None:
    with Segment() as segment:
        for _ in range(2):
            send({"x": MAPPED}, segment)
        descriptor = open_segment(segment.address)
        mapping = mmap.mmap(descriptor, MIN_MAPPED_BYTES)
        assert os.fstat(descriptor).st_blocks > 0
        segment.free()
        assert os.fstat(descriptor).st_blocks == 0
        mapping.close()
        os.close(descriptor)


# Few descriptors


def test_scarce_descriptors_mean_copies_or_errors() -> None:
    with Segment() as segment:
        descriptor = ValueMessage({"x": MAPPED}).write(segment.descriptor, segment.address)
        before = descriptors()
        with limited(resource.RLIMIT_NOFILE, 256):
            taken = [os.dup(0)]
            while taken[-1] < 200:
                taken.append(os.dup(0))
            there = unpack(descriptor)
            assert not segment.is_busy(), "many descriptors are in use: it was copied"
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            for attempt in (Segment, lambda: unpack(descriptor)):
                with pytest.raises(ExchangeError, match="too many files open"):
                    attempt()
        for number in taken:
            os.close(number)
        assert descriptors() == before
        assert there["x"].sum() == MIN_MAPPED_BYTES


def test_a_foreign_lock_means_a_copy() -> None:
    with Segment() as segment:
        descriptor = ValueMessage({"x": MAPPED}).write(segment.descriptor, segment.address)
        fcntl.flock(segment.descriptor, fcntl.LOCK_EX)
        there = unpack(descriptor)
        fcntl.flock(segment.descriptor, fcntl.LOCK_UN)
        assert not segment.is_busy()
        assert there["x"].sum() == MIN_MAPPED_BYTES


# Copies that several threads share

LONG = np.arange(6_000_000, dtype="f4")


@pytest.mark.parametrize("problem", [KeyboardInterrupt, TimeoutError])
def test_threads_stop_when_a_copy_is_interrupted(problem: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would write into the next value."""
    begun, go_on, copying = threading.Event(), threading.Event(), []
    real = writer._copy_part

    def slowly(target: Any, part: Any) -> None:
        begun.set()
        copying.append(1)
        go_on.wait(DEADLINE)
        real(target, part)
        copying.pop()

    def press(*_: object) -> None:
        threading.Timer(0.1, go_on.set).start()
        raise problem

    def interrupt() -> None:
        begun.wait(DEADLINE)
        os.kill(os.getpid(), signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, press)
    with Segment() as segment:
        send({"x": LONG}, segment)
        monkeypatch.setattr(writer, "_copy_part", slowly)
        monkeypatch.setattr(writer, "_processors", lambda: 3)
        threading.Thread(target=interrupt).start()
        with pytest.raises(problem):
            send({"x": LONG * 2}, segment)
        assert copying == []
    signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("there", [0, 1])
def test_copies_work_with_fewer_threads(there: int, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def start(work: Callable[[], None], arguments: tuple[()]) -> None:
        if len(started) == there:
            raise RuntimeError("can't start new thread")
        started.append(1)
        start_new_thread(work, arguments)

    with Segment() as segment:
        send({"x": LONG}, segment)
        monkeypatch.setattr(writer, "start_new_thread", start)
        assert np.array_equal(send({"x": LONG * 2}, segment)["x"], LONG * 2)


def test_what_goes_wrong_in_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with Segment() as segment:
        send({"x": LONG}, segment)
        monkeypatch.setattr(writer, "_copy_part", fail)
        with pytest.raises(MemoryError):
            send({"x": LONG}, segment)
