"""The life cycle of a cell's memory: taken for it, used again, kept while arrays or cells need it, and freed."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import tfkernels
from tests.support.cells import SLEEP
from tests.support.memory import open_segments
from tests.support.waiting import DEADLINE, eventually
from tfkernels.client.kernel import Kernel
from tfkernels.errors import (
    CellCancelled,
    CellsFailed,
    KernelDied,
)
from tfkernels.transfer import decoder
from tfkernels.transfer import segment_pool as pools
from tfkernels.transfer.segment_pool import Pool, shared
from tfkernels.transfer.shared_memory import reader, writer
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES

LARGE_OUTPUT = {"y": "__import__('numpy').ones(10**6)"}

LARGE = np.arange(MIN_MAPPED_BYTES, dtype="f4")


# Outputs without a handle


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
    remote.run("", outputs=LARGE_OUTPUT)  # into fresh memory; from then on the other kernel keeps it mapped
    finished = remote.submit("", outputs=LARGE_OUTPUT)
    finished.exception()
    (segment,) = shared.stats().taken
    memory = os.dup(segment.descriptor)
    del finished, segment
    shared.close()
    assert os.fstat(memory).st_blocks == 0, "whoever has it mapped"
    os.close(memory)
    remote.submit("import time; time.sleep(0.3)", outputs=LARGE_OUTPUT)
    remote.submit("1 / 0", outputs=LARGE_OUTPUT, show=lambda _: None)
    remote.run("")


def test_memory_comes_back_without_another_exchange(remote: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "idle", 0.1)
    remote.submit("", outputs=LARGE_OUTPUT)
    eventually(lambda: not shared.stats().taken and not shared.stats().kept)


def test_the_result_stays_when_its_handle_goes(remote: Kernel, level: int) -> None:
    array = remote.submit("", outputs=LARGE_OUTPUT).result()["y"]
    remote.submit("", outputs={"y": "__import__('numpy').zeros(10**6)"}).result()
    assert array.all()
    del array


def test_a_wait_that_is_broken_off(remote: Kernel, level: int) -> None:
    def exit_here(_: dict[str, Any]) -> None:
        raise SystemExit

    with pytest.raises(SystemExit) as kept:  # and with it the frames, as IPython keeps those of the last error
        remote.run("print('begun')\n" + SLEEP, outputs=LARGE_OUTPUT, show=exit_here)
    with pytest.raises(SystemExit) as late:
        remote.run("print('begun')", outputs=LARGE_OUTPUT, show=exit_here)
    remote.run("")
    eventually(lambda: not shared.stats().taken)
    assert kept
    assert late


def test_outputs_that_cannot_be_bound_here(installed: object, level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks_room(_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decoder, "unpack", lacks_room)
    with pytest.raises(MemoryError) as one:
        tfkernels.kernel("tf1").run("", outputs=LARGE_OUTPUT)
    with pytest.raises(MemoryError) as several:
        tfkernels.each(["tf1", "tf2"], "", outputs=LARGE_OUTPUT)
    assert shared.stats().taken == []
    assert one
    assert several


def test_one_of_several_that_failed(installed: object, level: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CellsFailed) as kept:
        tfkernels.each(["tf1", "tf2"], "import sys\nassert sys.version_info > (3, 8)", outputs=LARGE_OUTPUT)
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
        waits.result(timeout=DEADLINE)
    assert set(shared.stats().taken) == taken, "nobody else gets what kernel tf1 is going to write to"
    taken.clear()
    slow.cancel()


def test_a_finalizer_wants_no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may run in the middle of anything, also in a thread that holds the lock."""
    pool = Pool(limit=0, idle=0)
    monkeypatch.setattr(pools, "shared", pool)
    packed = pools.pack({"x": np.ones(10)})
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with pool.lock:
            held.set()
            go_on.wait(DEADLINE)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(DEADLINE)
    dropping = threading.Thread(target=list[Any].clear, args=([packed],))
    del packed
    dropping.start()
    dropping.join(DEADLINE)
    assert not dropping.is_alive()
    go_on.set()
    holder.join()
    assert not pool.stats().idle
    eventually(lambda: pool._thread is None)


def test_a_forked_child_leaves_its_parents_segments_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(limit=2**20, idle=100)
    segment = pool.take(10)
    monkeypatch.setattr(segment, "_maker", segment._maker + 1)
    pool.put(segment)
    assert not pool.stats().kept


# Memory that is used again


def test_leased_segments_are_not_reused_before_their_cell() -> None:
    with pools.pack({"x": LARGE}) as packed:
        segment = packed.segment
        packed.retain()
    assert segment not in shared.stats().kept
    packed.release()
    assert segment in shared.stats().kept


def test_outputs_reuse_memory_of_dropped_inputs(remote: Kernel) -> None:
    def memory() -> int:
        return round(sum(segment.size for segment in shared.stats().kept) / LARGE.nbytes)

    remote.run("x = y = z = 0")
    shared.close()
    source = LARGE.copy()
    back = remote.run("y = x + 1; del x", inputs={"x": source}, outputs={"y": "y"})["y"]
    assert memory() == 1
    assert np.array_equal(back, LARGE + 1)
    again = remote.run("y += 1; del x", inputs={"x": source}, outputs={"y": "y"})["y"]
    assert np.array_equal(again, LARGE + 2)
    assert np.array_equal(back, LARGE + 1), "what is here stays what it was"
    assert np.array_equal(source, LARGE)
    assert memory() == 2
    kept = remote.run("z = x; y = x * 2; del x", inputs={"x": source}, outputs={"y": "y"})["y"]
    assert memory() == 4
    assert np.array_equal(kept, LARGE * 2)
    assert np.array_equal(remote["z"], LARGE), "what is there, too"
    with tfkernels.pack({"x": source}) as packed:
        for _ in range(2):
            assert remote.run("y = x - 1; del x", inputs=packed, outputs={"y": "y"})["y"][0] == -1


def test_changed_arrays_return_in_their_own_memory(remote: Kernel) -> None:
    """``x += 1`` gives x pages of its own there, so nobody needs those of the segment: 1 GB there, + 1, and back takes
    the memory of x there and of x here."""
    large = np.arange(4 * MIN_MAPPED_BYTES, dtype="f4")
    remote.run("x = y = z = 0")
    shared.close()
    others = set(shared.stats().taken)
    back = remote.run("x += 1", inputs={"x": large}, outputs={"x": "x"})["x"]
    stats = shared.stats()
    used = [segment for segment in [*stats.kept, *stats.taken] if segment not in others]
    assert sum(segment.size >= large.nbytes for segment in used) == 1
    assert np.array_equal(back, large + 1)
    remote.run("x += 1")
    back *= 0
    assert np.array_equal(remote["x"], large + 2)
    del back
    gc.collect()
    for number in range(3):  # the memory is used again, though x is there
        remote.run("y = y + 0", inputs={"y": np.full_like(large, number)}, outputs={})
    assert np.array_equal(remote["x"], large + 2)
    assert remote["y[0]"] == 2
    remote.run("x = y = 0")


FORKED = """
import multiprocessing
fork = multiprocessing.get_context("fork")
asked, answers = fork.Event(), fork.Queue()
child = fork.Process(target=lambda: (asked.wait(60), answers.put(bool((x == 1).all()))))
child.start()
x += 1
"""


def test_memory_in_use_is_not_written_to(remote: Kernel) -> None:
    ones = np.ones(4 * MIN_MAPPED_BYTES, dtype="f4")
    for code, inputs, well in [
        ("x[:-1] += 1", {"x": ones}, "x[-1] == 1"),
        ("x += 1", {"x": ones, "w": ones.copy()}, "bool((w == 1).all())"),
        (FORKED, {"x": ones}, "(asked.set(), answers.get(timeout=60), child.join())[1]"),
    ]:
        back = remote.run(code, inputs=inputs, outputs={"x": "x"})["x"]
        assert np.all(back[:-1] == 2)
        assert remote[f"bool({well})"] is True
    remote.run("x = w = 0")


# Arrays that need it


def test_arrays_outlive_their_kernel(installed: object) -> None:
    shared.close()
    with Kernel("tf1") as kernel:
        back = kernel.run("y = x", inputs={"x": LARGE}, outputs={"y": "y"})["y"]
        kept = {segment: segment.is_busy() for segment in shared.stats().kept}
        assert list(kept.values()) == [True, True], "one that it looks into, and one that is looked into here"
        kernel.restart()
        assert sorted(segment.is_busy() for segment in kept) == [False, True]
        kernel["x"] = LARGE * 3
        assert {segment: segment.is_busy() for segment in shared.stats().kept} == kept, (
            "where the first process looked into"
        )
        assert np.array_equal(back, LARGE)
        other = kernel["x"]
        assert kernel.pid is not None
        os.kill(kernel.pid, signal.SIGKILL)
        with pytest.raises(KernelDied):
            kernel.run("")
    shared.close()
    assert np.array_equal(back, LARGE)
    assert np.array_equal(other, LARGE * 3)


FORKING = """
import os, warnings
warnings.simplefilter("ignore")
pid = os.fork()
if pid == 0:
    x[:] = 5      # of its own
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
sleeper = os.fork()
if sleeper == 0:
    import time; time.sleep(1000)
"""


def test_forks_in_user_code_keep_values(remote: Kernel) -> None:
    back = remote.run(FORKING, inputs={"x": LARGE}, outputs={"y": "x"})["y"]
    assert np.array_equal(back, LARGE)
    for number in range(3):  # the sleeping child still has the first x
        remote["x"] = np.full(MIN_MAPPED_BYTES, number, "f4")
    child = remote.run(
        "where = [line for line in open('/proc/%d/maps' % sleeper) if 'memfd:tfkernels' in line and 'rw-p' in line]\n"
        "start = int(where[0].split('-')[0], 16)\nmemory = open('/proc/%d/mem' % sleeper, 'rb')\nmemory.seek(start)\n"
        "import numpy as np\nseen = np.frombuffer(memory.read(4096), 'f4')\n"
        "os.kill(sleeper, 9); os.waitpid(sleeper, 0)",
        outputs={"seen": "seen"},
    )["seen"]
    assert np.array_equal(child, LARGE[: len(child)])


def test_a_thousand_exchanges_leak_nothing(remote: Kernel) -> None:
    remote["x"] = 0
    shared.close()
    array = np.ones(MIN_MAPPED_BYTES, "u1")

    def exchange(count: int) -> None:
        for number in range(count):
            back = remote.run("", inputs={"x": array}, outputs={"y": "x"}, store_history=False)
            assert back["y"][number] == 1

    def states() -> np.ndarray:
        assert remote.pid is not None
        both = [psutil.Process(), psutil.Process(remote.pid)]
        return np.array([(process.num_fds(), process.memory_info().rss) for process in both])

    exchange(20)
    before = states()
    exchange(1000)
    grown = states() - before
    assert (grown[:, 0] <= 2).all(), "descriptors"
    assert (grown[:, 1] < 30 * 2**20).all(), "an eighth of what was sent"
    assert len(shared.stats().kept) <= 4


def test_memory_comes_back_after_the_last_use(remote: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "idle", 0.1)

    def held() -> int:
        """Bytes of shared memory that the two processes see."""
        found = [Path(f"/proc/{pid}/status").read_text() for pid in (os.getpid(), remote.pid)]
        return sum(int(status.split("RssShmem:")[1].split()[0]) * 1024 for status in found)

    # What other tests have left, or have let go of in ways that this side does not know
    remote.run("%reset -f")
    remote.run(
        "from tfkernels.transfer.shared_memory import reader, writer; reader.cache.clear(); writer.cache.clear()"
    )
    reader.cache.clear()
    writer.cache.clear()
    shared.close()
    gc.collect()
    eventually(lambda: held() <= 2**24)
    before = held()
    array = np.ones(2**25, "u1")
    for _ in range(4):
        back = remote.run("", inputs={"x": array}, outputs={"y": "x"})["y"]
        assert back[-1] == 1
    assert held() > before + 2**24
    del back
    remote.run("del x")
    eventually(lambda: held() <= before + 2**22)


def test_packed_values_stay_until_their_cell_ran(remote: Kernel) -> None:
    with tfkernels.pack({"x": np.ones(10**6)}) as packed:
        remote.submit("import time; time.sleep(0.3)")
        call = remote.submit("s = x.sum()", inputs=packed, outputs={"s": "s"})
    remote["y"] = np.zeros(10**6)
    assert call.result()["s"] == 10**6


def test_shared_inputs_stay_until_all_kernels_read_them(installed: object) -> None:
    array = np.arange(2.0**20)
    outputs = tfkernels.each(["tf1", "tf2"], "y = x + 1; del x", inputs={"x": array}, outputs={"y": "y"})["y"]
    for got in outputs.values():
        assert np.array_equal(got, array + 1)
