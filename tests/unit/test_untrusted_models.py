"""Configurations of strangers: what would run code or reach outside is refused before Keras sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tfkernels.conversion.untrusted_config import harmless
from tfkernels.conversion.users_code import custom_objects_in
from tfkernels.errors import ConversionError

_BYTE_CODE = ["4wEAAAAA\n", None, None]


def _model(*layers: dict[str, Any]) -> dict[str, Any]:
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


def _lambda(function: Any, **config: Any) -> dict[str, Any]:
    return {"class_name": "Lambda", "config": {"name": "own", "function": function, **config}}


def _double(x: Any) -> Any:
    return x


def _keras_3(module: str, name: str, kind: str = "function") -> dict[str, Any]:
    return {"class_name": kind, "config": name, "module": module, "registered_name": kind}


_HARMFUL = {
    "byte code": _lambda(_BYTE_CODE, function_type="lambda", module="__main__"),
    "byte code of Keras 3": _lambda({"class_name": "__lambda__", "config": {"code": "4wEA"}}),
    "a function of another module": _lambda("system", function_type="function", module="os"),
    "a function of another module in Keras 3": _lambda(_keras_3("os", "system")),
    "a download": _lambda(_keras_3("keras.utils", "get_file")),
    "a class": {"class_name": "Popen", "module": "subprocess", "config": {"name": "x"}},
    "an initializer": {
        "class_name": "Dense",
        "config": {"name": "x", "kernel_initializer": _keras_3("builtins", "eval")},
    },
    "a layer in a wrapper": {
        "class_name": "TimeDistributed",
        "config": {"name": "each", "layer": _lambda(_BYTE_CODE, function_type="lambda")},
    },
    "an operation on files": {"class_name": "TFOpLambda", "config": {"name": "w", "function": "io.write_file"}},
    "an operation that runs Python": {"class_name": "TFOpLambda", "config": {"name": "w", "function": "py_function"}},
    "a node on files": {
        "class_name": "TensorFlowOpLayer",
        "config": {"name": "w", "node_def": {"name": "w", "op": "WriteFile"}},
    },
    "a node on files with a long name": {
        "class_name": "TensorFlowOpLayer",
        "config": {"name": "w", "node_def": {"name": "n" * 50, "op": "WriteFile"}},
    },
    "a node on files as a message": {
        "class_name": "TensorFlowOpLayer",
        "config": {"name": "w", "node_def": '\n\x0cx"op":"AddV2"\x12\x08ReadFile'},
    },
    "an operation on files in a slice": {
        "class_name": "SlicingOpLambda",
        "config": {"name": "w", "function": "io.read_file"},
    },
    "a method of another class": {
        "class_name": "ClassMethod",
        "config": {"name": "w", "cls_symbol": "data.Dataset", "method_name": "list_files"},
    },
    "a layer inside another one": {
        "class_name": "WideDeepModel",
        "config": {"name": "w", "linear_model": _lambda(_BYTE_CODE), "dnn_model": _lambda(_BYTE_CODE)},
    },
    "byte code as activation": {
        "class_name": "Dense",
        "config": {"name": "x", "activation": {"class_name": "__lambda__", "config": {"value": _BYTE_CODE}}},
    },
    "a layer as activation": {
        "class_name": "Dense",
        "config": {"name": "x", "activation": {**_lambda(_BYTE_CODE), "module": "keras.layers"}},
    },
    "a SavedModel elsewhere": {
        "class_name": "TFSMLayer",
        "config": {"name": "x", "filepath": "/somewhere"},
        "module": "keras.layers",
    },
    "a file of words": {"class_name": "StringLookup", "config": {"name": "x", "vocabulary": "/etc/passwd"}},
}


@pytest.mark.parametrize("layer", _HARMFUL.values(), ids=_HARMFUL.keys())
def test_code_in_a_model_needs_trust(layer: dict[str, Any]) -> None:
    with pytest.raises(ConversionError, match="--trust") as caught:
        harmless(_model(layer), {}, trust=False)
    assert caught.value.layer
    assert harmless(_model(layer), {}, trust=True) == _model(layer)


_HARMLESS = [
    {"class_name": "Dense", "module": "keras.layers", "config": {"activation": "relu"}},
    {"class_name": "Functional", "module": "keras.src.engine.functional", "config": {"name": "inner", "layers": []}},
    {"class_name": "Zeros", "module": "keras.initializers", "config": {}},
    {"class_name": "Dense", "config": {"name": "x", "activation": _keras_3("keras.activations", "relu")}},
    {"class_name": "TFOpLambda", "config": {"name": "f", "function": "nn.relu"}},
    {"class_name": "TFOpLambda", "config": {"name": "f", "function": "__operators__.getitem"}},
    {"class_name": "TensorFlowOpLayer", "config": {"name": "f", "node_def": {"name": "w", "op": "AddV2"}}},
    {"class_name": "TensorFlowOpLayer", "config": {"name": "f", "node_def": "\n\x01w\x12\x05AddV2"}},
    {"class_name": "StringLookup", "config": {"name": "x", "vocabulary": ["a", "b"]}},
]


@pytest.mark.parametrize("layer", _HARMLESS)
def test_layers_of_keras_stay_as_they_are(layer: dict[str, Any]) -> None:
    assert harmless(_model(layer), {}, trust=False) == _model(layer)


@pytest.mark.parametrize("function", [_BYTE_CODE, "system"])
@pytest.mark.parametrize("name", ["own", "system"])
def test_users_function_replaces_that_of_the_file(function: Any, name: str) -> None:
    objects = {name: _double}
    if name == "system" and function == _BYTE_CODE:
        with pytest.raises(ConversionError, match="a function own"):
            harmless(_model(_lambda(function, function_type="lambda")), objects, trust=False)
        return
    shape = {"output_shape": _BYTE_CODE, "output_shape_type": "lambda"}
    found = harmless(_model(_lambda(function, function_type="lambda", module="os", **shape)), objects, trust=False)
    config = found["config"]["layers"][0]["config"]
    assert (config["function"], config["function_type"], config["module"]) == (name, "function", None)
    assert config["output_shape"] is None


def test_users_class_is_not_imported_from_the_files_module() -> None:
    layer = {"class_name": "Scale", "module": "evil", "registered_name": "Custom>Scale", "config": {"name": "scale"}}
    found = harmless(_model(layer), {"Scale": object}, trust=False)
    assert found["config"]["layers"][0]["module"] is None
    assert layer["module"] == "evil"


def test_custom_objects_are_the_public_names_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "scale_of_neighbour.py").write_text("class Neighbour: pass\n", encoding="utf-8")
    file = tmp_path / "custom_objects_of_test.py"
    file.write_text(
        "from scale_of_neighbour import Neighbour\n_hidden = print\nNUMBER = 3\ndef double(x): return x\n"
        "custom_objects = {'own name': double}\n",
        encoding="utf-8",
    )
    assert {*custom_objects_in(str(file))} == {"Neighbour", "double", "own name"}
    assert custom_objects_in(None) == {}


@pytest.mark.parametrize(("content", "cause"), [("1 / 0", "ZeroDivisionError"), (None, "not a Python file")])
def test_bad_file_of_custom_objects_is_named(tmp_path: Path, content: str | None, cause: str) -> None:
    file = tmp_path / "broken_objects_of_test.py"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(ConversionError, match=f"broken_objects_of_test.py.*{cause}"):
        custom_objects_in(str(file))
