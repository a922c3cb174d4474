"""Shared memory between real kernels: to one, to several, from one to another; in threads, and within limits."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import tfkernels
from tests.support.notebooks import run_cells, text
from tests.support.waiting import DEADLINE
from tfkernels import protocol
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, NotPortable, RemoteError
from tfkernels.protocol import MAX_DEPTH, MAX_PARTS, MESSAGE_FORMAT, MIN_VIEW_BYTES
from tfkernels.transfer import decoder, encoder
from tfkernels.transfer.segment_pool import shared
from tfkernels.transfer.shared_memory import reader, writer
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES

LARGE = np.arange(MIN_MAPPED_BYTES, dtype="f4")


@pytest.fixture
def kernels(installed: object) -> tuple[Kernel, Kernel]:
    return tfkernels.kernel("tf1"), tfkernels.kernel("tf2")


def looks(kernel: Kernel | None = None) -> int:
    """How many segments' memory arrays look into, here or there."""
    if kernel is None:
        return reader.views()
    return int(kernel["__import__('tfkernels.transfer.shared_memory.reader', fromlist=['reader']).views()"])


def test_values_go_between_kernels_without_decoding(kernels: tuple[Kernel, Kernel]) -> None:
    tf1, tf2 = kernels
    gc.collect()
    before = looks()
    tf1.run("w = x * 2; seen = 0", inputs={"x": LARGE})
    tf2.run(
        "w += y", inputs={"w": tf1.reference("w"), "first": tf1.reference("x[0]"), "y": 1, "z": tf2.reference("1 + 1")}
    )
    assert looks() == before
    assert looks(tf2) >= 1
    assert np.array_equal(tf2["w"], LARGE * 2 + 1)
    assert tf2["first, y, z"] == (0.0, 1, 2)
    assert tf1["w[-1]"] == LARGE[-1] * 2, "there it stays what it was"
    tf2["again"] = tf1.reference("w")
    assert tf2["again[-1]"] == LARGE[-1] * 2


def test_large_layers_share_one_segment(remote: Kernel) -> None:
    """Nothing large is copied when it arrives, however many parts it has; nothing small keeps the large alive."""
    layers = {f"layer{number}": np.full(1_000_000, number, "f4") for number in range(12)}
    remote.start()
    gc.collect()
    before, there = looks(), looks(remote)
    remote.run(
        "views = [not w.flags.owndata and w.ctypes.data % 64 == 0 for w in layers.values()]", inputs={"layers": layers}
    )
    assert remote["views"] == [True] * len(layers)
    assert looks(remote) == there + 1
    back = remote["{**layers, 'names': __import__('numpy').array(sorted(layers) * 3000)}"]
    assert looks() == before + 1
    names = back.pop("names")
    assert all(not array.flags.owndata and array.ctypes.data % 64 == 0 for array in back.values())
    assert all(np.array_equal(back[name], layers[name]) for name in layers)
    del back
    gc.collect()
    assert names.flags.owndata
    assert names.nbytes > MIN_VIEW_BYTES
    assert looks() == before
    remote.run("del layers")


@contextmanager
def unread() -> Iterator[None]:
    """This process cannot look into anything that travels."""

    def refuse(*_: object) -> None:
        raise AssertionError("somebody looked into it")

    with pytest.MonkeyPatch.context() as patch:
        for module, name in [(decoder, "unpack"), (decoder, "Decoder"), (decoder, "read"), (reader, "read")]:
            patch.setattr(module, name, refuse)
        yield


def test_references_are_not_decoded_here(
    kernels: tuple[Kernel, Kernel],
) -> None:
    tf1, tf2 = kernels
    tf1.run("w = {'large': x, 'small': [1, 'a', x[:3]]}", inputs={"x": LARGE})
    with unread():
        with pytest.raises(AssertionError, match="looked into"):
            tf1["w"]
        tf2.run("now = w", inputs={"w": tf1.reference("w")})
        tf2.submit("later = w", inputs={"w": tf1.reference("w")}).result(DEADLINE)
    for name in ("now", "later"):
        assert np.array_equal(tf2[f"{name}['large']"], LARGE)
        assert tf2[f"{name}['small'][:2], {name}['small'][2].tolist()"] == ([1, "a"], [0, 1, 2])


UNREAD = """
from tfkernels.transfer import decoder
from tfkernels.transfer.shared_memory import reader
def refuse(*_):
    raise AssertionError("somebody looked into it")
decoder.unpack = decoder.Decoder = decoder.read = reader.read = refuse
"""


def test_references_are_not_decoded_in_notebooks(installed: object) -> None:
    *_, moved = run_cells(
        "python3",
        "%load_ext tfkernels",
        "%%tf1\nimport numpy as np\nw = {'a': np.arange(1e6)}",
        UNREAD,
        "%%tf2 -i w=tf1:w['a']*2 -i first=tf1:w['a'][:3]\nprint(w[-1], first.tolist())",
    )
    assert text(moved) == "1999998.0 [0.0, 1.0, 2.0]\n"


COUNTING = """
from tfkernels.transfer import encoder
sizes = []
def write(segment, pieces, temporary, real=encoder.write):
    sizes.append(sum(len(data) for _, data in pieces))
    real(segment, pieces, temporary)
encoder.write = write
"""


def test_a_value_for_several_kernels_is_written_once(
    kernels: tuple[Kernel, Kernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def write(segment: int, pieces: writer.Pieces, temporary: Collection[int]) -> None:
        sizes.append(sum(len(data) for _, data in pieces))
        writer.write(segment, pieces, temporary)

    monkeypatch.setattr(encoder, "write", write)
    sums = tfkernels.each(["tf1", "tf2"], "s = float(x[-1])", inputs={"x": LARGE}, outputs={"s": "s"})["s"]
    assert sums == {"tf1": LARGE[-1], "tf2": LARGE[-1]}
    (size,) = sizes
    assert LARGE.nbytes <= size < LARGE.nbytes + 1000


def test_each_writes_a_value_once_in_notebooks(installed: object) -> None:
    *_, counted = run_cells(
        "python3",
        "%load_ext tfkernels",
        COUNTING + "import numpy as np\nx = np.ones(10**6)",
        "%%each tf1 tf2 -i x -o s\ns = float(x.sum())",
        "print(s, [size // 1000 for size in sizes])",
    )
    assert text(counted) == "{'tf1': 1000000.0, 'tf2': 1000000.0} [8000]\n"


def cycle() -> list[object]:
    made: list[object] = [1]
    made.append([made])
    return made


def deep() -> list[object]:
    made: list[object] = []
    for _ in range(MAX_DEPTH + 1):
        made = [made]
    return made


TOO_MUCH: dict[str, Callable[[], object]] = {
    "contains itself": cycle,
    "nested deeper": deep,
    "more than": lambda: [None] * (MAX_PARTS + 1),
}
TOO_MUCH_THERE = {
    "contains itself": "bad = [1]; bad.append([bad])",
    "nested deeper": f"bad = []\nfor _ in range({MAX_DEPTH} + 1): bad = [bad]",
    "more than": f"bad = [None] * ({MAX_PARTS} + 1)",
}


@pytest.mark.parametrize("why", TOO_MUCH)
def test_limits_are_told_before_anything_is_written(kernels: tuple[Kernel, Kernel], why: str) -> None:
    tf1, tf2 = kernels
    tf2.run("ran = 0")
    shared.close()
    with pytest.raises(NotPortable, match=f"^bad.*{why}"):
        tf2.run("ran = 1", inputs={"good": LARGE, "w": tf1.reference("LARGE"), "bad": TOO_MUCH[why]()})
    assert (shared.stats().kept, shared.stats().taken) == ([], []), "no segment was taken"
    with pytest.raises(ExchangeError, match=f"^bad.*{why}"):
        tf2.run(TOO_MUCH_THERE[why], inputs={}, outputs={"good": "__import__('numpy').ones(10**6)", "bad": "bad"})
    assert [segment.size for segment in shared.stats().kept] == [0], "one was taken for it, and is as it was"
    assert tf2["ran"] == 0
    tf2.run("del bad")


def test_untransferable_references_bind_nothing(kernels: tuple[Kernel, Kernel]) -> None:
    tf1, tf2 = kernels
    tf1.run("ran = 0\ndef count():\n    global ran\n    ran += 1\n    return ran")
    tf2.run("a = 0")
    with pytest.raises(ExchangeError, match=r"w: objects of type builtins\.object"):
        tf2.run("a = 1", inputs={"a": 2, "w": tf1.reference("object()")})
    with pytest.raises(RemoteError, match="ZeroDivisionError in kernel tf1"):
        tf2.run("a = 1", inputs={"a": 2, "w": tf1.reference("1/0")})
    with pytest.raises(ExchangeError, match="b: objects of type"):
        tf2.run("a = 1", inputs={"w": tf1.reference("count()"), "b": object()})
    assert tf2["a"] == 0
    assert tf1["ran"] == 0, "what cannot travel is found first"


def test_one_writing_for_two_kernels(kernels: tuple[Kernel, Kernel]) -> None:
    tf1, tf2 = kernels
    source = LARGE.copy()
    with tfkernels.pack({"x": source, "n": 3}) as packed:
        source[:] = 0
        for kernel in (tf1, tf2):
            assert kernel.run("x *= n", inputs=packed, outputs={"s": "x[1:4]"})["s"].tolist() == [3, 6, 9]
    with pytest.raises(ExchangeError, match="Pack them again"):
        tf1.run("", inputs=packed)


def test_threads_that_send_at_the_same_time(kernels: tuple[Kernel, Kernel]) -> None:
    wrong: list[object] = []

    def exchange(kernel: Kernel, number: int) -> None:
        for size in (10, MIN_MAPPED_BYTES):
            array = np.full(size, number, "f8")
            back = kernel.run(f"y{number} = x + 1", inputs={"x": array}, outputs={"y": f"y{number}"})["y"]
            wrong.extend({number + 1.0} ^ set(back.tolist()))

    threads = [threading.Thread(target=exchange, args=(kernels[number % 2], number)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert not wrong


@pytest.mark.parametrize("other", [MESSAGE_FORMAT - 1, MESSAGE_FORMAT + 1])
def test_a_kernel_with_an_older_or_newer_tfkernels(remote: Kernel, other: int, monkeypatch: pytest.MonkeyPatch) -> None:
    remote["a"] = 0
    monkeypatch.setattr(protocol, "MESSAGE_FORMAT", other)
    with pytest.raises(ExchangeError, match=rf"writes format {other} .*tfkernels install"):
        remote["a"] = 1
    with pytest.raises(ExchangeError, match=rf"reads format {other}\..*tfkernels install"):
        remote["a"]
    monkeypatch.undo()
    assert remote["a"] == 0


def test_replies_skip_the_pause_only_for_tfkernels(remote: Kernel) -> None:
    """Other clients go on at the reply, and ipykernel's pause lets them see what was printed before."""
    pause = "get_ipython().kernel._execute_sleep"
    remote.run(f"during = {pause}; import asyncio", inputs={"x": 1})
    remote.run(f"asyncio.get_event_loop().call_later(0.1, lambda: globals().update(after={pause}))")
    threading.Event().wait(0.3)
    assert remote["during, after"] == (0, 0.0005)
