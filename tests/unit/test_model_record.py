"""Records of models: what their parts are, without any Keras."""

from __future__ import annotations

import enum
import json
from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.record.config_layers import walk_config
from tfkernels.conversion.record.model_record import VERSION, check
from tfkernels.conversion.record.optimizer_state import slots_of
from tfkernels.conversion.record.plain_values import plain
from tfkernels.errors import ConversionError


class _Mode(enum.Enum):
    FAST = "fast"


class _Shape:
    ndims = 2

    def as_list(self) -> list[int | None]:
        return [None, 3]


class _Loss:
    def get_config(self) -> dict[str, Any]:
        return {"delta": np.float32(0.5), "reduce": _loss}


def _loss() -> None:
    pass


def test_configurations_become_json_values() -> None:
    value = {
        "shape": _Shape(),
        2: (np.int64(3), np.array([1.5])),
        "loss": _Loss(),
        "mode": _Mode.FAST,
        "dtype": np.dtype("float16"),
        "class": _Loss,
        "text": b"abc",
    }
    expected = {
        "shape": [None, 3],
        "2": [3, [1.5]],
        "loss": {"class_name": "_Loss", "config": {"delta": 0.5, "reduce": "_loss"}},
        "mode": "fast",
        "dtype": "float16",
        "class": "_Loss",
        "text": "abc",
    }
    assert plain(value) == expected
    assert json.loads(json.dumps(plain(value))) == expected


def _node(kind: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **config}}


def test_layers_of_a_configuration_have_paths() -> None:
    lstm = _node("LSTM", "lstm", cell=_node("LSTMCell", "cell"))
    old_sequential = {"class_name": "Sequential", "config": [_node("Dense", "first")], "name": "stack"}
    cells = _node("StackedRNNCells", "cells", cells=[_node("GRUCell", "a"), _node("GRUCell", "b")])
    model = _node(
        "Model", "model", layers=[_node("Bidirectional", "both", layer=lstm, units=3), old_sequential, cells, None]
    )
    found = [(path, node["class_name"]) for path, node in walk_config(model)]
    assert found == [
        ("", "Model"),
        ("both", "Bidirectional"),
        ("both/layer", "LSTM"),
        ("both/layer/cell", "LSTMCell"),
        ("stack", "Sequential"),
        ("stack/first", "Dense"),
        ("cells", "StackedRNNCells"),
        ("cells/cells[0]", "GRUCell"),
        ("cells/cells[1]", "GRUCell"),
    ]


@pytest.mark.parametrize(("value", "cause"), [([], "damaged"), ({"config": {}, "weights": {}, "version": 99}, "99")])
def test_damaged_records_are_refused(value: Any, cause: str) -> None:
    with pytest.raises(ConversionError, match=cause):
        check(value)


def test_record_of_this_version_is_read() -> None:
    record = {"version": VERSION, "config": {}, "weights": {}}
    assert check(record) == record


def test_slots_of_sgd_are_public_since_2_11() -> None:
    class SGD:
        momentums = ("m of a", "m of b")

        def _get_variable_index(self, variable: str) -> int:
            return ["a", "b"].index(variable)

    assert list(slots_of(SGD(), ["a", "b"])) == [("a", "momentum", "m of a"), ("b", "momentum", "m of b")]
