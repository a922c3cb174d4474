"""Operations in place of Lambdas, in the configuration of a model."""

from __future__ import annotations

import inspect
from types import FunctionType, SimpleNamespace
from typing import Any

import pytest

from tfkernels.conversion.record.lambda_operations import without_lambdas
from tfkernels.conversion.target.layer_plans import by_name


def _operations(name: str) -> dict[str, Any]:
    config = {"name": name, "layers": [], "input_layers": [], "output_layers": []}
    return {"class_name": "Functional", "name": name, "config": config}


def _lambda(name: str) -> dict[str, Any]:
    calls = [[["before", 0, 0, {}]]]
    return {"class_name": "Lambda", "name": name, "config": {"name": name}, "inbound_nodes": calls}


def _record() -> dict[str, Any]:
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "each", "layer": _lambda("inside")}}
    stack = {"class_name": "Sequential", "name": "stack", "config": [_lambda("deep"), wrapper]}
    layers = [_lambda("first"), {"class_name": "Dense", "config": {"name": "before"}}, stack]
    lambdas = [
        {"layer": "first", "function": "double", "operations": _operations("first")},
        {"layer": "stack/deep", "function": None, "operations": _operations("deep")},
        {"layer": "stack/each/layer", "function": "triple", "operations": _operations("inside")},
    ]
    config = {"class_name": "Model", "config": {"name": "model", "layers": layers}}
    return {"config": config, "lambdas": lambdas}


def _kinds(record: dict[str, Any]) -> list[str]:
    first, _, stack = record["config"]["config"]["layers"]
    deep, wrapper = stack["config"]
    return [layer["class_name"] for layer in (first, deep, wrapper["config"]["layer"])]


@pytest.mark.parametrize(
    ("known", "kinds"),
    [
        ((), ["Functional", "Functional", "Functional"]),
        (("double", "deep"), ["Lambda", "Lambda", "Functional"]),
        (("first", "triple"), ["Lambda", "Functional", "Lambda"]),
    ],
)
def test_operations_replace_functions_that_are_not_known(known: tuple[str, ...], kinds: list[str]) -> None:
    record = _record()
    found = without_lambdas(record, dict.fromkeys(known))
    assert _kinds(found) == kinds
    assert found["config"]["config"]["layers"][0]["inbound_nodes"] == [[["before", 0, 0, {}]]]
    assert record == _record()


def test_lambda_without_operations_stays() -> None:
    record = _record()
    for entry in record["lambdas"]:
        entry["operations"] = None
    assert without_lambdas(record, {}) == record


@pytest.mark.parametrize("keras_3", [False, True])
def test_the_new_file_names_functions_of_lambdas(keras_3: bool) -> None:
    def shifted(inputs: int, mask: Any = None, by: int = 1) -> int:
        return inputs + by

    target: Any = SimpleNamespace(release=SimpleNamespace(is_keras_3=keras_3))
    found = by_name(shifted, "shifted", target)
    nameless = by_name(lambda inputs: inputs, "same", target)
    assert (found.__name__, nameless.__name__, found.__module__) == ("shifted", "same", __name__)
    assert isinstance(found, FunctionType) is keras_3, "Keras 2 writes the code of a Python function, and not its name"
    assert inspect.getfullargspec(found).args[:2] == ["inputs", "mask"], "Keras asks whether there is a mask"
    assert found(2, by=3) == 5
