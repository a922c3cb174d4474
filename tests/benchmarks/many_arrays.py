"""10,000 small arrays in a nested dict, beside one array with as many bytes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import tfkernels
from tests.benchmarks.rows import Row, measure


def run() -> Iterator[list[Row]]:
    one = np.ones(250_000, np.float32)
    many = {f"layer {i}": {f"w{j}": np.ones(25, np.float32) for j in range(100)} for i in range(100)}
    for name in ("tf1", "tf2"):
        kernel = tfkernels.kernel(name)
        jobs = {
            "one array": lambda kernel=kernel: kernel.__setitem__("x", one),
            "10,000 arrays": lambda kernel=kernel: kernel.__setitem__("x", many),
        }
        yield measure(f"1 MB to {name}", jobs, 15)
