"""The pool: segments are used again when nobody looks into them, and memory comes back."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.memory import open_segments
from tests.support.waiting import eventually
from tfkernels.errors import ExchangeError, UsageError
from tfkernels.transfer import segment_pool as pool_module
from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage
from tfkernels.transfer.segment_pool import Pool, pack
from tfkernels.transfer.shared_memory import limits, writer
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Segment

LARGE = np.ones(MIN_MAPPED_BYTES * 4, np.uint8)


@pytest.fixture
def pool() -> Iterator[Pool]:
    made = Pool(limit=100 * MIN_MAPPED_BYTES, idle=100)
    yield made
    made.close()


def send(pool: Pool, value: Any) -> Any:
    message = ValueMessage({"x": value})
    segment = pool.take(message.size)
    try:
        return unpack(message.write(segment.descriptor, segment.address))["x"]
    finally:
        pool.put(segment)


def idle_bytes(pool: Pool) -> int:
    return sum(segment.size for segment in pool.stats().idle)


def test_segments_are_reused_when_their_array_ends(pool: Pool) -> None:
    one = send(pool, LARGE)
    other = send(pool, LARGE * 2)
    assert (one[0], other[0]) == (1, 2), "and not before"
    kept = list(pool.stats().kept)
    assert len(kept) == 2
    del one
    third = send(pool, LARGE * 3)
    assert (other[-1], third[-1]) == (2, 3)
    assert set(pool.stats().kept) == set(kept), "no new one was made"


def test_large_segments_are_not_used_for_small_values(pool: Pool) -> None:
    send(pool, LARGE)
    small = send(pool, LARGE[:MIN_MAPPED_BYTES])
    assert len(pool.stats().kept) == 2
    assert send(pool, LARGE[: MIN_MAPPED_BYTES * 3])[0] == small[0]
    assert len(pool.stats().kept) == 2


def test_a_writer_gets_what_it_has_mapped(pool: Pool) -> None:
    taken = {name: pool.take(1000, name) for name in ("", "tf1", "tf2")}
    for segment in taken.values():
        segment_size = ValueMessage({"x": LARGE}).write(segment.descriptor, segment.address)["parts"][0]["buffers"]
        pool.put(segment)
    for name, segment in taken.items():
        assert pool.take(segment_size, name) is segment


def test_the_limit_counts_what_lies_idle(pool: Pool) -> None:
    pool.limit = 10 * MIN_MAPPED_BYTES
    arrays = [send(pool, LARGE) for _ in range(5)]
    assert idle_bytes(pool) == 0
    arrays.clear()
    assert 0 < idle_bytes(pool) <= pool.limit
    pool.limit = 0
    assert idle_bytes(pool) == 0
    assert send(pool, LARGE)[0] == 1


def test_memory_comes_back_after_a_while_by_itself(pool: Pool) -> None:
    pool.idle = 0.1
    array, other = send(pool, LARGE), send(pool, LARGE)
    duplicate, of_other = (os.dup(segment.descriptor) for segment in pool.stats().kept)
    del other
    eventually(lambda: os.fstat(of_other).st_blocks == 0)
    assert os.fstat(duplicate).st_blocks, "not while an array looks into it"
    del array
    eventually(lambda: os.fstat(duplicate).st_blocks == 0)
    os.close(duplicate)
    os.close(of_other)
    eventually(lambda: pool._thread is None)


def test_nothing_grows_in_a_thousand_exchanges(pool: Pool) -> None:
    before = open_segments()
    for number in range(1000):
        assert send(pool, np.full(MIN_MAPPED_BYTES, number % 256, "u1"))[-1] == number % 256
    assert len(pool.stats().kept) == 1
    pool.close()
    gc.collect()
    assert open_segments() <= before


def test_threads_never_get_the_same_segment(pool: Pool) -> None:
    wrong: list[int] = []

    def exchange(number: int) -> None:
        wrong.extend(
            value
            for _ in range(30)
            for value in send(pool, np.full(MIN_MAPPED_BYTES, number, "u1"))[::999]
            if value != number
        )

    threads = [threading.Thread(target=exchange, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(pool.stats().kept) <= 8


def test_more_arrays_than_the_pool_has_places(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "MAX_SEGMENTS", 3)
    arrays = [send(pool, np.full(MIN_MAPPED_BYTES, number, "u1")) for number in range(10)]
    assert [array[-1] for array in arrays] == list(range(10))
    assert len(pool.stats().kept) == 3


def test_idle_segments_make_room_when_memory_is_short(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MIN_CHECKED_BYTES", 0)
    send(pool, LARGE)
    monkeypatch.setattr(limits, "available", lambda: len(LARGE))
    segment = pool.take(2 * len(LARGE) + MIN_MAPPED_BYTES)
    assert idle_bytes(pool) == 0
    pool.put(segment)


def test_a_descriptor_that_somebody_closed_is_never_written(pool: Pool, tmp_path: Path) -> None:
    send(pool, LARGE)
    number = pool.stats().kept[0].descriptor
    with (tmp_path / "precious").open("w+b") as file:
        os.dup2(file.fileno(), number)  # as when all descriptors were closed, and files opened since
        assert send(pool, LARGE)[0] == 1
        assert file.read() == b""
        os.fstat(number)
        os.close(number)


def test_a_lost_segment_takes_no_memory() -> None:
    before = open_segments()
    segment = Segment()
    del segment
    assert open_segments() <= before


def test_one_writing_for_several_readers() -> None:
    with pack({"x": LARGE, "y": "z"}) as shipment:
        one, other = shipment.unpack(), shipment.unpack()
    one["x"][:] = 5
    assert other["x"][0] == 1
    assert shipment.descriptor is None


def test_what_fails_in_writing_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    pool_module.shared.close()
    monkeypatch.setattr(writer, "MIN_CHECKED_BYTES", 0)
    monkeypatch.setattr(limits, "available", lambda: 1000)
    before = open_segments()
    with pytest.raises(ExchangeError, match="no room"):
        pack({"x": LARGE})
    pool_module.shared.close()
    assert open_segments() <= before


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < Pool().limit <= limits.total() // 4
    monkeypatch.setenv("TFKERNELS_POOL", "3MiB")
    monkeypatch.setenv("TFKERNELS_POOL_IDLE", "0.5")
    assert (Pool().limit, Pool().idle) == (3 * 2**20, 0.5)
    monkeypatch.setenv("TFKERNELS_POOL", "much")
    with pytest.raises(UsageError, match="TFKERNELS_POOL: 'much' is not a size"):
        _ = Pool().limit
    for text in ("long", "nan", "-1"):
        monkeypatch.setenv("TFKERNELS_POOL_IDLE", text)
        with pytest.raises(UsageError, match=f"TFKERNELS_POOL_IDLE is '{text}'. Write a number of seconds"):
            _ = Pool().idle


def test_memory_of_this_machine() -> None:
    assert 2**28 < limits.total() < 2**50
    assert 0 < limits.available() <= limits.total()


def test_memory_of_a_group_of_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of version 2, as the system writes them. ``test_system_limits`` makes a group of the version here."""
    for group, limit, current in [("outer", "max", 900), ("outer/inner", f"{2**30}", 2**29)]:
        (tmp_path / group).mkdir()
        (tmp_path / group / "memory.max").write_text(f"{limit}\n")
        (tmp_path / group / "memory.current").write_text(f"{current}\n")
        (tmp_path / group / "memory.stat").write_text(f"anon {2**28}\nfile 5\ninactive_file {2**20}\nslab 7\n")
    names = limits._KINDS[""][1:]
    monkeypatch.setattr(limits, "_FILES", [(str(tmp_path / group), *names) for group in ("", "outer", "outer/inner")])
    assert limits.total() == 2**30
    assert limits.available() == 2**29 + 2**20, "what only speeds up files can be dropped"
    (tmp_path / "outer" / "memory.max").write_text("1000\n")
    (tmp_path / "outer" / "memory.stat").write_text("")
    assert (limits.total(), limits.available()) == (1000, 100), "of the one above, too"
