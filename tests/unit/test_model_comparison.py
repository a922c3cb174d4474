"""Two models compared by their layers and settings, from the descriptions that releases give."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tfkernels import compare_models
from tfkernels.errors import UsageError

_OLD = {"tensorflow": "1.15.5", "keras": "2.2.4-tf", "package": "tensorflow"}
_NEW = {"tensorflow": "2.21.0", "keras": "3.15.1", "package": "keras"}


def _layer(class_name: str, weights: dict[str, list[int]] | None = None, **settings: Any) -> dict[str, Any]:
    return {"class_name": class_name, "settings": settings, "weights": weights or {}, "trainable": True}


def _model(about: dict[str, str], optimizer: Any = None, **layers: dict[str, Any]) -> dict[str, Any]:
    return {"model_description": 1, "about": about, "class_name": "Model", "layers": layers, "optimizer": optimizer}


def _conv(about: dict[str, str], **settings: Any) -> dict[str, Any]:
    return _model(about, conv=_layer("Conv2D", {"kernel": [3, 3, 1, 8]}, **settings))


def test_one_setting_written_in_two_ways_is_equal() -> None:
    old = _conv(
        _OLD,
        strides=[2, 2],
        activation="softmax_v2",
        dtype="float32",
        batch_input_shape=[None, 8, 8, 1],
        kernel_initializer={"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg",
                                                                        "distribution": "uniform", "seed": None}},
        kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.009999999776482582}},
    )  # fmt: skip
    new = _conv(
        _NEW,
        strides=(2, 2),
        activation="softmax",
        groups=1,
        dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        kernel_initializer={"module": "keras.initializers", "class_name": "GlorotUniform", "config": {"seed": 3}},
        kernel_regularizer={"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.01}},
    )
    found = compare_models(old, new, names=("old", "new"))
    assert found
    assert found.differences == []
    assert repr(found) == "all 1 layers have the same settings in old and new"


@pytest.mark.parametrize(
    ("setting", "a", "b", "shown"),
    [
        ("padding", "same", "valid", ("same", "valid")),
        ("strides", [1, 1], [2, 2], ("[1, 1]", "[2, 2]")),
        ("activation", "linear", "relu", ("linear", "relu")),
        ("use_bias", True, False, ("True", "False")),
        ("dilation_rate", [2, 2], None, ("[2, 2]", "(not there)")),
        ("kernel_initializer", "he_normal", "glorot_uniform", ("he_normal", "glorot_uniform")),
        ("kernel_regularizer", {"class_name": "L2", "config": {"l2": 0.02}}, {"class_name": "L2", "config":
         {"l2": 0.01}}, ("l1=0, l2=0.02", "l1=0, l2=0.01")),
        ("dtype", "float64", "float32", ("float64", "float32")),
    ],
)  # fmt: skip
def test_a_setting_that_differs_is_shown(setting: str, a: Any, b: Any, shown: tuple[str, str]) -> None:
    other = {} if b is None else {setting: b}
    (difference,) = compare_models(_conv(_NEW, **{setting: a}), _conv(_NEW, **other)).differences
    assert (difference.layer, difference.setting) == ("conv", setting)
    assert (difference.a, difference.b) == shown
    assert difference.note == ""


def test_a_default_that_changed_is_marked() -> None:
    weights = {"kernel": [8, 12], "recurrent_kernel": [4, 12]}
    old = _layer("GRU", {**weights, "bias": [12]}, reset_after=False, recurrent_activation="hard_sigmoid")
    new = _layer("GRU", {**weights, "bias": [2, 12]}, reset_after=True, recurrent_activation="sigmoid")
    found = {one.setting: one for one in compare_models(_model(_OLD, gru=old), _model(_NEW, gru=new)).differences}
    assert list(found) == ["reset_after", "recurrent_activation", "shape of bias"]
    assert found["reset_after"].default.startswith("the default changed: False in older releases, True since")
    assert "TensorFlow 2.0" in found["recurrent_activation"].default
    chosen = {**new, "settings": {"reset_after": True, "recurrent_activation": "tanh"}}
    (other, *_) = compare_models(_model(_OLD, gru={**new, "settings": new["settings"]}), _model(_NEW, gru=chosen)).of(
        "gru"
    )
    assert (other.setting, other.default) == ("recurrent_activation", "")


def test_equal_value_with_other_meaning_is_a_difference() -> None:
    old, new = (_model(about, dense=_layer("Dense", activation="hard_sigmoid")) for about in (_OLD, _NEW))
    (difference,) = compare_models(old, new).differences
    assert "slope 0.2, and of Keras 3 1/6" in difference.meaning
    assert compare_models(old, old)


def test_optimizers_are_compared_with_their_defaults() -> None:
    old = {"class_name": "Adagrad", "config": {"lr": 0.01, "name": "Adagrad"}}
    new = {"class_name": "Adagrad", "config": {"learning_rate": 0.001, "initial_accumulator_value": 0.1,
                                               "ema_momentum": 0.99, "use_ema": False}}  # fmt: skip
    found = compare_models(_model(_OLD, old), _model(_NEW, new))
    assert [(one.layer, one.setting, bool(one.default)) for one in found.differences] == [
        ("(optimizer)", "learning_rate", True),
        ("(optimizer)", "initial_accumulator_value", True),
    ]
    assert repr(found).startswith("the optimizers differ\n")


def test_layers_are_paired_by_name_weights_and_place() -> None:
    def block(*names: str) -> dict[str, Any]:
        first, normal, dropped, last = names
        return {
            first: _layer("Conv2D", {"kernel": [3, 3, 1, 8]}),
            normal: _layer("BatchNormalization", {"gamma": [8]}),
            dropped: _layer("Dropout"),
            last: _layer("Dense", {"kernel": [8, 10]}),
        }

    found = compare_models(
        _model(_OLD, **block("conv", "bn", "drop", "fc")), _model(_NEW, **block("conv", "norm", "d", "out"))
    )
    assert [(pair.a, pair.b, pair.how) for pair in found.pairs] == [
        ("conv", "conv", "same name"),
        ("bn", "norm", "same weights"),
        ("drop", "d", "same class and place"),
        ("fc", "out", "same weights"),
    ]
    assert found


def test_layers_without_a_partner_are_listed() -> None:
    dense = _layer("Dense", {"kernel": [4, 4]})
    old = _model(_OLD, one=dense, two=dense, drop=_layer("Dropout"))
    found = compare_models(old, _model(_NEW, three=_layer("Dense", {"kernel": [4, 5]})), names=("old", "new"))
    assert not found
    assert (list(found.only_a), list(found.only_b)) == (["one", "two", "drop"], ["three"])
    assert found.headline() == "3 layers are in old only; 1 layer is in new only"
    mapped = compare_models(old, _model(_NEW, three=dense), mapping={"two": "three"})
    assert [(pair.a, pair.b) for pair in mapped.pairs] == [("two", "three")]
    assert list(mapped.only_a) == ["one", "drop"]
    with pytest.raises(UsageError, match="the mapping names the layer 'four', which is not there"):
        compare_models(old, old, mapping={"four": "two"})


def test_result_is_json_and_an_escaped_table() -> None:
    old, new = _conv(_NEW, padding="<same>"), _conv(_NEW, padding="valid")
    new["layers"]["conv"]["trainable"] = False
    found = compare_models(old, new)
    assert json.loads(json.dumps(found.to_dict()))["differences"][1]["setting"] == "trainable"
    assert "&lt;same&gt;" in found._repr_html_()


@pytest.mark.parametrize("value", [3, {"layers": {}}, {"model_description": 2}])
def test_what_is_no_model_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"needs Keras models|reads version 1"):
        compare_models(_model(_NEW), value)


def _wired(about: dict[str, str], **inputs: list[list[str]] | None) -> dict[str, Any]:
    kinds = {"add": "Add", "cat": "Concatenate", "relu": "ReLU"}
    layers = {name: {**_layer(kinds.get(name, "Dense")), "inputs": calls} for name, calls in inputs.items()}
    return _model(about, **layers)


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({"add": [["one", "two"]]}, []),  # in any order
        ({"cat": [["two", "one"]]}, [("cat", "inputs", "one, two", "two, one")]),
        ({"two": [["input"]]}, [("two", "inputs", "one", "input")]),
        ({"two": [["one"], ["add"]]}, [("two", "inputs", "one", "one; add")]),
        ({"relu": [["one"]], "two": [["relu"]]}, []),  # which is a difference of its own
        ({"two": None}, []),  # a subclass does not say it
    ],
)
def test_wiring_that_differs_is_shown(changed: dict[str, Any], shown: list[Any]) -> None:
    same: dict[str, Any] = {
        "one": [["input"]], "two": [["one"]], "add": [["two", "one"]], "cat": [["one", "two"]],
    }  # fmt: skip
    found = compare_models(_wired(_OLD, **same), _wired(_NEW, **{**same, **changed}))
    assert [(each.layer, each.setting, each.a, each.b) for each in found.differences] == shown


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (  # models inside, under two names
            {"a": [["input"]], "a/dense": [["a/input"]], "last": [["a"]]},
            {"b": [["input"]], "b/dense": [["b/input"]], "last": [["b"]]},
        ),
        (  # a model without a partner: its inputs are known, its outputs are not
            {"a": [["input:1"]], "a/dense": [["a/input"]], "last": [["a"]]},
            {"dense": [["input:1"]], "last": [["dense"]]},
        ),
        (  # the second call of a layer without a partner
            {"one": [["input"]], "relu": [["input"], ["one"]], "last": [["relu:1"]]},
            {"one": [["input"]], "last": [["one"]]},
        ),
    ],
)  # fmt: skip
def test_equal_wiring_under_other_names_is_equal(one: Any, other: Any) -> None:
    old, new = _wired(_OLD, **one), _wired(_NEW, **other)
    for model in (old, new):
        for name in {"a", "b"} & set(model["layers"]):
            model["layers"][name]["class_name"] = "Model"
    mapping = {"a/dense": "dense"} if "dense" in other else {"a/dense": "b/dense", "a": "b"} if "a" in one else {}
    assert compare_models(old, new, mapping=mapping).differences == []
    changed = {**other, "last": [["input:7"]]}
    if "b" not in other and "dense" not in other:
        assert compare_models(old, _wired(_NEW, **changed)).differences != []


def test_many_residual_blocks_are_looked_through_once() -> None:
    blocks: dict[str, Any] = {"block0": [["input"]]}
    for number in range(1, 100):
        blocks[f"block{number}"] = [[f"block{number - 1}", f"block{number - 1}"]]
    model = _wired(_OLD, **blocks, last=[["block99"]])
    for number in range(100):
        model["layers"][f"block{number}"]["class_name"] = "Add"
    assert compare_models(model, _wired(_NEW, last=[["input"]])).differences == []
