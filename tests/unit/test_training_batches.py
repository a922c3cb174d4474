"""What ``trace_training`` is given: data that no step would see, and options that would be ignored, are refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import pytest

from tfkernels.errors import TraceError
from tfkernels.training.api import trace_training
from tfkernels.training.batches import batches_of, renumbered_inputs

X, Y = np.zeros((4, 2)), np.zeros(4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"x": X, "steps": 0}, "steps=0 is no whole number from 1 on"),
        ({"x": X, "steps": 1.5}, "steps=1.5 is no whole number"),
        ({"x": X, "batch_size": 0}, "batch_size=0 is no whole number"),
        ({"x": iter([(X, Y)]), "y": Y}, "y= is for arrays"),
        ({"x": iter([(X, Y)]), "sample_weight": Y}, "sample_weight= is for arrays"),
        ({"x": [(X, Y)], "batch_size": 2}, "batch_size= is for arrays"),
        ({"x": [(X, Y)], "steps": 2}, "the data ended after 1 of 2 steps"),
    ],
)
def test_data_that_make_no_batches_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TraceError, match=message):
        list(batches_of(**{"y": None, "sample_weight": None, "batch_size": None, "steps": 1, **given}))


def test_numpy_counts_steps_and_lists_have_batches() -> None:
    two: Any = np.int64(2)
    batches = batches_of([(X, Y), (X + 1, Y, Y)], None, None, None, two)
    assert [(batch.x.max(), batch.sample_weight is None) for batch in batches] == [(0, True), (1, False)]


def test_a_generator_is_asked_for_one_batch_at_a_time() -> None:
    asked = []

    def generator() -> Iterator[Any]:
        for number in range(9):
            asked.append(number)
            yield X, Y

    assert len(list(islice(batches_of(generator(), None, None, None, 5), 2))) == 2
    assert asked == [0, 1]


@pytest.mark.parametrize(
    "names", [["input_3", "input_4"], ["input_layer_8", "x"], ["keras_tensor_388", "keras_tensor_9"]]
)
def test_inputs_without_names_count_from_the_first(names: list[str]) -> None:
    assert renumbered_inputs(names) == ["input", "x" if names[1] == "x" else "input_1"]


@pytest.mark.parametrize("option", ["loss", "train_op", "feeds", "outputs", "mapping", "class_weight"])
def test_options_that_would_be_ignored_are_refused(option: str) -> None:
    options: dict[str, Any] = {option: {}}
    with pytest.raises(TraceError, match=f"^{option}= is not for "):
        trace_training(lambda x, y: None, X, Y, **options)
    if option == "class_weight":
        with pytest.raises(TraceError, match="class_weight= is not for a session"):
            trace_training(session=object(), class_weight={})
