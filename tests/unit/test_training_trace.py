"""The form of a training trace: what is kept, and what stands for large arrays."""

from __future__ import annotations

import numpy as np
import pytest

from tfkernels.errors import TraceError
from tfkernels.training.training_trace import Keeping, is_statistics, new_trace, sample_places, statistics_of, whole


def test_statistics_are_those_of_the_array() -> None:
    array = np.random.default_rng(0).normal(2, 3, (300, 700)).astype("float32")
    found = statistics_of(array)
    assert (found["shape"], found["dtype"]) == ([300, 700], "float32")
    assert found["norm"] == pytest.approx(np.linalg.norm(array.astype("float64")), rel=1e-12)
    assert found["mean"] == pytest.approx(array.mean(dtype="float64"), rel=1e-12)
    assert (found["minimum"], found["maximum"]) == (array.min(), array.max())
    assert set(found["sample"]) <= set(array.ravel())


@pytest.mark.parametrize("shape", [(4096, 4096), (512, 3000), (10, 7)])
def test_a_sample_has_elements_of_all_columns(shape: tuple[int, int]) -> None:
    places = sample_places(shape[0] * shape[1])
    assert places[-1] < shape[0] * shape[1]
    assert len(set(places % shape[1])) > 0.5 * min(len(places), shape[1])
    assert len(set(places // shape[1])) > 0.5 * min(len(places), shape[0])


def test_large_arrays_become_statistics() -> None:
    keeping = Keeping(largest=10)
    assert isinstance(keeping.reduced(np.zeros(10)), np.ndarray)
    assert is_statistics(keeping.reduced(np.zeros(11)))
    assert keeping.as_dict() == {"only": None, "empty": [], "largest": 10, "left_out": 0, "statistics": 1}


def test_only_names_parts_quantities_and_paths() -> None:
    keeping = Keeping(only=("gradient", "slot/conv1/*", "*/bias"))
    assert keeping.wants("unclipped_gradient", "conv2/kernel")
    assert keeping.wants("slot_before", "conv1/kernel/m")
    assert keeping.wants("update", "conv1/bias")
    assert not keeping.wants("slot", "conv2/kernel/m")
    assert not keeping.wants("output", "conv1")
    assert keeping.as_dict()["left_out"] == 2
    with pytest.raises(TraceError, match=r"only='gradients' names nothing"):
        Keeping(only="gradients")


def test_a_pattern_that_fits_no_name_is_refused() -> None:
    keeping = Keeping(only=("gradient/conv1", "slot", "average/*"))
    for part in ("gradient", "update"):
        assert not keeping.wants(part, "conv1/kernel")
    with pytest.raises(
        TraceError, match=r"only='gradient/conv1' fits nothing of this training. It has gradient/conv1/"
    ):
        keeping.check()
    assert keeping.wants("gradient", "conv1")
    keeping.check()  # a training without slots has nothing of "slot", and that is no mistake
    assert keeping.as_dict()["empty"] == ["slot", "average/*"]


def test_what_is_only_statistics_cannot_be_handed_over() -> None:
    weights = {"dense/kernel": statistics_of(np.zeros((3, 3))), "dense/bias": np.zeros(3)}
    trace = new_trace({"form": "keras"}, weights, [{"slot": {}}], Keeping())
    with pytest.raises(TraceError, match=r"only statistics of weights_before/dense/kernel.* largest=None"):
        whole(trace, "weights_before", 0, "weights_from")
    with pytest.raises(TraceError, match="has 1 steps, and step 2"):
        whole(trace, "slot", 1, "weights_from")
