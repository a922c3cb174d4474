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


def rounds(low: Any, high: Any, key: int, shift: Any = None) -> Any:
    """Two words of 32 bits for each counter ``(low, high)``, in integers of 64 bits: arrays or tensors.

    ``shift`` takes the upper 32 bits of a product; for NumPy's unsigned integers it is the operator.
    """
    upper = shift or _upper
    for _ in range(_ROUNDS):
        product = low * _constant(low, _FACTOR)
        low, high = upper(product) ^ _constant(low, key) ^ high, product & _constant(low, _LOW)
        key = (key + _WEYL) & _LOW
    return low, high


def bits(given: Stream, start: int, count: int) -> Any:
    """The 64 bits at the places from ``start`` on, as unsigned integers."""
    low = np.arange(start, start + count, dtype=np.uint64)
    low, high = rounds(low, np.full(count, given.high, np.uint64), given.key)
    return (high << np.uint64(32)) | low


def _upper(product: Any) -> Any:
    return product >> np.uint64(32)


def _constant(like: Any, number: int) -> Any:
    return np.uint64(number) if isinstance(like, np.ndarray) else number
