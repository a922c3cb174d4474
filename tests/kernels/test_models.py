"""Layers and weights of the same models in both releases: the same names, and with the same weights the same values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tfkernels
from tfkernels.errors import RemoteError
from tfkernels.names import parse_names
from tfkernels.remote import RemoteKernel

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

_rng = np.random.default_rng(0)
INPUTS: dict[str, Any] = {
    "cnn": _rng.random((2, 8, 8, 1)),
    "rnn": _rng.random((2, 5, 3)),
    "nested": {"left": _rng.random((2, 4)), "right": _rng.random((2, 4))},
    "subclassed": _rng.random((2, 4)),
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

Kernels = dict[str, RemoteKernel]


@pytest.fixture(scope="module")
def kernels(installed: object) -> Kernels:
    kernels = {name: tfkernels.kernel(name) for name in ("tf1", "tf2")}
    for kernel in kernels.values():
        kernel.run(SETUP, inputs={"inputs": INPUTS})
    return kernels


@pytest.fixture(params=["tf1", "tf2"])
def there(request: pytest.FixtureRequest, kernels: Kernels) -> RemoteKernel:
    return kernels[request.param]


@pytest.fixture
def graph_cell(there: RemoteKernel) -> Iterator[RemoteKernel]:
    """A kernel that builds a graph of its own, as TensorFlow 1 does and TensorFlow 2 can."""
    there.run("v1 = tf.compat.v1\ngraph = tf.Graph()\nscope = graph.as_default()\nscope.__enter__()")
    yield there
    there.run("scope.__exit__(None, None, None)")


def assert_close(one: Any, other: Any, name: str) -> None:
    if isinstance(one, list):
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_close(a, b, f"{name}[{number}]")
    else:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("model", INPUTS)
def test_layers_and_weights_have_the_same_names_in_both(there: RemoteKernel, model: str) -> None:
    code = f"model, x = models['{model}'], inputs['{model}']"
    outputs = parse_names([["trace=tfkernels.trace(model, x)"], ["weights=tfkernels.weights(model)"]], "-o")
    found = there.run(code, outputs=outputs)
    assert list(found["trace"]) == LAYERS[model]
    assert WEIGHTS[model].items() <= {name: array.shape for name, array in found["weights"].items()}.items()
    assert all(type(value) in (np.ndarray, list) for value in found["trace"].values())


@pytest.mark.parametrize("model", INPUTS)
def test_with_the_same_weights_they_compute_the_same(kernels: Kernels, model: str) -> None:
    code = f"model, x = models['{model}'], inputs['{model}']\ntfkernels.trace(model, x)  # builds it"
    for kernel in kernels.values():
        kernel.run(code)
    weights = kernels["tf1"]["tfkernels.weights(model)"]
    weights = {name: _rng.random(array.shape).astype("float32") for name, array in weights.items()}
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


def test_the_weights_of_common_layers_move_by_the_same_names(kernels: Kernels) -> None:
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


def test_the_weights_that_users_name_keep_their_numbers(there: RemoteKernel) -> None:
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


def test_the_first_layer_that_differs_is_the_one_that_was_changed(there: RemoteKernel) -> None:
    there.run(
        "model, x = models['nested'], inputs['nested']\n"
        "before = tfkernels.trace(model, x)\nweights = tfkernels.weights(model)\n"
        "weights['head/first/bias'] += 1\n"
        "tfkernels.load_weights(model, weights)\nafter = tfkernels.trace(model, x)"
    )
    differs = there["[name for name in before if not np.array_equal(before[name], after[name])]"]
    assert differs == ["head/first", "head/dense", "head", "concatenate", "output"]


def test_names_do_not_depend_on_what_was_built_before(there: RemoteKernel) -> None:
    found = there.run(
        "others(); model = make_cnn(); trace = tfkernels.trace(model, inputs['cnn'])",
        outputs={"names": "list(trace)", "weights": "list(tfkernels.weights(model))", "given": "model.layers[1].name"},
    )
    assert found["given"] != "conv2d"
    assert found["names"] == LAYERS["cnn"]
    assert found["weights"][:4] == ["conv2d/kernel", "conv2d/bias", "bn/gamma", "bn/beta"]


def test_inference_by_default_and_training_on_request(there: RemoteKernel) -> None:
    found = there.run(
        "model, x = make_cnn(), inputs['cnn']",
        outputs={
            "inference": "tfkernels.trace(model, x)",
            "weights": "tfkernels.weights(model)",
            "training": "tfkernels.trace(model, x, training=True)",
            "kept": "tfkernels.weights(model)",
        },
    )
    inference, training = found["inference"], found["training"]
    assert np.array_equal(inference["dropout"], inference["re_lu"])
    assert not np.array_equal(training["dropout"], training["re_lu"])
    assert not np.allclose(training["bn"], inference["bn"]), "normalised with the batch, not with the averages"
    assert all(np.array_equal(found["kept"][name], array) for name, array in found["weights"].items())


def test_a_traced_model_can_be_trained_and_used_as_before(there: RemoteKernel) -> None:
    there.run(
        "entry = L.Input((4,))\n"
        "model = tf.keras.Model(entry, L.BatchNormalization()(L.Dense(4, activity_regularizer='l2')(entry)))\n"
        "tfkernels.trace(model, inputs['subclassed'], training=True)\n"
        "model.layers[1].output  # in TensorFlow 1 an error if the layer was called on another input of Keras\n"
        "model.compile('sgd', 'mse')\n"
        "model.train_on_batch(inputs['subclassed'], inputs['subclassed'])\n"
        "net = Net(activity_regularizer='l2'); net.compile('sgd', 'mse')\n"
        "tfkernels.trace(net, inputs['subclassed'], training=True)\n"
        "net.train_on_batch(inputs['subclassed'], inputs['subclassed'][:, :2])"
    )
    assert len(there["tfkernels.weights(model)"]) == 6, "those of the optimizer are none"


def test_a_stateful_layer_keeps_its_state(there: RemoteKernel) -> None:
    there.run(
        "entry = L.Input(batch_shape=(2, 5, 3))\n"
        "model = tf.keras.Model(entry, L.GRU(3, stateful=True)(entry))\n"
        "first = tfkernels.trace(model, inputs['rnn'])\nsecond = tfkernels.trace(model, inputs['rnn'])"
    )
    first, second = there["first"], there["second"]
    assert np.array_equal(first["gru"], second["gru"])
    assert list(there["tfkernels.weights(model)"]) == ["gru/kernel", "gru/recurrent_kernel", "gru/bias"]


def test_a_recurrent_layer_is_one_value_also_if_it_was_subclassed(there: RemoteKernel) -> None:
    there.run(
        "class Own(L.LSTM):\n"
        "    def call(self, sequences, mask=None, training=None, initial_state=None):\n"
        "        return super(Own, self).call(sequences, mask=mask, training=training, initial_state=initial_state)\n"
        "model = tf.keras.Sequential([Own(2, unroll=True), L.Dense(1)])\n"
        "names = list(tfkernels.trace(model, inputs['rnn'])), list(tfkernels.weights(model))[:2]"
    )
    assert there["names"] == (["own", "dense", "output"], ["own/kernel", "own/recurrent_kernel"])


def test_autograph_translates_a_traced_layer_as_any_other(kernels: Kernels) -> None:
    kernels["tf1"].run(
        "class Positive(L.Layer):\n"
        "    def call(self, x):\n"
        "        if tf.reduce_sum(x) < 0:\n"
        "            x = -x\n"
        "        return x\n"
        "trace = tfkernels.trace(tf.keras.Sequential([Positive()]), -np.ones((1, 2)))"
    )
    assert kernels["tf1"]["trace"]["positive"].tolist() == [[1, 1]]


def test_several_outputs_of_a_layer_and_several_inputs(there: RemoteKernel) -> None:
    there.run(
        "entry = L.Input((5, 3))\n"
        "states = tf.keras.Model(entry, L.LSTM(3, return_state=True)(entry))\n"
        "a = tfkernels.trace(states, inputs['rnn'])\n"
        "b = tfkernels.trace(models['nested'], inputs['nested'])\n"
        "c = tfkernels.trace(models['nested'], [inputs['nested']['right'], inputs['nested']['left']])"
    )
    assert [array.shape for array in there["list(a['lstm'])"]] == [(2, 3)] * 3
    b, c = there["b"], there["c"]
    assert all(np.array_equal(b[name], c[name]) for name in LAYERS["nested"])
    with pytest.raises(RemoteError, match=r"TraceError.*np\.array"):
        there.run("tfkernels.trace(states, [1.0, 2.0])")
    with pytest.raises(RemoteError, match=r"TraceError.*needs an input"):
        there.run("tfkernels.trace(states)")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("trace(models['nested'], x, x)", r"does not take 2 arguments as inputs.*trace\(model, \[x1, x2\]\)"),
        ("trace(models['subclassed'], x, x)", "does not take 2 arguments as inputs"),
        ("trace(models['subclassed'], feed_dict={})", r"feed_dict is .* for sessions only"),
        ("trace(models['subclassed'], x, feed_dict={})", r"feed_dict is .* for sessions only"),
        ("trace(session, {}, feed_dict={})", "feed_dict is all that a session takes"),
        ("trace(session, {}, {})", "one dict of values by placeholder"),
        ("trace(session, x)", "one dict of values by placeholder"),
        ("trace(session, {}, training=True)", "training=True is for Keras models"),
        ("trace(lambda: None, training=True)", "training=True is for Keras models"),
    ],
)  # fmt: skip
def test_arguments_that_nothing_takes(there: RemoteKernel, code: str, error: str) -> None:
    there.run("x, session = inputs['subclassed'], tf.compat.v1.Session(graph=tf.Graph())")
    with pytest.raises(RemoteError, match=f"TraceError.*{error}"):
        there.run(f"tfkernels.{code}")


def test_several_arguments_go_to_the_call_of_a_subclassed_model(there: RemoteKernel) -> None:
    there.run(
        "class Sum(tf.keras.Model):\n"
        "    def call(self, x, y, training=False):\n"
        "        return x + y\n"
        "trace = tfkernels.trace(Sum(), np.ones((1, 2)), np.ones((1, 2)))"
    )
    assert there["trace"]["output"].tolist() == [[2, 2]]


def test_eager_execution_in_tensorflow_1_gives_what_graphs_give(kernels: Kernels) -> None:
    with RemoteKernel("tf1") as eager:
        eager.run("import tensorflow as tf\ntf.enable_eager_execution()\n" + SETUP, inputs={"inputs": INPUTS})
        for model in INPUTS:
            for kernel in (eager, kernels["tf1"]):
                kernel.run(f"model, x = models['{model}'], inputs['{model}']; trace = tfkernels.trace(model, x)")
            eager["weights"] = kernels["tf1"]["tfkernels.weights(model)"]
            assert eager["tfkernels.load_weights(model, weights).complete"]
            one, other = eager["tfkernels.trace(model, x)"], kernels["tf1"]["trace"]
            assert list(one) == list(other) == LAYERS[model]
            for name in one:
                assert_close(one[name], other[name], name)


def test_watched_tensors_of_a_session(graph_cell: RemoteKernel) -> None:
    graph_cell.run(
        "x = v1.placeholder(tf.float32, [None], name='x')\n"
        "scale = v1.get_variable('scale', [], initializer=v1.constant_initializer(3.0))\n"
        "hidden = tfkernels.watch('hidden', x + 1)\n"
        "tfkernels.watch('a scale', scale)\n"
        "hidden = tfkernels.watch('hidden', hidden * 2)\n"
        "session = v1.Session(graph=graph)"
    )
    with pytest.raises(RemoteError, match=r"TraceError.*scale.*Initialise.*global_variables_initializer"):
        graph_cell.run("tfkernels.trace(session, {x: [1.0, 2.0]})")
    graph_cell.run("session.run(v1.global_variables_initializer())\ngraph.finalize()")
    found = graph_cell["tfkernels.trace(session, feed_dict={x: [1.0, 2.0]})"]
    assert list(found) == ["hidden", "a scale", "hidden:1"]
    assert found["hidden"].tolist() == [2, 3]
    assert found["a scale"] == 3
    assert found["hidden:1"].tolist() == [4, 6]
    with pytest.raises(RemoteError, match=r"TraceError.*placeholder.*'x'.*reset_default_graph"):
        graph_cell.run("tfkernels.trace(session)")


def test_what_a_session_cannot_trace(graph_cell: RemoteKernel) -> None:
    graph_cell.run("session = v1.Session(graph=graph)")
    with pytest.raises(RemoteError, match=r"TraceError.*nothing is watched"):
        graph_cell.run("tfkernels.trace(session)")
    with pytest.raises(RemoteError, match=r"TraceError.*trace\(session, feed_dict\)"):
        graph_cell.run("tfkernels.trace(lambda: None)")
    with pytest.raises(RemoteError, match=r"TraceError.*Operation, which is no tensor"):
        graph_cell.run("tfkernels.watch('x', tf.constant(1.0).op)")
    with pytest.raises(RemoteError, match=r"TraceError.*ndarray, which is no tensor"):
        graph_cell.run("tfkernels.watch('x', np.ones(3))")
    with pytest.raises(RemoteError, match=r"TraceError.*wants a name"):
        graph_cell.run("tfkernels.watch(tf.constant(1.0), 'x')")


def test_a_loop_of_a_graph_cannot_be_looked_into(kernels: Kernels) -> None:
    kernels["tf1"].run(
        "with tf.Graph().as_default():\n"
        "    tf.while_loop(lambda i: i < 3, lambda i: tfkernels.watch('inside', i + 1), [0])\n"
        "    session = tf.Session()"
    )
    with pytest.raises(RemoteError, match=r"TraceError.*inside: watched inside a tf.while_loop"):
        kernels["tf1"].run("tfkernels.trace(session)")


def test_a_model_on_a_finalized_graph_says_what_to_do(kernels: Kernels) -> None:
    with pytest.raises(RemoteError, match=r"TraceError.*finalized.*tfkernels\.watch"):
        kernels["tf1"].run(
            "with tf.Graph().as_default() as graph:\n"
            "    model = tf.keras.Sequential([L.Dense(2, input_shape=(3,))])\n"
            "    graph.finalize()\n"
            "tfkernels.trace(model, np.ones((1, 3)))"
        )


@pytest.mark.parametrize("call", ["trace(model, np.ones((1, 3)))", "weights(model)", "load_weights(model, {})"])
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_a_model_of_keras_3_has_no_values_in_a_graph(kernels: Kernels, call: str, place: str) -> None:
    build = "model = tf.keras.Sequential([L.Input((3,)), L.Dense(2)])"
    partial = call.replace("{}", "{}, partial=True")
    with pytest.raises(RemoteError, match=r"TraceError.*Keras 3 work eagerly only.*disable_v2_behavior"):
        kernels["tf2"].run(
            ("" if place == "inside" else f"{build}\n")
            + "with tf.Graph().as_default():\n"
            + (f"    {build}\n" if place == "inside" else "")
            + f"    tfkernels.{partial}"
        )


def test_watched_values_of_a_function(kernels: Kernels) -> None:
    kernels["tf2"].run(
        "@tf.function\n"
        "def function(x):\n"
        "    hidden = tfkernels.watch('hidden', x + 1)\n"
        "    for _ in range(2):\n"
        "        hidden = tfkernels.watch('step', hidden * 2)\n"
        "    return hidden\n"
        "outside = function(tf.constant([1.0])).numpy()\n"
        "trace = tfkernels.trace(function, tf.constant([1.0]))\n"
        "eagerly = tf.config.functions_run_eagerly()"
    )
    trace = kernels["tf2"]["trace"]
    assert list(trace) == ["hidden", "step", "step:1"]
    assert [array.tolist() for array in trace.values()] == [[2], [4], [8]]
    assert kernels["tf2"]["outside"].tolist() == [8], "without a trace, watch changes nothing"
    assert not kernels["tf2"]["eagerly"], "functions are compiled again afterwards"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("tfkernels.trace(lambda: None)", "watched nothing"),
        ("tfkernels.trace(3)", "wants a Keras model, a session or a function; this is a int"),
        ("tfkernels.trace(lambda: tfkernels.watch('x', L.Input((3,))))", "KerasTensor that has no value here"),
        ("tfkernels.trace(tf.vectorized_map, lambda i: tfkernels.watch('i', i), tf.ones(2))", "has no value here"),
        ("tfkernels.weights(tf.keras.Sequential([L.Dense(2)]))", "no weights before it is built"),
        ("tfkernels.weights([1])", "a list has no weights"),
        ("tfkernels.load_weights(models['cnn'], models['cnn'].get_weights())", "a list.*has no names"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_what_to_do(kernels: Kernels, code: str, error: str) -> None:
    with pytest.raises(RemoteError, match=error):
        kernels["tf2"].run(code)


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


def test_a_session_has_the_weights_of_its_graph_without_those_of_optimizers(kernels: Kernels) -> None:
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


def test_what_does_not_fit_is_refused_and_nothing_is_set(there: RemoteKernel) -> None:
    there.run(
        "model = tf.keras.Sequential([L.GRU(3, reset_after=True), L.Dense(2)])\n"
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
    assert "2 of 5 weights" not in there["text"]
    assert there["[missing.target for missing in report.missing]"] == ["dense/bias"]
    assert there["[(wrong.target, wrong.wanted, wrong.given) for wrong in report.mismatched]"] == [
        ("gru/bias", (2, 9), (9,))
    ]
    before, after = there["before"], there["tfkernels.weights(model)"]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    there.run("report = tfkernels.load_weights(model, weights, partial=True)")
    after = there["tfkernels.weights(model)"]
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["gru/kernel", "gru/recurrent_kernel", "dense/kernel"]


def test_weights_of_one_layer_that_have_the_same_name(there: RemoteKernel) -> None:
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


def test_a_mapping_names_the_source(there: RemoteKernel) -> None:
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


def test_variables_that_begin_with_the_same_tensor_are_set_each_to_its_own(kernels: Kernels) -> None:
    kernels["tf1"].run(
        "with tf.Graph().as_default():\n"
        "    zero = tf.zeros(3)\n"
        "    variables = {name: tf.Variable(zero, use_resource=True) for name in 'ab'}\n"
        "    with tf.Session() as session:\n"
        "        tfkernels.load_weights(variables, {'a': np.ones(3), 'b': np.full(3, 2)})\n"
        "        values = tfkernels.weights(variables)"
    )
    assert {name: array.tolist() for name, array in kernels["tf1"]["values"].items()} == {"a": [1] * 3, "b": [2] * 3}
