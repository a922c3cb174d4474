"""Random numbers of initial weights: the same bits everywhere, of the distributions that initializers name."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from tfkernels.initialization import draws
from tfkernels.initialization.philox import bits, rounds, stream
from tfkernels.models.initializers import Initializer, initializer

_SOURCE = stream("weight", 7, "dense/kernel")


def _named(value: Any) -> Initializer:
    found = initializer(value)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), 0, (0xFF1DAE59, 0x6CD10DF2)),
        ((0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF, (0x2C3F628B, 0xAB4FD7AD)),
        ((0x243F6A88, 0x85A308D3), 0x13198A2E, (0xDD7CE038, 0xF62A4C12)),
    ],
)
def test_generator_gives_its_authors_known_answers(counter: tuple[int, int], key: int, words: tuple[int, int]) -> None:
    first, second = (np.array([word], np.uint64) for word in counter)
    low, high = rounds(first, second, key)
    assert (int(low[0]), int(high[0])) == words


def test_a_number_depends_on_its_place_alone() -> None:
    assert np.array_equal(bits(_SOURCE, 0, 100)[40:], bits(_SOURCE, 40, 60))
    others = [stream("weight", 8, "dense/kernel"), stream("weight", 7, "dense/bias")]
    assert not any(np.isin(bits(other, 0, 100), bits(_SOURCE, 0, 100)).any() for other in others)


def test_drawn_bits_never_change() -> None:
    drawn = [
        draws.draw(_named(name), (24, 40), _SOURCE).astype(np.float32)
        for name in ("glorot_uniform", "he_normal", "random_normal", "orthogonal")
    ]
    found = hashlib.sha256(b"".join(array.tobytes() for array in drawn)).hexdigest()
    assert found[:16] == "c043b28760221b6f"


def test_distributions_have_their_moments_and_bounds() -> None:
    shape = (400, 500)
    uniform = draws.draw(_named("glorot_uniform"), shape, _SOURCE)
    limit = np.sqrt(6 / 900)
    assert np.abs(uniform).max() <= limit * (1 + 1e-6)
    assert uniform.std() == pytest.approx(limit / np.sqrt(3), rel=5e-3)
    scaled = draws.draw(_named("he_normal"), shape, _SOURCE)
    assert scaled.std() == pytest.approx(np.sqrt(2 / 400), rel=5e-3)
    assert np.abs(scaled).max() <= 2 * np.sqrt(2 / 400) / 0.8796 * 1.001
    normal = draws.draw(Initializer("random_normal", {"mean": 3.0, "stddev": 0.5}), shape, _SOURCE)
    assert (normal.mean(), normal.std()) == pytest.approx((3.0, 0.5), rel=5e-3)
    assert ((normal - 3) ** 4).mean() / 0.5**4 == pytest.approx(3, rel=0.03)


def test_quantiles_of_the_normal_distribution_are_exact() -> None:
    shares = np.array([1e-300, 1e-12, 0.022750131948179195, 0.5, 0.8413447460685429, 0.9986501019683699])
    assert draws.normal_quantile(shares) == pytest.approx([-37.0471, -7.034484, -2.0, 0.0, 1.0, 3.0], rel=1e-6)


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (3, 3, 2, 8), (1, 5)])
def test_orthogonal_weights_are_orthonormal(shape: tuple[int, ...]) -> None:
    matrix = draws.draw(Initializer("orthogonal", {"gain": 2.0}), shape, _SOURCE).reshape(-1, shape[-1])
    small = matrix @ matrix.T if len(matrix) < shape[-1] else matrix.T @ matrix
    assert np.allclose(small, 4 * np.eye(len(small)), atol=1e-12)


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("glorot_uniform", "glorot_uniform"),
        ({"class_name": "GlorotUniformV2", "config": {"seed": None}}, "glorot_uniform"),
        (
            {"class_name": "VarianceScaling", "config": {"scale": 2, "mode": "fan_in", "distribution": "normal"}},
            "he_normal",
        ),
        ({"class_name": "Constant", "config": {"value": 1}}, "ones"),
        (
            {"class_name": "RandomUniform", "config": {"minval": 0, "maxval": None}},
            "random_uniform(minval=0, maxval=1)",
        ),
        ({"module": "keras.initializers", "class_name": "Zeros", "config": {}}, "zeros"),
        ("truncated_normal", "truncated_normal(mean=0, stddev=0.05)"),
        ("of_somebody", "None"),
    ],
)
def test_one_initializer_has_one_text(written: Any, text: str) -> None:
    assert str(initializer(written)) == text
