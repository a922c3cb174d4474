"""Arrays that nobody has but what is being written give their memory back meanwhile; all others keep it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfkernels.transfer.decoder import unpack
from tfkernels.transfer.encoder import ValueMessage, _as_buffer
from tfkernels.transfer.shared_memory import writer
from tfkernels.transfer.shared_memory.mapping import release_pages
from tfkernels.transfer.shared_memory.segment import Segment

COUNT = 2_500_000
SIZE = 4 * COUNT


def made(number: int = 3) -> np.ndarray:
    return np.full(COUNT, number, "f4")


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the parts that were released. Arrays that are smaller than in real life count as large."""
    monkeypatch.setattr(writer, "MIN_RELEASED_BYTES", SIZE)
    sizes: list[int] = []
    real = release_pages

    def release(start: int, size: int) -> None:
        sizes.append(size)
        real(start, size)

    monkeypatch.setattr(writer, "release_pages", release)
    return sizes


HELD: list[Any] = []
"""By the user, as far as a message knows."""


def hold(value: Any) -> Any:
    HELD.append(value)
    return value


def with_a_view(array: np.ndarray) -> list[np.ndarray]:
    return [array, array[:]]


@pytest.mark.parametrize(
    ("value", "given_back"),
    [
        (made, SIZE),
        (lambda: {"a": [made()], "b": 1}, SIZE),
        (lambda: (made(), made()), 2 * SIZE),
        (lambda: np.asfortranarray(made().reshape(1000, -1)), SIZE),
        (lambda: hold(made()), 0),
        (lambda: hold(made())[:], 0),
        (lambda: [hold(made()[5:])], 0),
        (lambda: hold(memoryview(made())).obj, 0),  # type: ignore[arg-type]  # an array is a buffer for NumPy 2's types only
        (lambda: made()[: COUNT // 2], 0),
        (lambda: np.ma.masked_array(hold(made())), 0),
        (lambda: made()[: 10**6].copy(), 0),
        (lambda: with_a_view(made()), 0),
    ],
)
@pytest.mark.parametrize("times", [1, 2], ids=["fresh", "used-again"])
def test_only_what_nobody_else_has_is_given_back(
    value: Callable[[], Any], given_back: int, times: int, ended: list[int]
) -> None:
    HELD.clear()
    with Segment() as segment:
        for _ in range(times):
            ended.clear()
            there = unpack(ValueMessage({"x": value()}).write(segment.descriptor, segment.address, once=True))
            assert sum(ended) == given_back
        assert all((array == 3).all() for array in arrays(there)), "what arrives is what it was"
        assert all((np.asarray(each) == 3).all() for each in HELD), "and so is what others have"
    HELD.clear()


def arrays(value: Any) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else []
    return [array for each in values for array in arrays(each)]


def test_rewritable_messages_keep_their_arrays(ended: list[int]) -> None:
    message = ValueMessage({"x": made()})
    for _ in range(2):
        with Segment() as segment:
            assert (unpack(message.write(segment.descriptor, segment.address))["x"] == 3).all()
    assert ended == []


@pytest.mark.usefixtures("ended")
def test_a_view_has_the_references_of_its_array() -> None:
    array = made()
    assert not writer.is_temporary(_as_buffer(array))
    view = _as_buffer(made())
    alone = writer.is_temporary(view)  # in an assertion, pytest would have it, too
    assert alone
    assert not writer.is_temporary(bytes(SIZE))
