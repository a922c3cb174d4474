"""HDF5 files of Keras: canonical names of weights, optimizers, custom objects, Lambdas."""

from __future__ import annotations

import base64
import marshal
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.saved_models import keras_h5, layer, model, numbers
from tfkernels.saved_models.keras.configs import tree
from tfkernels.saved_models.read import read, read_for

_INNER = {**model(layer("Dense", "dense_7"), layer("Scale", "scale_3"), name="inner"), "name": "inner"}
_CONFIG = model(
    layer("InputLayer", "input_4"),
    layer("Conv2D", "conv2d_9"),
    _INNER,
    layer("Bidirectional", "both", layer=layer("LSTM", "lstm_2")),
    layer("TimeDistributed", "each", layer=layer("Dense", "dense_12")),
    layer("DepthwiseConv2D", "depthwise_conv2d_5"),
    layer("Dense", "dense_8"),
)
_LAYERS = {
    "input_4": {},
    "conv2d_9": {"conv2d_9/kernel:0": numbers(3, 3, 2, 2)},
    "inner": {
        "dense_7/kernel:0": numbers(2, 3),
        "dense_7/bias:0": numbers(3),
        "scale_3/factor_1:0": numbers(3, start=5),
    },
    "both": {
        f"both/{way}_lstm_2/lstm_cell_4/{kind}:0": numbers(3, 8, start=start)
        for start, way in ((1, "forward"), (9, "backward"))
        for kind in ("kernel", "recurrent_kernel")
    },
    "each": {"each/kernel:0": numbers(4, 4)},
    "depthwise_conv2d_5": {"depthwise_conv2d_5/depthwise_kernel:0": numbers(3, 3, 4, 1)},
    "dense_8": {"dense_8/kernel_1:0": numbers(4, 2), "dense_8/bias_1:0": numbers(2)},
}
_NAMES = [
    "conv2d/kernel",
    "inner/dense/kernel",
    "inner/dense/bias",
    "inner/scale/factor_1",
    "both/forward/kernel",
    "both/forward/recurrent_kernel",
    "both/backward/kernel",
    "both/backward/recurrent_kernel",
    "each/dense/kernel",
    "depthwise_conv2d/kernel",
    "dense/kernel",
    "dense/bias",
]


def test_weights_have_the_names_of_the_model(tmp_path: Path) -> None:
    saved = read(keras_h5(tmp_path / "model.h5", _LAYERS, _CONFIG))
    assert saved.format == "keras-h5"
    assert list(saved.weights) == _NAMES
    arrays = [array for group in _LAYERS.values() for array in group.values()]
    for weight, array in zip(saved.weights.values(), arrays, strict=True):
        assert (weight.shape, weight.dtype) == (array.shape, "float32")
        np.testing.assert_array_equal(weight.read(), array)
    assert [one.path for one in saved.layers if one.depth] == [
        "inner/dense",
        "inner/scale",
        "both/forward",
        "both/backward",
        "each/dense",
    ]


def test_weights_alone_have_the_same_names(tmp_path: Path) -> None:
    path = keras_h5(tmp_path / "weights.h5", _LAYERS)
    assert list(read(path, architecture=_CONFIG).weights) == _NAMES
    saved = read(path)
    assert saved.format == "keras-h5-weights"
    # What a wrapper holds and which classes the user has is in no file of weights.
    guessed = {"each/dense/kernel": "each/kernel", "inner/scale/factor_1": "inner/scale_3/factor_1"}
    assert list(saved.weights) == [guessed.get(name, name) for name in _NAMES]


def test_bare_variables_are_named_by_their_order(tmp_path: Path) -> None:
    layers = {"norm": {f"Variable_{number}:0": numbers(2, start=number) for number in range(4)}}
    saved = read(keras_h5(tmp_path / "old.h5", layers, model(layer("BatchNormalization", "norm"))))
    assert list(saved.weights) == ["norm/gamma", "norm/beta", "norm/moving_mean", "norm/moving_variance"]


_TWO = model(
    layer("Dense", "first"), layer("BatchNormalization", "norm", scale=False), layer("Dense", "last", trainable=False)
)
_TWO_LAYERS = {
    "first": {"first/kernel:0": numbers(2, 3), "first/bias:0": numbers(3)},
    "norm": {f"norm/{kind}:0": numbers(3) for kind in ("beta", "moving_mean", "moving_variance")},
    "last": {"last/kernel:0": numbers(3, 2), "last/bias:0": numbers(2)},
}
_TRAINED = {"first/kernel": (2, 3), "first/bias": (3,), "norm/beta": (3,)}
_SLOTS = {
    (name, slot): numbers(*shape, start=number)
    for number, slot in ((7, "m"), (70, "v"))
    for name, shape in _TRAINED.items()
}


@pytest.mark.parametrize(
    ("step", "written"),
    [
        ("Adam/iterations:0", lambda number, name, slot: f"training/Adam/Variable_{number}:0"),
        ("training/Adam/iter:0", lambda number, name, slot: f"training/Adam/{name}/{slot}:0"),
        ("iteration:0", lambda number, name, slot: f"Adam/{slot}/{name}:0"),
        (
            "adam/iteration",
            lambda number, name, slot: f"adam/{name.replace('/', '_')}_{'momentum' if slot == 'm' else 'velocity'}",
        ),
    ],
    ids=["in order", "2.0", "2.11", "Keras 3"],
)
def test_slots_belong_to_their_weights(tmp_path: Path, step: str, written: object) -> None:
    assert callable(written)
    state = {step: np.array(12)} | {written(number, *key): array for number, (key, array) in enumerate(_SLOTS.items())}
    training = {"optimizer_config": {"class_name": "Adam", "config": {"lr": 0.5}}, "loss": "mse"}
    optimizer = read(keras_h5(tmp_path / "m.h5", _TWO_LAYERS, _TWO, optimizer=state, training=training)).optimizer
    assert optimizer is not None
    assert (optimizer.class_name, optimizer.config, optimizer.step, optimizer.others) == ("Adam", {"lr": 0.5}, 12, {})
    found = {(name, slot): array.read() for name, slots in optimizer.slots.items() for slot, array in slots.items()}
    assert found.keys() == _SLOTS.keys()
    assert all(np.array_equal(found[key], _SLOTS[key]) for key in _SLOTS)


def test_slots_of_another_shape_are_left_out(tmp_path: Path) -> None:
    state = {"iter:0": np.array(1)} | {f"training/Adam/Variable_{number}:0": numbers(3, 2) for number in range(6)}
    training = {"optimizer_config": {"class_name": "Adam", "config": {}}}
    optimizer = read(keras_h5(tmp_path / "m.h5", _TWO_LAYERS, _TWO, optimizer=state, training=training)).optimizer
    assert optimizer is not None
    assert optimizer.slots == {}
    assert len(optimizer.others) == 6


def test_custom_objects_and_lambdas_are_named(tmp_path: Path) -> None:
    code = base64.b64encode(marshal.dumps((lambda x: x).__code__)).decode()
    config = model(
        layer("Dense", "dense", activation="relu", kernel_initializer={"class_name": "Ones", "config": {}}),
        layer("Dense", "odd", activation="mish2", kernel_regularizer={"class_name": "Mine", "config": {}}),
        layer("mine>Scale", "scale", offset=0.5),
        layer("Lambda", "byte_code", function=[code, None, None], function_type="lambda"),
        layer("Lambda", "named", function="twice", function_type="function"),
    )
    training = {
        "loss": {"odd": "mse", "scale": "my_loss"},
        "metrics": ["acc"],
        "optimizer_config": {"class_name": "SGD"},
    }
    saved = read(keras_h5(tmp_path / "m.h5", {}, config, training=training))
    assert {(one.kind, one.name, one.where) for one in saved.custom_objects} == {
        ("regularizer", "Mine", "odd"),
        ("activation", "mish2", "odd"),
        ("layer", "Scale", "scale"),
        ("loss", "my_loss", "compile(loss=…)"),
    }
    expected = "3.11 or newer" if sys.version_info >= (3, 11) else "3.8 to 3.10"
    assert [(one.where, one.function, one.python) for one in saved.lambdas] == [
        ("byte_code", "", expected),
        ("named", "twice", ""),
    ]


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        ("2.0.8-tf", "TensorFlow 1.0 to 1.4, tf.keras 2.0.8-tf"),
        ("2.2.4-tf", "TensorFlow 1.13 to 2.1, tf.keras 2.2.4-tf"),
        ("2.3.1", "keras 2.3.1"),
        ("2.11.0", "TensorFlow 2.11, tf.keras 2.11.0"),
        ("3.4.1", "TensorFlow 2.16 or newer, keras 3.4.1"),
    ],
)
def test_version_tells_the_releases(tmp_path: Path, version: str, shown: str) -> None:
    assert str(read(keras_h5(tmp_path / "m.h5", {}, model(), version)).written_by) == shown


@pytest.mark.parametrize("whole", [True, False])
def test_automatic_names_of_another_run_keep_their_order(tmp_path: Path, whole: bool) -> None:
    def dense(*names: str) -> list[dict[str, object]]:
        return [layer("Dense", name) for name in names]

    def both(first: str, second: str, inner: str) -> dict[str, object]:
        return model(*dense(first, second), {**model(*dense(first, second), name=inner), "name": inner})

    file, here = both("dense_1", "dense_2", "model_1"), both("dense", "dense_1", "model")
    one, two = numbers(2, 2, start=1), numbers(2, 2, start=2)
    layers = {
        "dense_1": {"dense_1/kernel:0": one},
        "dense_2": {"dense_2/kernel:0": two},
        "model_1": {
            f"{name}/{kind}:0": value
            for name, value in (("dense_1", one), ("dense_2", two))
            for kind in ("kernel", "bias")
        },
    }
    saved = read_for(keras_h5(tmp_path / "m.h5", layers, file if whole else None), tree(here))
    assert {name: int(weight.read()[0, 0]) for name, weight in saved.weights.items()} == {
        "dense/kernel": 1, "dense_1/kernel": 2,
        "model/dense/kernel": 1, "model/dense/bias": 1, "model/dense_1/kernel": 2, "model/dense_1/bias": 2,
    }  # fmt: skip
