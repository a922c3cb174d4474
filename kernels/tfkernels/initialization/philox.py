"""Philox 2x32-10, the counter-based generator of Salmon et al. (2011), of integer operations that all releases have.

Its numbers depend on a stream and on a place in it alone: not on a state, an order of calls, NumPy or the machine.
"""

import hashlib
from typing import Any, NamedTuple

import numpy as np

_ROUNDS = 10
_FACTOR = 0xD256D193
_WEYL = 0x9E3779B9
_LOW = 0xFFFFFFFF


class Stream(NamedTuple):
    """Numbers of one purpose: the generator's key, and the upper half of its counter; 32 bits each."""

    key: int
    high: int


def stream(*names: Any) -> Stream:
    """The stream of these names: texts, or numbers as text."""
    digest = hashlib.sha256("\x00".join(map(str, names)).encode("utf-8")).digest()
    return Stream(int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:8], "little"))


class _NumPy:
    """Operations on words of 32 bits, in unsigned integers of 64 bits."""

    @staticmethod
    def product(words: Any, factor: int) -> Any:
        return words * np.uint64(factor)

    @staticmethod
    def upper(words: Any) -> Any:
        return words >> np.uint64(32)

    @staticmethod
    def lower(words: Any) -> Any:
        return words & np.uint64(_LOW)

    @staticmethod
    def differing(words: Any, others: Any) -> Any:
        return words ^ (np.uint64(others) if isinstance(others, int) else others)


def rounds(low: Any, high: Any, key: int, operations: Any = _NumPy) -> Any:
    """Two words of 32 bits for each counter ``(low, high)``, arrays or, with other ``operations``, tensors."""
    for _ in range(_ROUNDS):
        product = operations.product(low, _FACTOR)
        mixed = operations.differing(operations.differing(operations.upper(product), key), high)
        low, high = mixed, operations.lower(product)
        key = (key + _WEYL) & _LOW
    return low, high


def bits(given: Stream, start: int, count: int) -> Any:
    """The 64 bits at the places from ``start`` on, as unsigned integers."""
    low = np.arange(start, start + count, dtype=np.uint64)
    low, high = rounds(low, np.full(count, given.high, np.uint64), given.key)
    return (high << np.uint64(32)) | low
