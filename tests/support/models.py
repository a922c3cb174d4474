"""The models that the tests of traces and weights look into, the same in both kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfkernels
from tfkernels.client.kernel import Kernel

SETUP = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np
import tensorflow as tf
import tfkernels

tf.get_logger().setLevel("ERROR")
L = tf.keras.layers

def others():
    "What else may have been built before: it moves the numbers of automatic names."
    for _ in range(tf.__version__.count("1") + 2):
        L.Dense(2), L.Conv2D(2, 3), L.BatchNormalization(), tf.keras.Sequential([L.LSTM(2)])

def make_cnn():
    image = L.Input((8, 8, 1), name="image")
    x = L.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = L.BatchNormalization(name="bn")(x)
    x = L.add([L.Conv2D(4, 3, padding="same")(x), L.Conv2D(4, 1)(x)])
    x = L.Flatten()(L.Dropout(0.5)(L.ReLU()(x)))
    return tf.keras.Model(image, [L.Dense(5, name="logits")(x), L.Dense(3)(x) + 1.0])

def make_rnn():
    recurrent = {"recurrent_activation": "sigmoid", "return_sequences": True}
    return tf.keras.Sequential([
        L.LSTM(4, return_state=False, **recurrent),
        L.Bidirectional(L.GRU(3, reset_after=True, **recurrent)),
        L.TimeDistributed(L.Dense(2)),
        L.SimpleRNN(2),
    ])

def make_nested():
    entry = L.Input((4,))
    inner = tf.keras.Model(entry, L.Dense(3)(L.Dense(4, activation="tanh")(entry)))
    head = tf.keras.Sequential([L.Dense(3, name="first"), L.Dense(3)], name="head")
    shared = L.Dense(4)
    right, left = L.Input((4,), name="right"), L.Input((4,), name="left")
    x = L.concatenate([head(inner(shared(right))), inner(shared(left))])
    return tf.keras.Model([right, left], L.Dense(1, name="output")(x))

class Block(L.Layer):
    def __init__(self, units):
        super().__init__()
        self.dense, self.norm = L.Dense(units), L.BatchNormalization()

    def call(self, x, training=None):
        hidden = tfkernels.watch("hidden", self.norm(self.dense(x), training=training))
        return tf.nn.relu(hidden) + x

class Net(tf.keras.Model):
    def __init__(self, **regularizer):
        super().__init__()
        self.blocks, self.out = [Block(4), Block(4)], L.Dense(2, **regularizer)

    def call(self, x):
        for block in self.blocks:
            x = block(x)
        return tf.nn.softmax(self.out(x))

others()
models = {"cnn": make_cnn(), "rnn": make_rnn(), "nested": make_nested(), "subclassed": Net()}
"""

rng = np.random.default_rng(0)
INPUTS: dict[str, Any] = {
    "cnn": rng.random((2, 8, 8, 1)),
    "rnn": rng.random((2, 5, 3)),
    "nested": {"left": rng.random((2, 4)), "right": rng.random((2, 4))},
    "subclassed": rng.random((2, 4)),
}

LAYERS = {
    "cnn": ["conv2d", "bn", "conv2d_1", "conv2d_2", "add", "re_lu", "dropout", "flatten", "dense", "logits", "output"],
    "rnn": ["lstm", "bidirectional", "time_distributed", "simple_rnn", "output"],
    "nested": [
        "dense", "dense:1", "model/dense", "model/dense_1", "model", "head/first", "head/dense", "head",
        "model/dense:1", "model/dense_1:1", "model:1", "concatenate", "output",
    ],
    "subclassed": [
        "block/dense", "block/batch_normalization", "hidden", "block",
        "block_1/dense", "block_1/batch_normalization", "hidden:1", "block_1", "dense", "output",
    ],
}  # fmt: skip

WEIGHTS = {
    "cnn": {"bn/moving_variance": (4,), "conv2d_1/kernel": (3, 3, 4, 4), "conv2d_2/kernel": (1, 1, 4, 4)},
    "rnn": {
        "lstm/recurrent_kernel": (4, 16),
        "bidirectional/backward/bias": (2, 9),
        "time_distributed/dense/bias": (2,),
    },
    "nested": {"dense/kernel": (4, 4), "model/dense_1/kernel": (4, 3), "head/first/bias": (3,)},
    "subclassed": {"block_1/dense/kernel": (4, 4), "block/batch_normalization/gamma": (4,), "dense/kernel": (4, 2)},
}

Kernels = dict[str, Kernel]


@pytest.fixture(scope="module")
def kernels(installed: object) -> Kernels:
    kernels = {name: tfkernels.kernel(name) for name in ("tf1", "tf2")}
    for kernel in kernels.values():
        kernel.run(SETUP, inputs={"inputs": INPUTS})
    return kernels


@pytest.fixture(params=["tf1", "tf2"])
def there(request: pytest.FixtureRequest, kernels: Kernels) -> Kernel:
    return kernels[request.param]


def assert_close(one: Any, other: Any, name: str) -> None:
    if isinstance(one, list):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_close(a, b, f"{name}[{number}]")
    else:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)
