"""Weights of the same models in both releases: they move by name, by place and by mapping, or none of them does."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import INPUTS, LAYERS, Kernels, assert_close, kernels, rng, there
from tfkernels.client.kernel import Kernel
from tfkernels.errors import RemoteError

__all__ = ["kernels", "there"]  # the fixtures


@pytest.mark.parametrize("model", INPUTS)
def test_with_the_same_weights_they_compute_the_same(kernels: Kernels, model: str) -> None:
    code = f"model, x = models['{model}'], inputs['{model}']\ntfkernels.trace(model, x)  # builds it"
    for kernel in kernels.values():
        kernel.run(code)
    weights = kernels["tf1"]["tfkernels.weights(model)"]
    weights = {name: rng.random(array.shape).astype("float32") for name, array in weights.items()}
    for kernel in kernels.values():
        kernel["weights"] = weights
        assert kernel["tfkernels.load_weights(model, weights).complete"]
        loaded = kernel["tfkernels.weights(model)"]
        assert list(loaded) == list(weights)
        assert all(np.array_equal(loaded[name], weights[name]) for name in weights)
    one, other = (kernel["tfkernels.trace(model, x)"] for kernel in kernels.values())
    for name in LAYERS[model]:
        assert_close(one[name], other[name], name)


COMMON_LAYERS = """
gru = {"reset_after": True}
image, sequence, ids = [(2, 8, 8, 2)], [(2, 6, 3)], [(2, 3)]
layers = [
    (image, L.Conv2DTranspose(3, 3)), (sequence, L.Conv1D(3, 3)), (ids, L.Embedding(5, 2)), (image, L.PReLU()),
    (image, L.BatchNormalization()), (image, L.LayerNormalization()), (sequence, L.GRU(2, **gru)),
    (image, L.DepthwiseConv2D(3)), (image, L.SeparableConv2D(3, 3)), (sequence, L.SeparableConv1D(3, 3)),
    ([(2, 4, 8, 8, 2)], L.TimeDistributed(L.DepthwiseConv2D(3))), ([(2, 4, 8, 8, 2)], L.ConvLSTM2D(2, 3)),
    (sequence, L.RNN([L.LSTMCell(2), L.GRUCell(3, **gru), L.LSTMCell(4)])),
    (sequence, L.Bidirectional(L.RNN([L.SimpleRNNCell(2), L.GRUCell(3, **gru)]))),
    (sequence * 2, L.AdditiveAttention()),
]
def with_layer(shapes, layer):
    entries = [L.Input(shape[1:]) for shape in shapes]
    return tf.keras.Model(entries, layer(entries if len(entries) > 1 else entries[0]))
common = [with_layer(*layer) for layer in layers]
"""


def test_weights_of_common_layers_move_by_name(kernels: Kernels) -> None:
    for kernel in kernels.values():
        kernel.run(COMMON_LAYERS)
    weights = kernels["tf1"]["[tfkernels.weights(model) for model in common]"]
    names = [list(arrays) for arrays in weights]
    assert names == kernels["tf2"]["[list(tfkernels.weights(model)) for model in common]"]
    assert ["depthwise_conv2d/kernel", "depthwise_conv2d/bias"] in names
    assert [f"rnn/{cell}/kernel" for cell in ("lstm_cell", "gru_cell", "lstm_cell_1")] in [n[::3] for n in names]
    kernels["tf2"]["weights"] = weights
    assert kernels["tf2"]["all(tfkernels.load_weights(*pair).complete for pair in zip(common, weights))"]
    back = kernels["tf2"]["[tfkernels.weights(model) for model in common]"]
    assert all(np.array_equal(one[name], other[name]) for one, other in zip(weights, back, strict=True) for name in one)


def test_the_weights_that_users_name_keep_their_numbers(there: Kernel) -> None:
    there.run(
        "class Pair(L.Layer):\n"
        "    def build(self, shape):\n"
        "        self.a, self.b = [self.add_weight(name=name, shape=(1,)) for name in ('w_1', 'w_2')]\n"
        "        self.dense = L.Dense(2)\n"
        "        self.dense.build(shape)\n"
        "        self.other = L.Dense(2)\n"
        "        self.other.build(shape)\n"
        "        self.built = True\n"
        "    def call(self, x):\n"
        "        return self.other(self.dense(x) * self.a * self.b)\n"
        "model = tf.keras.Sequential([Pair()])\n"
        "tfkernels.trace(model, np.ones((1, 2)))"
    )
    assert set(there["list(tfkernels.weights(model))"]) == {
        "pair/w_1", "pair/w_2", "pair/dense/kernel", "pair/dense/bias", "pair/dense_1/kernel", "pair/dense_1/bias",
    }  # fmt: skip


GRAPH = """
with tf.Graph().as_default() as graph:
    x = tf.placeholder(tf.float32, [None, 4])
    with tf.variable_scope("net"):
        with tf.variable_scope("layer_1"):
            h = tf.nn.tanh(tf.matmul(x, tf.get_variable("weights", [4, 4])) + tf.get_variable("biases", [4]))
        with tf.variable_scope("layer_2"):
            y = tf.matmul(h, tf.get_variable("weights", [4, 4])) + tf.get_variable("biases", [4])
    frozen = tf.get_variable("frozen", [7, 2], trainable=False)
    tf.train.get_or_create_global_step()
    normal = tf.layers.batch_normalization(y)
    with tf.variable_scope("training"):
        tf.train.AdamOptimizer().minimize(tf.reduce_sum(normal))
    tf.train.ExponentialMovingAverage(0.9).apply(tf.trainable_variables())
    session = tf.Session()
    session.run(tf.global_variables_initializer())
"""


def test_session_weights_exclude_optimizers(kernels: Kernels) -> None:
    kernels["tf1"].run(GRAPH)
    assert list(kernels["tf1"]["tfkernels.weights(session)"]) == [
        "net/layer_1/weights", "net/layer_1/biases", "net/layer_2/weights", "net/layer_2/biases", "frozen",
        *(f"batch_normalization/{name}" for name in ("gamma", "beta", "moving_mean", "moving_variance")),
    ]  # fmt: skip
    with pytest.raises(RemoteError, match=r"WeightsError.*global_variables_initializer"):
        kernels["tf1"].run("tfkernels.weights(tf.Session(graph=graph))")


def test_variable_scopes_become_a_keras_model_and_back(kernels: Kernels) -> None:
    tf1, tf2 = kernels["tf1"], kernels["tf2"]
    tf1.run(GRAPH)
    weights, expected = tf1["tfkernels.weights(session)"], tf1["session.run(y, {x: inputs['subclassed']})"]
    tf2.run(
        "model = tf.keras.Sequential([L.Dense(4, activation='tanh', name='layer_1'), L.Dense(4, name='layer_2')])\n"
        "model.build((None, 4))\nreport = tfkernels.load_weights(model, weights)",
        inputs={"weights": weights},
    )
    assert tf2["[(match.target, match.source) for match in report.matched]"] == [
        (f"layer_{n}/{target}", f"net/layer_{n}/{source}")
        for n in (1, 2)
        for target, source in (("kernel", "weights"), ("bias", "biases"))
    ]
    assert_close(tf2["tfkernels.trace(model, inputs['subclassed'])['output']"], expected, "y")
    tf1["back"] = tf2["tfkernels.weights(model)"]
    tf1.run("graph.finalize(); session.run(frozen.initializer)")
    with pytest.raises(RemoteError, match="WeightsMismatch in kernel tf1: 4 of 9"):
        tf1.run("tfkernels.load_weights(session, back)")
    assert tf1["len(tfkernels.load_weights(session, back, partial=True).matched)"] == 4


def test_unfitting_weights_set_nothing(there: Kernel) -> None:
    there.run(
        "model = tf.keras.Sequential([L.GRU(3, reset_after=True), L.Dense(2), L.Dense(3, name='whole')])\n"
        "tfkernels.trace(model, inputs['rnn'])\n"
        "before = tfkernels.weights(model)\n"
        "weights = {name: array + 1 for name, array in before.items()}\n"
        "weights['gru/bias'] = weights['gru/bias'][0]\n"
        "del weights['dense/bias']\n"
        "try:\n"
        "    tfkernels.load_weights(model, weights)\n"
        "except tfkernels.errors.WeightsMismatch as error:\n"
        "    text, report = str(error), error.report\n"
    )
    assert "reset_after" in there["text"]
    assert "2 of 7 weights have a source that fits, 3 one, but not their whole layer" in there["text"]
    assert there["[missing.target for missing in report.missing]"] == ["dense/bias"]
    assert there["[(wrong.target, wrong.wanted, wrong.given) for wrong in report.mismatched]"] == [
        ("gru/bias", (2, 9), (9,))
    ]
    before, after = there["before"], there["tfkernels.weights(model)"]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    there.run("report = tfkernels.load_weights(model, weights, partial=True)")
    after = there["tfkernels.weights(model)"]
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["whole/kernel", "whole/bias"]


CELLS = """
with tf.Graph().as_default():
    x = tf.constant(inputs["rnn"], tf.float32)
    lstm, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.BasicLSTMCell(4), x, dtype=tf.float32, scope="one")
    gru, _ = tf.nn.dynamic_rnn(tf.nn.rnn_cell.GRUCell(4), x, dtype=tf.float32, scope="two")
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        weights, outputs = tfkernels.weights(session), session.run([lstm, gru])
"""

KERAS_OF_CELLS = """
entry = L.Input((5, 3))
layers = [L.LSTM(4, return_sequences=True), L.GRU(4, return_sequences=True, reset_after=False)]
model = tf.keras.Model(entry, [layer(entry) for layer in layers])
before = tfkernels.weights(model)
report = tfkernels.load_weights(model, weights, partial=True)
after = tfkernels.weights(model)
def as_one(kind):
    r, u = np.split(weights["two/gru_cell/gates/" + kind], 2, axis=-1)
    return np.concatenate([u, r, weights["two/gru_cell/candidate/" + kind]], axis=-1)
kernel = as_one("kernel")
gru = {"gru/kernel": kernel[:3], "gru/recurrent_kernel": kernel[3:], "gru/bias": as_one("bias")}
tfkernels.load_weights(model, {**lstm, **gru})
outputs = model.predict(inputs["rnn"])
"""


def test_cells_of_tensorflow_fit_after_what_is_said(kernels: Kernels) -> None:
    tf1, tf2 = kernels["tf1"], kernels["tf2"]
    tf1.run(CELLS)
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "find-the-first-layer.md").read_text(encoding="utf-8")
    code = textwrap.dedent(page.partition("`BasicLSTMCell` first:\n\n")[2].partition("\n\n")[0])
    tf2.run(code.replace("rnn/", "one/") + KERAS_OF_CELLS, inputs={"weights": tf1["weights"]})
    before, after = tf2["before"], tf2["after"]
    assert all(np.array_equal(before[name], after[name]) for name in before), "not the bias alone"
    assert "one/basic_lstm_cell/bias has another layout" in tf2["repr(report)"]
    assert_close(tf2["outputs"], tf1["outputs"], "outputs")


def test_cudnn_layouts_are_converted_as_by_keras(kernels: Kernels) -> None:
    kernels["tf1"].run(
        "from tensorflow.python.keras.saving import hdf5_format\n"
        "pairs = []\n"
        "for layer, fast in ((L.LSTM(4), L.CuDNNLSTM(4)), (L.GRU(4, reset_after=True), L.CuDNNGRU(4))):\n"
        "    for one in (layer, fast):\n"
        "        one.build((None, 5, 3))\n"
        "    for target, source in ((layer, fast), (fast, layer)):\n"
        "        given = {name: np.random.rand(*array.shape) for name, array in tfkernels.weights(source).items()}\n"
        "        given = {name: array.astype('float32') for name, array in given.items()}\n"
        "        tfkernels.load_weights(target, given)\n"
        "        names = 'kernel', 'recurrent_kernel', 'bias'\n"
        "        expected = hdf5_format._convert_rnn_weights(target, [given[name] for name in names])\n"
        "        pairs.append(([tfkernels.weights(target)[name] for name in names], expected))"
    )
    pairs = kernels["tf1"]["pairs"]
    assert len(pairs) == 4
    assert all(
        np.array_equal(one, other) for found, expected in pairs for one, other in zip(found, expected, strict=True)
    )


def test_equal_weight_names_in_one_layer(there: Kernel) -> None:
    there.run(
        "class Twice(L.Layer):\n"
        "    def build(self, shape):\n"
        "        self.a, self.b = [self.add_weight(name='scale', shape=(n,), initializer='ones') for n in (1, 1)]\n"
        "        self.built = True\n"
        "    def call(self, x):\n"
        "        return x * self.a * self.b\n"
        "model = tf.keras.Sequential([Twice()])\n"
        "tfkernels.trace(model, np.ones((1, 2)))\n"
        "weights = tfkernels.weights(model)\n"
        "weights['twice/scale_1'] += 1\n"
        "report = tfkernels.load_weights(model, weights)"
    )
    assert [array[0] for array in there["list(tfkernels.weights(model).values())"]] == [1, 2]
    assert there["[match[:3] for match in report.matched]"] == [
        (name, name, "same name") for name in ("twice/scale", "twice/scale_1")
    ]


def test_a_mapping_names_the_source(there: Kernel) -> None:
    there.run(
        "model = tf.keras.Sequential([L.Dense(3, input_shape=(3,)), L.Dense(3)])\n"
        if there.name == "tf1"
        else "model = tf.keras.Sequential([L.Input((3,)), L.Dense(3), L.Dense(3)])\n"
    )
    there.run(
        "weights = {name: np.full((3,) * (1 + name.endswith('weights')), number, np.float64)\n"
        "           for number, name in enumerate(['p/weights', 'p/biases', 'q/weights', 'q/biases'])}\n"
        "mapping = {'dense/kernel': 'q/weights', 'dense/bias': 'q/biases'}\n"
        "report = tfkernels.load_weights(model, weights, mapping=mapping)"
    )
    loaded = there["tfkernels.weights(model)"]
    assert {name: array.flat[0] for name, array in loaded.items()} == {
        "dense/kernel": 2, "dense/bias": 3, "dense_1/kernel": 0, "dense_1/bias": 1,
    }  # fmt: skip
    assert {array.dtype for array in loaded.values()} == {np.dtype("float32")}
    with pytest.raises(RemoteError, match="WeightsMismatch"):
        there.run("tfkernels.load_weights(model, weights)")
    with pytest.raises(RemoteError, match=r"complex\d+ values do not fit into float32"):
        there.run(
            "tfkernels.load_weights(model, {name: array * 1j for name, array in tfkernels.weights(model).items()})"
        )


def test_weights_that_read_back_otherwise_are_an_error(kernels: Kernels) -> None:
    kernels["tf2"].run(
        "class Deaf:\n"
        "    shape, dtype = (2,), 'float32'\n"
        "    def assign(self, value): pass\n"
        "    def numpy(self): return np.zeros(2, 'float32')\n"
        "variables = {'a': tf.Variable(np.zeros(2, 'float32')), 'b': Deaf()}"
    )
    with pytest.raises(RemoteError, match=r"WeightsError.*not loaded: b read back other values than were set"):
        kernels["tf2"].run("tfkernels.load_weights(variables, {'a': np.array([1, np.nan]), 'b': np.ones(2)})")


def test_variables_with_one_initializer_stay_apart(kernels: Kernels) -> None:
    kernels["tf1"].run(
        "with tf.Graph().as_default():\n"
        "    zero = tf.zeros(3)\n"
        "    variables = {name: tf.Variable(zero, use_resource=True) for name in 'ab'}\n"
        "    with tf.Session() as session:\n"
        "        tfkernels.load_weights(variables, {'a': np.ones(3), 'b': np.full(3, 2)})\n"
        "        values = tfkernels.weights(variables)"
    )
    assert {name: array.tolist() for name, array in kernels["tf1"]["values"].items()} == {"a": [1] * 3, "b": [2] * 3}
