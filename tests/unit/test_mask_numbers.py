"""Numbers of dropout masks: uniform, and another one for each call, layer and seed."""

from __future__ import annotations

import numpy as np

from tfkernels.initialization import mask_numbers

_SOURCE = mask_numbers.stream_of(7, "dropout", 0)


def test_mask_drops_the_share_that_its_rate_says() -> None:
    numbers = mask_numbers.array((300, 400), _SOURCE, 0)
    assert numbers.dtype == np.float32
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert abs((numbers < 0.3).mean() - 0.3) < 0.005


def test_each_call_layer_and_seed_has_its_own_mask() -> None:
    others = [
        (_SOURCE, 1),
        (mask_numbers.stream_of(7, "dropout_1", 0), 0),
        (mask_numbers.stream_of(7, "dropout", 1), 0),
        (mask_numbers.stream_of(8, "dropout", 0), 0),
    ]
    first = mask_numbers.array((100, 100), _SOURCE, 0).ravel()
    for source, step in others:
        other = mask_numbers.array((100, 100), source, step).ravel()
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.05


def test_a_smaller_batch_begins_like_a_larger_one() -> None:
    assert np.array_equal(mask_numbers.array((5, 8), _SOURCE, 3), mask_numbers.array((9, 8), _SOURCE, 3)[:5])


def test_rate_and_keep_probability_drop_the_same() -> None:
    numbers = mask_numbers.array((500, 500), _SOURCE, 0)
    for rate in np.arange(1, 10, dtype=np.float32) / np.float32(10):
        kept = np.floor(np.float32(1) - rate + numbers)
        assert np.array_equal(kept == 1, numbers >= rate)
