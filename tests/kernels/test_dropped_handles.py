"""Outputs that nobody asks for, on real kernels: their memory comes back when nobody can any more."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tfkernels
from tests.support.cells import SLEEP
from tests.support.memory import open_segments
from tests.support.waiting import eventually
from tfkernels.client.kernel import Kernel
from tfkernels.errors import CellCancelled, CellsFailed
from tfkernels.transfer import lease
from tfkernels.transfer.shared_memory.pool import Pool, shared

LARGE = {"y": "__import__('numpy').ones(10**6)"}


@pytest.fixture
def level() -> Iterator[int]:
    """Segments that are open while no cell runs and nobody holds an array; also at the end of the test."""
    gc.collect()
    shared.close()
    before = open_segments()
    yield before
    eventually(lambda: not shared.stats().taken)
    shared.close()
    assert open_segments() == before


def test_a_handle_that_is_dropped(remote: Kernel, level: int) -> None:
    remote.run("", outputs=LARGE)  # into fresh memory; from then on the other kernel keeps it mapped
    finished = remote.submit("", outputs=LARGE)
    finished.exception()
    (segment,) = shared.stats().taken
    memory = os.dup(segment.descriptor)
    del finished, segment
    shared.close()
    assert os.fstat(memory).st_blocks == 0, "whoever has it mapped"
    os.close(memory)
    remote.submit("import time; time.sleep(0.3)", outputs=LARGE)
    remote.submit("1 / 0", outputs=LARGE, show=lambda _: None)
    remote.run("")


def test_memory_comes_back_without_another_exchange(remote: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "_idle", 0.1)
    remote.submit("", outputs=LARGE)
    eventually(lambda: not shared.stats().taken and not shared.stats().kept)


def test_the_result_stays_when_its_handle_goes(remote: Kernel, level: int) -> None:
    array = remote.submit("", outputs=LARGE).result()["y"]
    remote.submit("", outputs={"y": "__import__('numpy').zeros(10**6)"}).result()
    assert array.all()
    del array


def test_a_wait_that_is_broken_off(remote: Kernel, level: int) -> None:
    def exit_here(_: dict[str, Any]) -> None:
        raise SystemExit

    with pytest.raises(SystemExit) as kept:  # and with it the frames, as IPython keeps those of the last error
        remote.run("print('begun')\n" + SLEEP, outputs=LARGE, show=exit_here)
    with pytest.raises(SystemExit) as late:
        remote.run("print('begun')", outputs=LARGE, show=exit_here)
    remote.run("")
    eventually(lambda: not shared.stats().taken)
    assert kept
    assert late


def test_one_of_several_that_failed(installed: object, level: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CellsFailed) as kept:
        tfkernels.each(["tf1", "tf2"], "import sys\nassert sys.version_info > (3, 8)", outputs=LARGE)
    eventually(lambda: not shared.stats().taken)
    assert kept
    assert "AssertionError" in capsys.readouterr().err


def test_inputs_of_cancelled_cells_are_kept_until_written(installed: object, level: int) -> None:
    tf1, tf2 = tfkernels.kernel("tf1"), tfkernels.kernel("tf2")
    slow = tf1.submit(SLEEP)
    eventually(lambda: slow.running)
    waits = tf2.submit("", inputs={"x": tf1.reference("__import__('numpy').ones(10**6)")})
    taken = set(shared.stats().taken)
    assert taken
    waits.cancel()
    with pytest.raises(CellCancelled):
        waits.result(timeout=30)
    assert set(shared.stats().taken) == taken, "nobody else gets what kernel tf1 is going to write to"
    taken.clear()
    slow.cancel()


def test_a_finalizer_wants_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run in the middle of anything, also in a thread that holds the locks."""
    pool = Pool(limit=0, idle=0)
    monkeypatch.setattr(lease, "shared", pool)
    packed = lease.pack({"x": np.ones(10)})
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with pool._changed, lease._lock:
            held.set()
            go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    dropping = threading.Thread(target=list[Any].clear, args=([packed],))
    del packed
    dropping.start()
    dropping.join(30)
    assert not dropping.is_alive()
    go_on.set()
    holder.join()
    assert pool.stats().idle_bytes == 0
    eventually(lambda: pool._thread is None)


def test_a_forked_child_leaves_its_parents_segments_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(limit=2**20, idle=100)
    segment = pool.take(10)
    monkeypatch.setattr(segment, "_maker", segment._maker + 1)
    pool.put(segment)
    assert not pool.stats().kept
