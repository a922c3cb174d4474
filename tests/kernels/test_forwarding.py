"""Arrays that arrived go on without a copy while they are as they arrived, and what goes on is what they were."""

from __future__ import annotations

import builtins
import gc
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkernels
from tfkernels.client.kernel import Kernel
from tfkernels.transfer.encoder import Encoder
from tfkernels.transfer.segment_pool import shared

SIZE = 1_000_000
MAKE = f"__import__('numpy').arange({SIZE}, dtype='f4')"
EXPECTED = np.arange(SIZE, dtype="f4")


@pytest.fixture
def kernels(installed: object) -> Iterator[tuple[Kernel, Kernel]]:
    """Those of all tests; they keep nothing of these."""
    both = tfkernels.kernel("tf1"), tfkernels.kernel("tf2")
    yield both
    for kernel in both:
        kernel.run("y = z = again = other = same = 0")


def segment_of(array: np.ndarray, process: object = "self") -> int | None:
    """The inode of the segment that an array of this process looks into."""
    return _segments(process).get(array.__array_interface__["data"][0] // 4096 * 4096)


def _segments(process: object) -> dict[int, int]:
    """The inodes of the segments that a process reads, by the address of each page that begins a mapping."""
    found = {}
    for line in Path(f"/proc/{process}/maps").read_text().splitlines():
        mapping = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-p \S+ \S+ (\d+) .*memfd:tfkernels", line)
        if mapping:
            for page in range(int(mapping[1], 16), int(mapping[2], 16), 4096):
                found[page] = int(mapping[3])
    return found


def arrived(kernel: Kernel) -> np.ndarray:
    array: np.ndarray = kernel[MAKE]
    assert segment_of(array) is not None
    return array


def found(array: np.ndarray) -> tuple[int, int] | None:
    """Where it lies, if it goes on without a copy."""
    return Encoder(shared.address).forward(array)


def test_forwarded_arrays_are_not_copied(kernels: tuple[Kernel, Kernel]) -> None:
    tf1, tf2 = kernels
    features = arrived(tf1)
    tf2.run("", inputs={"y": features, "z": features[SIZE // 2 :], "again": [features]})
    assert np.array_equal(tf2["y"], EXPECTED)
    assert tf2["y is again[0]"]
    assert segment_of(features) in _segments(tf2.pid).values()
    tf2.run("y += 1")
    assert np.array_equal(features, EXPECTED), "everybody has an array of his own, and so has every view"
    assert tf2["z[0]"] == SIZE // 2
    assert np.array_equal(tf2["y"], EXPECTED + 1)


def test_what_was_written_to_is_copied(kernels: tuple[Kernel, Kernel]) -> None:
    tf1, tf2 = kernels
    features = arrived(tf1)
    features[-1] = -5
    assert found(features) is None
    assert found(features[: SIZE // 2]) is not None, "of that half no page was written to"
    tf2["y"] = features
    assert tf2["y[-1]"] == -5
    assert np.array_equal(tf2["y[:-1]"], EXPECTED[:-1])
    features[:] = 0
    tf2["y"] = features
    assert not tf2["y.any()"]


def test_a_message_holds_the_values_of_its_moment(kernels: tuple[Kernel, Kernel]) -> None:
    tf1, tf2 = kernels
    features = arrived(tf1)
    with tfkernels.pack({"y": features}) as packed:
        features[:] = 0
        del features
        gc.collect()
        for number in range(5):  # which the memory would be used for, if nobody looked into it
            tf1["other"] = np.full(SIZE, number, "f4")
        tf2.run("", inputs=packed)
        tf1.run("same = float(y[-1])", inputs=packed)
    assert np.array_equal(tf2["y"], EXPECTED)
    assert tf1["same"] == EXPECTED[-1]


def test_forwarded_memory_is_not_reused_while_read(
    kernels: tuple[Kernel, Kernel],
) -> None:
    tf1, tf2 = kernels
    features = arrived(tf1)
    inode = segment_of(features)
    tf2["y"] = features
    del features
    gc.collect()
    for number in range(5):
        tf1["other"] = np.full(SIZE, number, "f4")
    assert np.array_equal(tf2["y"], EXPECTED)
    assert inode in _segments(tf2.pid).values()
    tf2.run("y = 0")
    idle = {segment.address["inode"] for segment in shared.stats().idle}
    assert inode in idle, "and then it is"


def test_threads_that_write_meanwhile(kernels: tuple[Kernel, Kernel]) -> None:
    """Their writes may be in what goes on or not, but never come later."""
    tf1, tf2 = kernels
    stop = threading.Event()
    for _ in range(5):
        features = arrived(tf1)

        def write(array: np.ndarray = features) -> None:
            place = 0
            while not stop.is_set():
                array[place % SIZE] = -1
                place += 1021

        thread = threading.Thread(target=write)
        thread.start()
        tf2["y"] = features
        first = tf2["y"].copy()
        stop.set()
        thread.join()
        stop.clear()
        assert np.array_equal(tf2["y"], first)
        assert ((first == EXPECTED) | (first == -1)).all()


@pytest.mark.parametrize(
    "part",
    [
        lambda a: a.reshape(1000, 1000).T,
        lambda a: a[16:],
        lambda a: a[1:],
        lambda a: a[::2],
        lambda a: a[:100],
        lambda a: a.view("i4"),
        lambda a: a.reshape(10, -1)[2:8],
        lambda a: np.broadcast_to(a, (2, SIZE)),
        lambda a: np.ma.masked_array(a, a > 5),
        lambda a: {"a": a, "b": a[: SIZE // 2], "c": a},
    ],
)
def test_parts_and_views_of_what_arrived(kernels: tuple[Kernel, Kernel], part: Any) -> None:
    tf1, tf2 = kernels
    there = f"({MAKE})"
    sent = part(arrived(tf1))
    tf2["y"] = sent
    back, expected = tf2["y"], part(EXPECTED)
    assert type(back) is type(sent), there
    for one, other in zip(
        *([value.values() if isinstance(value, dict) else [value] for value in (back, expected)]), strict=True
    ):
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert np.ma.allequal(one, other)


def test_where_the_system_does_not_tell(kernels: tuple[Kernel, Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    tf1, tf2 = kernels
    features = arrived(tf1)
    assert found(features) is not None

    def refuse(path: Any, *arguments: Any, **options: Any) -> Any:
        if path == "/proc/self/pagemap":
            raise PermissionError(13, "Permission denied")
        return original(path, *arguments, **options)

    original = open
    monkeypatch.setattr(builtins, "open", refuse)
    assert found(features) is None
    tf2["y"] = features
    assert np.array_equal(tf2["y"], EXPECTED)


def test_a_forked_child_lends_nothing(kernels: tuple[Kernel, Kernel]) -> None:
    features = arrived(kernels[0])
    child = os.fork()
    if not child:
        os._exit(0 if found(features) is None else 1)
    assert os.waitpid(child, 0)[1] == 0, "the segments are its parent's"


def test_ordinary_arrays_are_not_lent() -> None:
    assert found(EXPECTED) is None
    assert found(np.memmap("/proc/self/exe", mode="r")) is None
