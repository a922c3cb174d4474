"""Rules that rewrite layers for another Keras: exact, or refused with the layer's name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfkernels.conversion.layer_rules.keras_release import release_of
from tfkernels.conversion.layer_rules.model_graph import Tensor, model_graph
from tfkernels.conversion.layer_rules.report import Report
from tfkernels.conversion.layer_rules.rewriting import rewrite
from tfkernels.conversion.record.written_by import add
from tfkernels.conversion.target.keras_nodes import by_node
from tfkernels.conversion.target.tensorflow_functions import by_class
from tfkernels.errors import ConversionError
from tfkernels.saved_models.saved_file import WrittenBy

_OLD = release_of({"keras": "2.2.4-tf", "tensorflow": "1.15.5"})
_NEW = release_of({"keras": "3.15.1", "tensorflow": "2.21.0"})
_OF_ALL = {"name", "trainable", "dtype"}
_CLASSES = {
    "Dense": {"units", "activation", "kernel_initializer", "kernel_regularizer"},
    "LSTM": {"units", "recurrent_activation", "return_sequences"},
    "GRU": {"units", "activation", "recurrent_activation", "reset_after", "use_bias"},
    "BatchNormalization": {"axis", "epsilon"},
    "DepthwiseConv2D": {"kernel_size"},
    "SeparableConv2D": {"kernel_size", "strides", "dilation_rate"},
    "LeakyReLU": {"negative_slope"},
    "UpSampling2D": {"size", "interpolation"},
    "Bidirectional": {"layer"},
}


class _Keras3:
    """The part of ``TargetKeras`` that the rules ask, without Keras."""

    release = _NEW

    def settings(self, name: str) -> set[str] | None:
        return _CLASSES[name] | _OF_ALL if name in _CLASSES else None

    def activations(self, name: str) -> bool:
        return name in ("relu", "sigmoid", "tanh", "hard_sigmoid")

    def is_custom(self, name: str) -> bool:
        return name == "Mine"

    def knows(self, key: str, name: str) -> bool:
        return name in ("Zeros", "L1L2", "RandomUniform")

    def settings_of(self, key: str, name: str) -> set[str] | None:
        return {"Zeros": {"dtype"}, "L1L2": {"l1", "l2"}, "RandomUniform": {"minval", "maxval", "seed"}}[name]


def _rewritten(class_name: str, source: Any = _OLD, **config: Any) -> dict[str, Any]:
    report = Report()
    found = rewrite({"class_name": class_name, "config": config}, "here", source, _Keras3(), report)
    assert found is not None, report.refusals
    return {"class_name": found.node["class_name"], **found.node["config"]}


def _refusal(class_name: str, source: Any = _OLD, **config: Any) -> str:
    report = Report()
    assert rewrite({"class_name": class_name, "config": config}, "here", source, _Keras3(), report) is None
    return "; ".join(str(one) for one in report.refusals)


def test_hard_sigmoid_keeps_slope_of_keras_2() -> None:
    made = _rewritten("LSTM", units=3, recurrent_activation="hard_sigmoid")["recurrent_activation"]
    scaled, clipped = made["config"]["layers"]
    assert (scaled["config"]["scale"], scaled["config"]["offset"], clipped["config"]["max_value"]) == (0.2, 0.5, 1.0)
    assert (
        _rewritten("LSTM", _NEW, units=3, recurrent_activation="hard_sigmoid")["recurrent_activation"] == "hard_sigmoid"
    )


def test_settings_of_newer_initializers_are_left_out() -> None:
    written = {"class_name": "RandomUniform", "config": {"minval": 0, "maxval": 1, "input_axes": [0]}}
    made = _rewritten("Dense", units=3, kernel_initializer=written)["kernel_initializer"]
    assert made["config"] == {"minval": 0, "maxval": 1}
    regularizer: dict[str, Any] = {"class_name": "L2", "config": {"l2": 0.1, "strange": None}}
    made = _rewritten("Dense", units=3, kernel_regularizer=regularizer)["kernel_regularizer"]
    assert made == {"class_name": "L1L2", "config": {"l2": 0.1}}
    regularizer["config"]["strange"] = 1
    assert "has no setting strange" in _refusal("Dense", units=3, kernel_regularizer=regularizer)


def test_uniform_initializer_without_upper_bound_gets_it() -> None:
    written = {"class_name": "RandomUniform", "config": {"minval": 0, "maxval": None, "seed": None}}
    made = _rewritten("Dense", units=3, kernel_initializer=written)["kernel_initializer"]
    assert made == {"class_name": "RandomUniform", "config": {"minval": 0, "maxval": 1.0, "seed": None}}


def test_unwritten_settings_are_written() -> None:
    assert _rewritten("GRU", units=3, recurrent_activation="sigmoid")["reset_after"] is False
    assert "reset_after" not in _rewritten("GRU", _NEW, units=3, recurrent_activation="sigmoid")


def test_cudnn_layers_become_ordinary_ones() -> None:
    made = _rewritten("CuDNNGRU", units=3)
    assert (made["class_name"], made["reset_after"], made["recurrent_activation"]) == ("GRU", True, "sigmoid")


def test_settings_without_effect_are_dropped() -> None:
    assert _rewritten("DepthwiseConv2D", kernel_size=3, groups=1) == {"class_name": "DepthwiseConv2D", "kernel_size": 3}
    assert "time_major" not in _rewritten(
        "LSTM", units=3, time_major=False, implementation=2, recurrent_activation="relu"
    )
    assert _rewritten("BatchNormalization", axis=[3], epsilon=0.1)["axis"] == 3
    assert _rewritten("LeakyReLU", alpha=0.2)["negative_slope"] == 0.2
    assert _rewritten("Mine", batch_input_shape=[None, 3], size=2) == {"class_name": "Mine", "size": 2}


@pytest.mark.parametrize(
    ("class_name", "config", "reason"),
    [
        ("DepthwiseConv2D", {"kernel_size": 3, "groups": 2}, "no setting groups"),
        ("Dense", {"units": 3, "activation": "own"}, "no function own"),
        ("Other", {}, "no layer Other"),
        ("BatchNormalization", {"axis": [1, 2]}, "several axes"),
        ("SeparableConv2D", {"kernel_size": [3, 3], "strides": [1, 1]}, "TensorFlow 1.4 does not save it"),
    ],
)
def test_what_is_not_exact_is_refused(class_name: str, config: dict[str, Any], reason: str) -> None:
    assert reason in _refusal(class_name, **config)
    assert "layer here" in _refusal(class_name, **config)


def test_layers_in_wrappers_are_rewritten() -> None:
    inner = {"class_name": "GRU", "config": {"units": 3, "recurrent_activation": "hard_sigmoid"}}
    made = _rewritten("Bidirectional", layer=inner)["layer"]
    assert made["module"] == "keras.layers"
    assert made["config"]["reset_after"] is False
    inner = {"class_name": "LSTM", "config": {"units": 3, "time_major": True, "recurrent_activation": "relu"}}
    assert "not inside a wrapper" in _refusal("Bidirectional", layer=inner)


def test_unknown_initializers_do_not_stand_in_the_way() -> None:
    made = _rewritten("Dense", units=3, kernel_initializer={"class_name": "Own", "config": {}})
    assert made["kernel_initializer"]["class_name"] == "Zeros"


def _model(nodes: Any, inner_calls: Any, output: Any) -> dict[str, Any]:
    place = {"class_name": "InputLayer", "name": "x", "config": {"name": "x"}, "inbound_nodes": []}
    inside = {"layers": [place], "input_layers": [["x", 0, 0]], "output_layers": [["x", 0, 0]], "name": "inner"}
    inner = {"class_name": "Model", "name": "inner", "config": inside, "inbound_nodes": inner_calls}
    dense = {"class_name": "Dense", "name": "dense", "config": {"name": "dense"}, "inbound_nodes": nodes}
    config = {"layers": [place, inner, dense], "input_layers": [["x", 0, 0]], "output_layers": output, "name": "m"}
    return {"class_name": "Model", "config": config}


def test_graphs_of_both_formats_are_the_same() -> None:
    """Models inside begin with call 1 in Keras 2; in Keras 3 only where the outputs are named."""
    old = model_graph(_model([[["inner", 1, 0, {"mask": ["x", 0, 0]}]]], [[["x", 0, 0, {}]]], [["inner", 1, 0]]))

    def keras_3(name: str) -> dict[str, Any]:
        return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}

    nodes = [{"args": [keras_3("inner")], "kwargs": {"mask": keras_3("x")}}]
    new = model_graph(_model(nodes, [{"args": [keras_3("x")], "kwargs": {}}], ["inner", 1, 0]))
    for graph, outputs in ((old, [Tensor("inner", 0, 0)]), (new, Tensor("inner", 0, 0))):
        call = graph.layers[2].calls[0]
        assert (call.args, call.kwargs) == ([Tensor("inner", 0, 0)], {"mask": Tensor("x", 0, 0)})
        assert graph.outputs == outputs


def test_a_graph_with_a_missing_call_is_refused() -> None:
    with pytest.raises(ConversionError, match="which is not there"):
        model_graph(_model([[["inner", 5, 0, {}]]], [[["x", 0, 0, {}]]], [["dense", 0, 0]]))


def test_gathering_within_batches_is_refused() -> None:
    gather = by_node("GatherV2")
    assert gather
    with pytest.raises(ConversionError, match="it gathers within 1 batch dimensions"):
        gather(None, [np.zeros((2, 3)), np.zeros((2, 1), int), 1], {"batch_dims": 1})


@pytest.mark.parametrize(
    ("file", "refused", "notes"),
    [
        (WrittenBy("2.3.1", "keras"), True, 0),
        (WrittenBy("2.1.6-tf", "tf.keras", ("1.9", "1.12")), True, 0),
        (WrittenBy("2.2.4-tf", "tf.keras", ("1.13", "2.1")), False, 1),
        (WrittenBy("2.4.0", "tf.keras", ("2.3", "2.4")), False, 0),
        (WrittenBy("3.15.1", "keras", ("2.16", "")), False, 0),
    ],
)
def test_who_wrote_a_file_decides_and_not_who_loaded_it(file: WrittenBy, refused: bool, notes: int) -> None:
    layer = {"class_name": "UpSampling2D", "config": {"name": "up", "interpolation": "bilinear"}}
    config = {"class_name": "Model", "config": {"layers": [layer]}}
    loaded = {"tensorflow": "2.15.1", "keras": "2.15.0", "package": "keras"}
    record: dict[str, Any] = {"written_by": loaded, "config": config}
    said = add(record, file)
    assert (len(said), all("up (UpSampling2D)" in one for one in said)) == (notes, True)
    source = release_of(record["written_by"])
    if refused:
        assert "resize_bilinear" in _refusal("UpSampling2D", source, size=2, interpolation="bilinear")
    else:
        assert _rewritten("UpSampling2D", source, size=2, interpolation="bilinear")["interpolation"] == "bilinear"


def test_operations_of_keras_3_become_functions_of_tensorflow() -> None:
    relu6 = SimpleNamespace(relu6=lambda x: np.clip(x, 0, 6))
    reduce_mean = lambda x, axis, keepdims: np.mean(x, tuple(axis), keepdims=keepdims)  # noqa: E731
    tensorflow = SimpleNamespace(nn=relu6, not_equal=np.not_equal, reduce_mean=reduce_mean, cast=np.asarray)
    x = np.array([[-4.0, 0.0], [3.0, 9.0]], "float32")

    def computed(name: str, *more: Any, **settings: Any) -> Any:
        function = by_class(name)
        assert function is not None
        return function(tensorflow, settings, x, *more).tolist()

    assert computed("HardSigmoid") == [[0, 0.5], [1, 1]]
    assert computed("NotEqual", 0) == [[True, False], [True, True]]
    assert computed("Mean", axis=[1], keepdims=True) == [[-2], [6]]
    assert computed("Cast", dtype="int32") == x.tolist()
    assert computed("GetItem", [slice(1), 0]) == [-4]
    assert by_class("FloorDivide") is None
    with pytest.raises(ConversionError, match="int32"):
        by_class("Mean")(tensorflow, {}, x.astype("int32"))  # type: ignore[misc]
