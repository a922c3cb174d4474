"""Arrays of random numbers that are equal to the last bit with every NumPy: additions, products and roots only.

A logarithm, or a sum whose order NumPy chooses, differs in the last digit from one build of NumPy to another.
"""

from typing import Any, Sequence

import numpy as np

from tfkernels.initialization.philox import Stream, bits
from tfkernels.models.initializers import Initializer, distribution

_BLOCK = 2**16
_TWO = 2.0  # where a truncated normal distribution ends, in standard deviations
_BELOW_TWO = 0.022750131948179195  # the share of a normal distribution below -2
_LN2 = 0.6931471805599453


def draw(given: Initializer, shape: Sequence[int], source: Stream) -> Any:
    """What a weight of this shape begins with: float64. Parameters are rounded to float32, as those of graphs are."""
    name, settings = given.name, given.settings
    if name == "variance_scaling":
        name, first, second = distribution(given, shape)
    elif name in ("random_uniform", "random_normal", "truncated_normal"):
        first, second = settings.values()
    if name in ("zeros", "ones"):
        return np.full(shape, float(name == "ones"))
    if name == "constant":
        return np.broadcast_to(np.asarray(settings["value"], np.float64), shape).copy()
    if name == "identity":
        return settings["gain"] * np.eye(shape[0], shape[1])
    if name == "orthogonal":
        return settings["gain"] * orthogonal(shape, source)
    first, second = float(np.float32(first)), float(np.float32(second))
    if name == "random_uniform":
        return first + uniform(shape, source) * (second - first)
    standard = normal(shape, source) if name == "random_normal" else truncated_normal(shape, source)
    return first + standard * second


def uniform(shape: Sequence[int], source: Stream) -> Any:
    """From 0 to 1, without 0 and 1 themselves."""
    size = int(np.prod(shape, dtype=np.int64))
    values = np.empty(size)
    for start in range(0, size, _BLOCK):
        block = bits(source, start, min(_BLOCK, size - start))
        values[start : start + _BLOCK] = ((block >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return values.reshape(shape)


def normal(shape: Sequence[int], source: Stream) -> Any:
    return _by_block(normal_quantile, uniform(shape, source))


def truncated_normal(shape: Sequence[int], source: Stream) -> Any:
    """A standard normal distribution without what is beyond 2."""
    return _by_block(
        lambda share: np.clip(normal_quantile(_BELOW_TWO + share * (1 - 2 * _BELOW_TWO)), -_TWO, _TWO),
        uniform(shape, source),
    )


def _by_block(function: Any, values: Any) -> Any:
    flat = values.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        flat[start : start + _BLOCK] = function(flat[start : start + _BLOCK])
    return values


def orthogonal(shape: Sequence[int], source: Stream) -> Any:
    """A random matrix with orthonormal columns, or rows if these are fewer, uniformly distributed (Stewart, 1980)."""
    rows, columns = int(np.prod(shape[:-1], dtype=np.int64)), int(shape[-1])
    many, few = max(rows, columns), min(rows, columns)
    vectors = normal((many, few), source)
    matrix = np.eye(many, few)
    for number in range(few - 1, -1, -1):
        vector = vectors[number:, number].copy()
        norm = np.sqrt(_sum(vector * vector))
        sign = 1.0 if vector[0] >= 0 else -1.0
        vector[0] += sign * norm
        part = matrix[number:, number:]
        part -= vector[:, None] * (_sum(vector[:, None] * part) * (2 / _sum(vector * vector)))
        part[:, 0] *= -sign
    return (matrix if rows >= columns else matrix.T).reshape(shape)


def _sum(values: Any) -> Any:
    """Along the first axis, by halves: in an order that does not depend on NumPy."""
    while len(values) > 1:
        half = len(values) // 2
        rest = values[2 * half :]
        values = values[:half] + values[half : 2 * half]
        if len(rest):
            values = np.concatenate([values, rest])
    return values[0]


def normal_quantile(share: Any) -> Any:
    """The inverse of the normal distribution's function: algorithm AS 241 (Wichura, 1988), exact to 1e-15."""
    middle = share - 0.5
    inner = 0.180625 - middle * middle
    found = middle * ratio(inner, MIDDLE)
    outside = inner < 0
    root = np.sqrt(-_log(np.minimum(share[outside], 1 - share[outside])))
    tail = np.where(root <= 5, ratio(root - 1.6, NEAR_TAIL), ratio(root - 5.0, _FAR_TAIL))
    found[outside] = np.where(middle[outside] < 0, -tail, tail)
    return found


def _log(values: Any) -> Any:
    mantissa, exponent = np.frexp(values)
    small = mantissa < 0.70710678118654757
    mantissa = np.where(small, 2 * mantissa, mantissa)
    part = (mantissa - 1) / (mantissa + 1)
    square = part * part
    series = np.zeros_like(square)
    for odd in range(23, 0, -2):
        series = series * square + 1.0 / odd
    return 2 * part * series + (exponent - small) * _LN2


def ratio(x: Any, coefficients: Any) -> Any:
    """The ratio of two polynomials of ``x``, an array or a tensor."""
    above: Any = 0.0
    below: Any = 0.0
    for up, down in zip(*coefficients):
        above, below = above * x + up, below * x + down
    return above / below


MIDDLE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)  # fmt: skip
NEAR_TAIL = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)  # fmt: skip
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)  # fmt: skip
