"""What a comparison with full statistics costs, beside functions that say less."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import partial

import numpy as np

import tfkernels
from tests.benchmarks.rows import Job, Row, measure

ELEMENTS = 62_500_000
"""Of float32: 250 MB on each side."""

ROUNDS = 5

RTOL, ATOL = 1e-5, 1e-6


def pair() -> tuple[np.ndarray, np.ndarray]:
    """Random values, and the same ones a few units in the last place away: every element differs a little."""
    random = np.random.default_rng(0)
    a = random.standard_normal(ELEMENTS, np.float32)
    b = a.copy()
    for start in range(0, ELEMENTS, 1 << 20):
        part = b[start : start + (1 << 20)]
        part *= 1 + np.float32(1e-6) * random.standard_normal(len(part), np.float32)
    return a, b


def peak(job: Job) -> float:
    """Megabytes that it allocates at most; tracemalloc knows NumPy's, and not torch's."""
    tracemalloc.start()
    job()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most / 1e6


def run() -> Iterator[list[Row]]:
    a, b = pair()
    jobs: dict[str, Job] = {
        "np.allclose (yes or no)": partial(np.allclose, a, b, rtol=RTOL, atol=ATOL),
        "tfkernels.compare": partial(tfkernels.compare, a, b),
        "np.testing.assert_allclose": partial(np.testing.assert_allclose, a, b, rtol=RTOL, atol=ATOL),
    }
    yield [Row("compare 2 x 250 MB float32, memory", way, (peak(job),), "MB") for way, job in jobs.items()]
    try:
        import torch
    except ImportError:
        pass  # not in the bench group: 200 MB for one row
    else:
        x, y = torch.from_numpy(a), torch.from_numpy(b)
        jobs["torch.testing.assert_close"] = partial(torch.testing.assert_close, x, y, rtol=RTOL, atol=ATOL)
    yield measure("compare 2 x 250 MB float32", jobs, ROUNDS)
    far = b * np.float32(1.01)
    yield measure(
        "the same, nearly nothing agrees",
        {
            "np.allclose (yes or no)": partial(np.allclose, a, far, rtol=RTOL, atol=ATOL),
            "tfkernels.compare": partial(tfkernels.compare, a, far),
        },
        ROUNDS,
    )
