"""The numbers that decide what a dropout drops, and those of noise, as operations of TensorFlow: Philox in integers.

All releases from 1.4 on have these operations, and integers are exact. So the numbers are equal everywhere.
"""

import sys
from typing import Any, Sequence

import numpy as np

from tfkernels.initialization.draws import MIDDLE, NEAR_TAIL, ratio
from tfkernels.initialization.philox import Stream, rounds, stream
from tfkernels.models.tensorflow_api import v1

_WORD = 2**32 - 1
_BITS = 23
"""Of a number: with one more, a sum with the keep probability would be rounded in float32."""


def stream_of(seed: int, layer: str, number: int) -> Stream:
    """The stream of the ``number``-th draw in a call of ``layer``."""
    return stream("dropout", seed, layer, number)


def tensor(shape: Any, source: Stream, step: Any) -> Any:
    """Numbers from 0 to 1 in float32: the same for the same ``step``, a scalar of int64 that counts the calls."""
    tensorflow: Any = sys.modules["tensorflow"]
    size = tensorflow.cast(tensorflow.reduce_prod(shape), tensorflow.int64)
    zero, one = (tensorflow.constant(number, tensorflow.int64) for number in (0, 1))
    places = tensorflow.range(zero, size, one)
    low, _ = rounds(places, step + tensorflow.zeros_like(places), source.key, _TensorFlow)
    numbers = tensorflow.cast(_right(low, 32 - _BITS), tensorflow.float32)
    return tensorflow.reshape((numbers + 0.5) * np.float32(2.0**-_BITS), shape)


def normal_tensor(shape: Any, source: Stream, step: Any) -> Any:
    """The same of the normal distribution. Releases differ in the last digit of a logarithm at most."""
    tensorflow: Any = sys.modules["tensorflow"]
    share = tensorflow.cast(tensor(shape, source, step), tensorflow.float64)
    middle = share - 0.5
    inner = 0.180625 - middle * middle
    root = tensorflow.sqrt(-v1().log(tensorflow.minimum(share, 1 - share)))  # below 5, as shares have 23 bits
    tail = tensorflow.sign(middle) * ratio(root - 1.6, NEAR_TAIL)
    numbers = v1().where(inner < 0, tail, middle * ratio(inner, MIDDLE))
    return tensorflow.cast(numbers, tensorflow.float32)


def array(shape: Sequence[int], source: Stream, step: int) -> Any:
    """The same by NumPy."""
    size = int(np.prod(shape, dtype=np.int64))
    low, _ = rounds(np.arange(size, dtype=np.uint64), np.full(size, step, np.uint64), source.key)
    numbers = (low >> np.uint64(32 - _BITS)).astype(np.float32)
    return ((numbers + np.float32(0.5)) * np.float32(2.0**-_BITS)).reshape(shape)


class _TensorFlow:
    """Operations on words of 32 bits, in signed integers of 64 bits, in which products may wrap."""

    @staticmethod
    def product(words: Any, factor: int) -> Any:
        return words * factor

    @staticmethod
    def upper(words: Any) -> Any:
        return _TensorFlow.lower(_right(words, 32))

    @staticmethod
    def lower(words: Any) -> Any:
        return sys.modules["tensorflow"].bitwise.bitwise_and(words, _constant(_WORD))

    @staticmethod
    def differing(words: Any, others: Any) -> Any:
        others = _constant(others) if isinstance(others, int) else others
        return sys.modules["tensorflow"].bitwise.bitwise_xor(words, others)


def _right(words: Any, places: int) -> Any:
    tensorflow: Any = sys.modules["tensorflow"]
    if hasattr(tensorflow.bitwise, "right_shift"):
        return tensorflow.bitwise.right_shift(words, tensorflow.zeros_like(words) + places)
    return words // 2**places  # in TensorFlow 1.4


def _constant(number: int) -> Any:
    tensorflow: Any = sys.modules["tensorflow"]
    return tensorflow.constant(number, tensorflow.int64)
