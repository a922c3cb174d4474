"""What arrived, and its mapping, which stays for the next value that comes in the same segment."""

from __future__ import annotations

import gc
import os
import random
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.memory import open_segments
from tests.support.waiting import DEADLINE
from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.segment_pool import Pool
from tfkernels.transfer.shared_memory import mapping, reader, writer
from tfkernels.transfer.shared_memory import segment as segments
from tfkernels.transfer.shared_memory.mapping import HUGE_PAGE, Mapping
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Segment

SIZE = 4 * MIN_MAPPED_BYTES


@pytest.fixture(autouse=True)
def none_kept() -> Iterator[None]:
    for each in (reader.cache, writer.cache):
        each.clear()
    yield
    for each in (reader.cache, writer.cache):
        each.clear()


@pytest.fixture
def segment() -> Iterator[Segment]:
    with Segment() as made:
        yield made


def send(segment: Segment, value: Any) -> Any:
    return unpack(ValueMessage({"x": value}).write(segment.descriptor, segment.address))["x"]


def full(number: int, size: int = SIZE) -> np.ndarray:
    return np.full(size, number % 251, np.uint8)


def address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_the_mapping_stays_for_the_next_value(segment: Segment) -> None:
    first = send(segment, full(1))
    place = address(first)
    assert len(reader.cache) == 0
    del first
    assert not segment.is_busy()
    assert len(reader.cache) == 1
    for number, size in ((2, SIZE), (3, SIZE // 2), (4, SIZE)):
        value = send(segment, full(number, size))
        assert (address(value), segment.is_busy(), len(reader.cache)) == (place, True, 0)
        assert np.array_equal(value, full(number, size))
        del value


def test_what_was_written_to_is_not_seen_again(segment: Segment) -> None:
    for position in (0, SIZE // 2, SIZE - 1):
        value = send(segment, full(1))
        value[position] = 7
        del value
        assert not segment.is_busy()
        assert len(reader.cache) == 0, "its own page went with it"
        assert np.array_equal(send(segment, full(2)), full(2))
        reader.cache.clear()


def test_mappings_are_dropped_without_pagemap(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "_page_states", lambda start, size: None)
    del_me = send(segment, full(1))
    del del_me
    assert len(reader.cache) == 0
    assert not segment.is_busy()


@pytest.mark.parametrize("during", ["a look at the pages", "unmapping"])
def test_no_interrupt_is_lost_where_an_array_ends(
    segment: Segment, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    real: Callable[..., Any]

    def interrupted(*arguments: Any) -> Any:
        done = real(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return done

    value = send(segment, full(1))
    if during == "unmapping":
        value[0] = 7
        found = reader.find_received(value)
        assert found is not None
        real = found._mapping._unmap
        found._mapping._unmap = interrupted  # type: ignore[assignment]  # it is called in the same way
        del found
    else:
        real = mapping.is_unmodified
        monkeypatch.setattr(reader, "is_unmodified", interrupted)
    values = [value]
    del value

    def wait() -> None:
        values.clear()
        threading.Event().wait(DEADLINE)

    with pytest.raises(KeyboardInterrupt):
        wait()
    assert not segment.is_busy()


def test_a_longer_value_in_the_same_segment(segment: Segment) -> None:
    send(segment, full(1))
    assert np.array_equal(send(segment, full(2, 3 * SIZE)), full(2, 3 * SIZE))
    assert len(reader.cache) == 1


def test_two_values_look_into_one_segment(segment: Segment) -> None:
    descriptor = ValueMessage({"x": full(1)}).write(segment.descriptor, segment.address)
    one, other = unpack(descriptor)["x"], unpack(descriptor)["x"]
    one[0] = 9
    assert (one[0], other[0]) == (9, 1)
    del one
    assert segment.is_busy()
    del other
    assert not segment.is_busy()


def test_a_pool_that_gives_back_keeps_no_mapping() -> None:
    pool = Pool(limit=10**9, idle=1000)
    held = []
    for end in ("idle", "looked into"):
        made = pool.take(SIZE)
        value = send(made, full(1))
        pool.put(made)
        if end == "idle":
            del value
            assert len(reader.cache) == 1
        else:
            held.append(value)
        pool.close()
        assert len(reader.cache) == 0
    assert np.array_equal(held.pop(), full(1))
    gc.collect()
    assert len(reader.cache) == 0, "nothing will come in it any more"


def test_few_are_kept_and_not_for_long() -> None:
    made = [Segment() for _ in range(segments.MAX_MAPPINGS + 3)]
    before = open_segments()
    for number, each in enumerate(made):
        send(each, full(number))
    assert len(reader.cache) == segments.MAX_MAPPINGS
    assert open_segments() == before + segments.MAX_MAPPINGS
    reader.cache.expire(1000)
    assert len(reader.cache) == segments.MAX_MAPPINGS
    reader.cache.expire(0)
    assert len(reader.cache) == 0
    assert open_segments() == before
    for each in made:
        each.close()


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_never_change_other_arrays(seed: int) -> None:
    """Values come through a pool, are kept, written to, viewed, sent on, and let go of, in any order."""
    chance = random.Random(seed)  # noqa: S311 (nothing secret)
    pool = Pool(limit=10**9, idle=1000)
    held: list[tuple[np.ndarray, np.ndarray]] = []  # each with what it has to be
    for step in range(150):
        what = chance.choice(["send", "send", "send on", "write", "view", "drop", "drop"])
        if what == "send" or not held:
            expected = full(step, chance.choice([1000, MIN_MAPPED_BYTES, SIZE, 3 * SIZE]))
        elif what == "send on":
            expected = chance.choice(held)[1]
        if what.startswith("send") or not held:
            made = pool.take(len(expected))
            held.append((send(made, expected), expected.copy()))
            pool.put(made)
        position = chance.randrange(len(held))
        value, expected = held[position]
        if what == "write":
            start, length = chance.randrange(len(value)), chance.choice([1, 5000, SIZE])
            for each in (value, expected):
                each[start : start + length] = step % 251
        elif what == "view":
            held[position] = (value[len(value) // 2 :], expected[len(expected) // 2 :].copy())
        elif what == "drop":
            del held[position]
        del value
        assert all(np.array_equal(*pair) for pair in held)
        held = [pair for pair in held if len(pair[0])]
    held.clear()
    assert all(not each.is_busy() for each in pool.stats().kept)
    pool.close()
    assert len(reader.cache) == 0


# Huge pages


def huge_bytes(start: int) -> int:
    """Bytes in huge pages of the mapping at an address."""
    found = re.search(rf"^{start:x}-.*?ShmemPmdMapped: +(\d+) kB", Path("/proc/self/smaps").read_text(), re.M | re.S)
    assert found is not None
    return int(found[1]) * 1024


def can_collapse() -> bool:
    with Segment() as probe:
        os.pwrite(probe.descriptor, bytes(HUGE_PAGE), 0)
        mapping = Mapping(probe.descriptor, HUGE_PAGE, shared=True)
        mapping.collapse()
        return huge_bytes(mapping.start) == HUGE_PAGE


def test_reused_segments_have_huge_pages(segment: Segment) -> None:
    if not can_collapse():
        pytest.skip("this system has no huge pages for memory files, or none left: Linux has them from 6.1 on")
    size = 3 * HUGE_PAGE + 5000
    for number in (1, 2):
        value = send(segment, full(number, size))
    target = writer.cache.take((segment.address["device"], segment.address["inode"]))
    assert target is not None
    assert np.array_equal(value, full(2, size))
    assert huge_bytes(address(value)) == huge_bytes(target.start) == 3 * HUGE_PAGE
    assert mapping.is_unmodified(address(value), size)
    value[HUGE_PAGE] = 7
    assert not mapping.is_unmodified(address(value), size)
    assert target.start != address(value)
    assert np.asarray(target)[HUGE_PAGE] == 2, "it is the value's own"


def test_a_mapping_is_aligned_and_leaves_nothing(segment: Segment) -> None:
    os.pwrite(segment.descriptor, b"seen" * 3000, 0)
    for size in (1, 4096, 12_000):
        before = Path("/proc/self/maps").read_text().count("memfd:tfkernels")
        mapping = Mapping(segment.descriptor, size, shared=False)
        array = np.asarray(mapping)
        assert mapping.start % HUGE_PAGE == 0
        assert bytes(array) == (b"seen" * 3000)[:size]
        del mapping
        assert array[0] == ord("s"), "the array keeps it"
        del array
        assert Path("/proc/self/maps").read_text().count("memfd:tfkernels") == before


def test_a_refused_mapping_is_an_error() -> None:
    before = len(Path("/proc/self/maps").read_text().splitlines())
    for descriptor, size in ((-1, 4096), (0, 2**60)):
        with pytest.raises(OSError, match=r"Bad file|Cannot allocate"):
            Mapping(descriptor, size, shared=False)
    assert len(Path("/proc/self/maps").read_text().splitlines()) <= before + 1


def test_no_huge_pages_on_older_linux(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Linux before 6.11 tells them: an untouched array would be taken for one whose segment nobody needs."""
    real = mapping._page_states

    def older(start: int, size: int) -> bytes | None:
        found = real(start, size)
        return None if found is None else found.replace(b"\xa1", b"\x81").replace(b"\xa0", b"\x80")

    monkeypatch.setattr(mapping, "_page_states", older)
    segments._huge_pages_tracked.cache_clear()
    try:
        for number in (1, 2, 3):
            value = send(segment, full(number, 2 * HUGE_PAGE))
        found = reader.find_received(value)
        assert found is not None
        assert not found.is_detached
        assert huge_bytes(address(value)) == 0
    finally:
        segments._huge_pages_tracked.cache_clear()
