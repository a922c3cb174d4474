"""Arrays that a cell changes in place and gives back: they go in the memory that they came in, if nobody needs it."""

from __future__ import annotations

import gc

import numpy as np

from tfkernels.client.kernel import Kernel
from tfkernels.transfer.shared_memory.pool import shared
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES


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
