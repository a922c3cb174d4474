"""The comparison: every number against a plain calculation of it.

Runs under the test suite's own Python, and (``test_old_pythons.py``) under TensorFlow 1.15's with its NumPy.
"""

import math
import struct
import sys
import tracemalloc
import typing

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.comparisons import only
from tfkernels.comparison import DEFAULTS, compare
from tfkernels.comparison.statistics import one_pass
from tfkernels.comparison.statistics.chart_data import SIZE, positions

FLOATS = ["float16", "float32", "float64"]


def pairs(dtype: str) -> typing.Any:
    """Two arrays of one shape: unrelated ones, and ones a few units apart."""
    elements = npst.from_dtype(np.dtype(dtype))
    shapes = npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=6)

    def two(shape: typing.Any) -> typing.Any:
        array = npst.arrays(dtype, shape, elements=elements)
        near = st.tuples(array, npst.arrays(np.int8, shape)).map(lambda found: (found[0], nudged(*found)))
        return st.one_of(st.tuples(array, array), near)

    return shapes.flatmap(two)


def nudged(array: typing.Any, steps: typing.Any) -> typing.Any:
    """Some numbers on, as long as they stay finite and of one sign."""
    bits = array.reshape(-1).view(f"i{array.itemsize}")
    moved = (bits + steps.reshape(-1).astype(bits.dtype)).view(array.dtype).reshape(array.shape)
    return np.where(np.isfinite(array) & np.isfinite(moved), moved, array)


def place(number: typing.Any) -> int:
    """Where a float stands among all floats of its dtype, zero being 0."""
    size = number.dtype.itemsize
    (bits,) = struct.unpack({2: "=H", 4: "=I", 8: "=Q"}[size], number.tobytes())
    sign = 1 << (8 * size - 1)
    return typing.cast(int, bits if bits < sign else sign - bits)


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data(), rtol=st.sampled_from([0, 1e-6, 1e-3, 0.5]), atol=st.sampled_from([0, 1e-8, 1e-3, 2.0]))
def test_statistics_of_floats(dtype: str, data: typing.Any, rtol: float, atol: float) -> None:
    a, b = data.draw(pairs(dtype))
    part = only(a, b, rtol=rtol, atol=atol, equal_nan=False)
    found = part.statistics
    work = np.float32 if dtype == "float16" else np.dtype(dtype).type
    with np.errstate(all="ignore"):
        x, y = a.astype(work), b.astype(work)
        finite = np.isfinite(x) & np.isfinite(y)
        error = np.abs(x - y)
        size = np.maximum(np.abs(x), np.abs(y))
        within = np.where(finite, error - work(rtol) * size <= work(atol), x == y)
        relative = error / np.maximum(size, max(work(atol), np.finfo(work).tiny))
    assert found.size == a.size
    assert found.mismatched == np.count_nonzero(~within)
    assert part.passed == bool(within.all())
    assert part.verdict == ("different" if not within.all() else "close" if (x != y).any() else "equal")
    assert found.non_finite.nan_in_both == np.count_nonzero(np.isnan(x) & np.isnan(y))
    assert found.non_finite.nan_in_baseline == np.count_nonzero(np.isnan(x) & ~np.isnan(y))
    assert found.non_finite.nan_in_other == np.count_nonzero(~np.isnan(x) & np.isnan(y))
    assert found.non_finite.infinite_and_equal == np.count_nonzero(np.isinf(x) & (x == y))
    if not finite.any():
        assert found.max_absolute_error is None
        return
    if np.isinf(error[finite]).any():
        return  # too far apart for this calculation; see test_values_too_far_apart_for_their_dtype
    for extreme, errors in ((found.max_absolute_error, error), (found.max_relative_error, relative)):
        assert extreme.error == errors[finite].max()
        assert errors[extreme.index] == extreme.error
        assert (extreme.baseline, extreme.other) == (a[extreme.index], b[extreme.index])
    if found.mismatched and found.first_mismatch is None:
        assert not within[found.worst.index], "the worst is one that differs"
    for mean, errors in ((found.mean_absolute_error, error), (found.mean_relative_error, relative)):
        with np.errstate(over="ignore"):
            expected = errors[finite].astype(np.float64).mean()
        if expected < np.finfo(work).max / a.size:
            assert mean == pytest.approx(expected, rel=1e-5, abs=float(np.finfo(work).tiny))
    distances = [abs(place(one) - place(two)) for one, two in zip(a[finite], b[finite])]
    assert found.max_ulp == max(distances)
    assert found.median_ulp == np.median(distances)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(data=st.data(), rtol=st.sampled_from([0, 1e-6, 1e-3]), atol=st.sampled_from([0, 1e-8, 1e-3]))
def test_reported_minimum_tolerances_are_exact(dtype: str, data: typing.Any, rtol: float, atol: float) -> None:
    a, b = data.draw(pairs(dtype))
    found = only(a, b, rtol=rtol, atol=atol).statistics
    if found.first_mismatch is not None:
        assert found.min_atol is None
        assert found.min_rtol is None
        return
    if found.min_atol < np.finfo(dtype).max:
        assert only(a, b, rtol=rtol, atol=found.min_atol).passed
        number = np.dtype(dtype).type
        if found.min_atol:
            assert not only(a, b, rtol=rtol, atol=float(np.nextafter(number(found.min_atol), number(0)))).passed
    if found.min_rtol < np.finfo(dtype).max:
        assert only(a, b, rtol=found.min_rtol, atol=atol).passed
        slack = 20 * np.finfo(dtype).eps
        subnormal = any(0 < abs(value) < np.finfo(dtype).tiny / slack for value in (*a.flat, *b.flat))
        if found.min_rtol > 1000 * slack and atol == 0 and not subnormal:  # rounding is coarse there
            assert not only(a, b, rtol=found.min_rtol * (1 - slack), atol=atol).passed


@given(data=st.data())
def test_it_does_not_matter_which_comes_first(data: typing.Any) -> None:
    a, b = data.draw(pairs("float32"))
    one, two = only(a, b), only(b, a)
    assert one.verdict == two.verdict
    assert one.statistics.mismatched == two.statistics.mismatched
    assert one.statistics.min_atol == two.statistics.min_atol


def test_integers_in_lists_and_under_patterns_are_exact() -> None:
    assert not only(np.array([10_000_000]), [10_000_001]).passed
    assert not only(np.array([2**53 + 1]), [2**53]).passed
    assert not only({"ids": np.array([20_000_000])}, {"ids": np.array([20_000_001])}, rtol={"*": 1e-6}).passed
    part = only({"n": np.array([2**53 + 1])}, {"n": np.array([2**53])}, rtol={"n": 1e-10})
    assert part.verdict == "close"
    found = only(np.array([1, 200, 7]), np.array([1, 100, 8])).statistics
    assert found.max_relative_error.error == 0.5
    assert (found.min_atol, found.worst.index) == (100, (1,))
    assert only({"n": np.array([200])}, {"n": np.array([100])}, rtol={"n": found.min_rtol}).passed
    one, two = {"n": np.array([7, 9], "u1")}, {"n": np.array([8, 9], "u1")}
    assert only(one, two, atol={"n": 2}).statistics.min_rtol == 0, "an atol that is an integer does not wrap around"


@given(data=st.data(), dtypes=st.lists(npst.integer_dtypes() | npst.unsigned_integer_dtypes(), min_size=2, max_size=2))
def test_integers_are_exact_and_do_not_overflow(data: typing.Any, dtypes: typing.Any) -> None:
    shape = data.draw(npst.array_shapes(max_side=5))
    a, b = (data.draw(npst.arrays(dtype, shape)) for dtype in dtypes)
    part = only(a, b, rtol=1.0, atol=1.0)
    errors = [abs(int(x) - int(y)) for x, y in zip(a.flat, b.flat)]
    assert part.statistics.mismatched == sum(error > 0 for error in errors)
    assert part.passed == (max(errors) == 0)
    assert part.statistics.max_absolute_error.error == pytest.approx(max(errors))
    assert part.statistics.mean_absolute_error == pytest.approx(sum(errors) / len(errors))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_numbers_by_their_magnitude(dtype: str) -> None:
    a = np.array([3 + 4j, 1, 0], dtype)
    b = a.copy()
    b[0] += 0.3 + 0.4j
    found = only(a, b).statistics
    assert found.max_absolute_error.error == pytest.approx(0.5)
    assert found.max_relative_error.error == pytest.approx(0.5 / 5.5)
    real = a.real.dtype.type
    assert found.max_ulp == max(abs(place(real(3)) - place(real(3.3))), abs(place(real(4)) - place(real(4.4))))
    assert found.cosine_similarity == pytest.approx(28.5 / (math.sqrt(26) * math.sqrt(31.25)))


def test_dtypes_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="has no build for this Python; the newest one has")
    for name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
        a = np.array([1, 2, 4], getattr(ml_dtypes, name))
        b = a.copy()
        b[1] = 7
        part = only(a, b)
        assert part.statistics.mismatched == 1
        assert part.statistics.max_absolute_error.index == (1,)
        assert only(a, a).verdict == "equal"
    steps = np.array([1.0, 1.0078125], ml_dtypes.bfloat16)  # neighbours
    assert only(steps[:1], steps[1:]).statistics.max_ulp == 1
    assert only(steps[:1], steps[1:]).tolerance.rtol == DEFAULTS["bfloat16"]
    part = only(np.array([1, 2], ml_dtypes.int4), np.array([1, -3], ml_dtypes.int4), atol=9)
    assert part.statistics.mismatched == 1
    assert part.statistics.max_absolute_error.error == 5


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64"])
def test_cosine_similarity(dtype: str) -> None:
    random = np.random.RandomState(2)
    a = random.standard_normal(10_000).astype(dtype)
    assert only(a, a * 2).statistics.cosine_similarity == pytest.approx(1, abs=1e-6)
    assert only(a, -a).statistics.cosine_similarity == pytest.approx(-1, abs=1e-6)
    right_angled = np.concatenate([a, a * 0]), np.concatenate([a * 0, a])
    assert only(*right_angled).statistics.cosine_similarity == pytest.approx(0, abs=1e-6)
    b = (a + random.standard_normal(a.size)).astype(dtype)
    x, y = (values.astype(np.result_type(dtype, np.float64)) for values in (a, b))
    expected = np.vdot(x, y).real / np.sqrt(np.vdot(x, x).real * np.vdot(y, y).real)
    assert only(a, b).statistics.cosine_similarity == pytest.approx(expected, abs=1e-5)
    assert only(a * 0, a).statistics.cosine_similarity is None


@pytest.mark.parametrize("scale", [1 / 3000, 1e-4, 1e20, 1e-22])
def test_cosine_similarity_of_unequal_sizes(scale: float) -> None:
    random = np.random.RandomState(3)
    a = random.standard_normal(10_000).astype(np.float32)
    b = a * np.float32(scale)
    assert only(a, b).statistics.cosine_similarity == pytest.approx(1, abs=1e-5)
    assert only(b, a).statistics.cosine_similarity == pytest.approx(1, abs=1e-5)
    assert only(b, b * 2).statistics.cosine_similarity == pytest.approx(1, abs=1e-5)


def test_values_too_far_apart_for_their_dtype() -> None:
    x, y = np.array([3e38 + 3e38j, 1, 5], "c8"), np.array([0, 2, 7], "c8")
    assert only(x, y).statistics.mismatched == 3
    a, b = np.array([3e38, 1], "f4"), np.array([-3e38, -1], "f4")
    assert only(a, b, rtol=1.5, atol=0).statistics.mismatched == 2
    found = only(a, b, rtol=1.5, atol=0).statistics
    assert found.max_absolute_error.error == found.furthest.error == pytest.approx(6e38)
    assert found.max_relative_error.error == pytest.approx(2)
    assert only(a, b, rtol=2.1, atol=0).passed
    a, b = np.array([1.5e308, 1]), np.array([-1.5e308, -1])
    assert only(a, b, rtol=1.5, atol=0).statistics.mismatched == 2


def test_exploded_values() -> None:
    a = np.zeros(one_pass.UNIT * 2, np.float32)
    b = a.copy()
    a[0], b[0], a[70_000], b[70_000] = 1e25, 1.1e25, 1e25, 0.9e25
    assert only(a, b).statistics.mismatched == 2
    assert only(a, b).statistics.cosine_similarity == pytest.approx(2.0 / math.sqrt(2 * 2.02), rel=1e-5)
    large = np.zeros(one_pass.UNIT * 4)
    large[:: one_pass.UNIT] = 1.5e308
    assert only(large, large * 0).statistics.mismatched == 4
    assert only(large, large * 0).statistics.cosine_similarity is None


def test_one_unit_in_the_last_place() -> None:
    a = np.linspace(-1, 1, 200_000, dtype=np.float32).reshape(400, 500)
    b = a.copy()
    b[123, 456] = np.nextafter(b[123, 456], np.float32(9))
    found = only(a, b, rtol=0, atol=0).statistics
    assert found.mismatched == 1
    assert found.max_ulp == 1
    assert found.max_absolute_error.index == (123, 456)
    assert only(a, b).verdict == "close"
    assert only(np.float32(0), np.float32(-0.0)).verdict == "equal"


def test_nan_at_a_known_place() -> None:
    a = np.ones((300, 400), np.float32)
    b = a.copy()
    b[7, 9] = np.nan
    part = only(a, b)
    assert not part.passed
    assert part.statistics.worst.index == (7, 9)
    assert part.statistics.non_finite.nan_in_other == 1
    assert part.statistics.min_atol is None
    assert only(b, b).verdict == "equal"
    assert not only(b, b, equal_nan=False).passed


def test_near_zero_is_not_nonsense() -> None:
    found = only(np.array([0.0, 1.0], np.float32), np.array([1e-30, 1.0], np.float32)).statistics
    assert found.max_relative_error.error < 1e-20, "relative to no less than atol"


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "complex64", "int32"])
@pytest.mark.parametrize("special", [False, True])
def test_neither_block_size_nor_cores_change_a_result(
    dtype: str, special: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.RandomState(1)
    a = (random.standard_normal(7 * one_pass.UNIT + 123) * 100).astype(dtype)
    b = (a * (1 + 1e-3 * random.standard_normal(a.size))).astype(dtype)
    if special and np.dtype(dtype).kind != "i":
        b[one_pass.UNIT * 2 + 5] = np.nan
        a[one_pass.UNIT * 5] = np.inf
    results = set()
    for block, cores in ((1, 1), (1 << 30, 1), (one_pass.BLOCK, 1), (one_pass.BLOCK, 4), (1, 3)):
        monkeypatch.setattr(one_pass, "BLOCK", block)
        monkeypatch.setattr(one_pass, "CORES", cores)
        monkeypatch.setattr(one_pass, "PARALLEL_FROM", 0)
        results.add(repr(only(a, b, rtol=1e-3, atol=1e-3)))
    assert len(results) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_layout_and_byte_order_do_not_matter(dtype: str) -> None:
    random = np.random.RandomState(1)
    a = (random.standard_normal((31, 17, 5)) * 100).astype(dtype)
    b = (a * 1.01).astype(dtype)
    expected = only(a, b, rtol=1e-3).statistics
    ways: typing.List[typing.Any] = [
        np.asfortranarray,
        lambda x: x.astype(x.dtype.newbyteorder(">")),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    ]
    for way in ways:
        for x, y in ((way(a), b), (a, way(b)), (way(a), way(b))):
            found = only(x, y, rtol=1e-3).statistics
            assert found.mismatched == expected.mismatched
            assert found.max_ulp == expected.max_ulp
            assert found.max_absolute_error.error == expected.max_absolute_error.error
            assert a[found.max_absolute_error.index] == found.max_absolute_error.baseline
            assert found.mean_absolute_error == pytest.approx(expected.mean_absolute_error, rel=1e-5)
            assert found.median_ulp == expected.median_ulp


def test_medians_of_large_arrays_come_from_all_over() -> None:
    for size in (SIZE + 1, 1_000_003, 10**10):
        found = positions(size)
        assert len(found) == SIZE
        assert (np.diff(found) > 0).all()
        assert found[0] >= 0
        assert found[-1] < size
    a = np.ones(1_000_000, np.float32)
    b = a.copy()
    b[::4] = np.nextafter(a[::4], np.float32(2))
    ulps = only(a, b).statistics.sample.ulps
    assert abs(np.count_nonzero(ulps) / len(ulps) - 0.25) < 0.016, "what the module promises"


def test_real_against_complex() -> None:
    for x, y in ((np.ones(3, "f4"), np.ones(3, "c8") + 1j), (np.ones(3, "f4"), np.ones(3, "c16") + 1j)):
        assert only(x, y).statistics.max_ulp == only(y, x).statistics.max_ulp > 10**6


def test_default_tolerance_scales_with_the_values() -> None:
    """Sums whose terms cancel are as inexact as their terms."""
    a = np.array([1000, 1e-4], np.float32)
    assert only(a, a + np.array([0, 1e-3], np.float32)).passed
    small = a * np.float32(1e-12)
    assert only(small, small + np.array([0, 1e-15], np.float32)).passed
    assert not only(small, small + np.array([0, 1e-13], np.float32)).passed, "an absolute one would have hidden it"
    assert only(np.float32(0), np.float32(1e-9)).passed, "a single number has no scale"
    assert only(np.array([0, 3e38], "f4"), np.array([0, 3e38], "f4")).passed


def test_logits_choose_the_same_classes() -> None:
    a = np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.float32)
    b = np.array([[1, 2, 4, 3], [4, 3, 2, 1]], np.float32)
    assert only(a, b, top_k=2).statistics.top_k == {1: 0.5, 2: 1.0}
    assert only(a, b, top_k={"logits": 2}).statistics.top_k == {}
    assert only({"logits": a}, {"logits": b}, top_k={"logits": 2}).statistics.top_k == {1: 0.5, 2: 1.0}
    assert only(a, b, top_k=4).statistics.top_k == {1: 0.5}, "the best four of four say nothing"


def test_pictures_of_image_like_arrays() -> None:
    for shape, index in (
        ((32, 48), (5, 7)),
        ((32, 48, 3), (5, 7, 2)),
        ((10, 32, 48), (9, 5, 7)),
        ((2, 32, 48, 9), (1, 5, 7, 8)),
    ):
        a = np.zeros(shape, np.float32)
        b = a.copy()
        b[index] = 2
        picture = only(a, b).statistics.picture
        assert picture.shape == (32, 48)
        assert np.argwhere(picture).tolist() == [[5, 7]]
        assert picture[5, 7] == 2
    large = only(np.zeros((500, 100)), np.eye(500, 100)).statistics.picture
    assert max(large.shape) <= 64
    assert only(np.zeros((3, 4)), np.zeros((3, 4))).statistics.picture is None
    assert only(np.zeros(100), np.zeros(100)).statistics.picture is None


def test_the_arrays_are_not_changed_and_not_kept() -> None:
    a, b = np.ones(100_000, np.float32), np.full(100_000, 1.1, np.float32)
    before = a.copy(), b.copy()
    count = sys.getrefcount(a)
    found = compare(a, b)
    assert sys.getrefcount(a) == count
    assert (a == before[0]).all()
    assert (b == before[1]).all()
    assert found.parts[0].statistics is not None


@pytest.mark.parametrize("fine", [True, False])
def test_large_arrays_need_little_memory(fine: bool) -> None:
    a = np.ones(1 << 24, np.float32)  # 64 MB
    b = a if fine else np.where(np.arange(a.size) % 1000 == 0, np.float32("nan"), np.float32(1.1))
    tracemalloc.start()
    try:
        compare(a, b)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


@pytest.mark.parametrize("shape", [(0,), (3, 0), ()])
def test_empty_and_single(shape: typing.Any) -> None:
    part = only(np.ones(shape, np.float32), np.ones(shape, np.float32))
    assert part.verdict == "equal"
    assert only(np.ones(shape, "U3"), np.ones(shape, "U3")).verdict == "equal"
    assert only(np.ones(shape, int), np.ones(shape, int)).verdict == "equal"
