"""Convolutions in two dimensions, with the paddings that programs choose."""

from __future__ import annotations

from typing import Iterator, Tuple

import numpy as np

from tfkernels.diagnosis.numbers import Array

Pads = Tuple[Tuple[int, int], Tuple[int, int]]


def convolve(x: Array, kernel: Array, stride: tuple[int, int], pads: Pads) -> Array:
    """``x`` is (batch, rows, columns, channels)."""
    x = np.pad(x, ((0, 0), *pads, (0, 0)))
    rows = (x.shape[1] - kernel.shape[0]) // stride[0] + 1
    columns = (x.shape[2] - kernel.shape[1]) // stride[1] + 1
    y = np.zeros((x.shape[0], rows, columns, kernel.shape[3]))
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            part = x[:, i : i + rows * stride[0] : stride[0], j : j + columns * stride[1] : stride[1]]
            y += part @ kernel[i, j]
    return y


def paddings(
    x: tuple[int, ...], y: tuple[int, ...], kernel: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, int], Pads]]:
    """The paddings and strides that give ``y``'s shape: TensorFlow's SAME, symmetric (as PyTorch's), and VALID."""
    for stride in (1, 2, 3, 4):
        needed = [(y[axis] - 1) * stride + kernel[axis - 1] - x[axis] for axis in (1, 2)]
        if [-(-x[axis] // stride) for axis in (1, 2)] == [y[1], y[2]]:
            total = [max(each, 0) for each in needed]
            yield "same", (stride, stride), _pads(total, [each // 2 for each in total])
            if any(each % 2 for each in total):
                yield "same, the odd pixel before", (stride, stride), _pads(total, [-(-each // 2) for each in total])
                even = [each + each % 2 for each in total]
                yield "symmetric", (stride, stride), _pads(even, [each // 2 for each in even])
        if all(-stride < each <= 0 for each in needed):
            yield "valid", (stride, stride), ((0, 0), (0, 0))


def _pads(total: list[int], before: list[int]) -> Pads:
    return ((before[0], total[0] - before[0]), (before[1], total[1] - before[1]))
