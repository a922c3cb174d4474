"""Layers of the same models in both releases: the same names, and with the same weights the same values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from tests.support.models import INPUTS, LAYERS, SETUP, WEIGHTS, Kernels, assert_close, kernels, there
from tfkernels.client.kernel import Kernel
from tfkernels.errors import RemoteError
from tfkernels.notebook.magic_arguments import parse_names

__all__ = ["kernels", "there"]  # the fixtures


@pytest.fixture
def graph_cell(there: Kernel) -> Iterator[Kernel]:
    """A kernel that builds a graph of its own, as TensorFlow 1 does and TensorFlow 2 can."""
    there.run("v1 = tf.compat.v1\ngraph = tf.Graph()\nscope = graph.as_default()\nscope.__enter__()")
    yield there
    there.run("scope.__exit__(None, None, None)")


@pytest.mark.parametrize("model", INPUTS)
def test_layers_and_weights_have_equal_names(there: Kernel, model: str) -> None:
    code = f"model, x = models['{model}'], inputs['{model}']"
    outputs = parse_names(["trace=tfkernels.trace(model, x)", "weights=tfkernels.weights(model)"], "-o")
    found = there.run(code, outputs=outputs)
    assert list(found["trace"]) == LAYERS[model]
    assert WEIGHTS[model].items() <= {name: array.shape for name, array in found["weights"].items()}.items()
    assert all(type(value) in (np.ndarray, list) for value in found["trace"].values())


def test_the_changed_layer_is_the_first_difference(there: Kernel) -> None:
    there.run(
        "model, x = models['nested'], inputs['nested']\n"
        "before = tfkernels.trace(model, x)\nweights = tfkernels.weights(model)\n"
        "weights['head/first/bias'] += 1\n"
        "tfkernels.load_weights(model, weights)\nafter = tfkernels.trace(model, x)"
    )
    differs = there["[name for name in before if not np.array_equal(before[name], after[name])]"]
    assert differs == ["head/first", "head/dense", "head", "concatenate", "output"]


def test_names_do_not_depend_on_earlier_models(there: Kernel) -> None:
    found = there.run(
        "others(); model = make_cnn(); trace = tfkernels.trace(model, inputs['cnn'])",
        outputs={"names": "list(trace)", "weights": "list(tfkernels.weights(model))", "given": "model.layers[1].name"},
    )
    assert found["given"] != "conv2d"
    assert found["names"] == LAYERS["cnn"]
    assert found["weights"][:4] == ["conv2d/kernel", "conv2d/bias", "bn/gamma", "bn/beta"]


def test_inference_by_default_and_training_on_request(there: Kernel) -> None:
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


def test_traced_models_can_still_be_trained(there: Kernel) -> None:
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


def test_a_stateful_layer_keeps_its_state(there: Kernel) -> None:
    there.run(
        "entry = L.Input(batch_shape=(2, 5, 3))\n"
        "model = tf.keras.Model(entry, L.GRU(3, stateful=True)(entry))\n"
        "first = tfkernels.trace(model, inputs['rnn'])\nsecond = tfkernels.trace(model, inputs['rnn'])"
    )
    first, second = there["first"], there["second"]
    assert np.array_equal(first["gru"], second["gru"])
    assert list(there["tfkernels.weights(model)"]) == ["gru/kernel", "gru/recurrent_kernel", "gru/bias"]


def test_recurrent_layers_are_one_value(there: Kernel) -> None:
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


def test_several_outputs_of_a_layer_and_several_inputs(there: Kernel) -> None:
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
def test_arguments_that_nothing_takes(there: Kernel, code: str, error: str) -> None:
    there.run("x, session = inputs['subclassed'], tf.compat.v1.Session(graph=tf.Graph())")
    with pytest.raises(RemoteError, match=f"TraceError.*{error}"):
        there.run(f"tfkernels.{code}")


def test_subclassed_models_take_several_arguments(there: Kernel) -> None:
    there.run(
        "class Sum(tf.keras.Model):\n"
        "    def call(self, x, y, training=False):\n"
        "        return x + y\n"
        "trace = tfkernels.trace(Sum(), np.ones((1, 2)), np.ones((1, 2)))"
    )
    assert there["trace"]["output"].tolist() == [[2, 2]]


def test_eager_tensorflow_1_traces_like_graphs(kernels: Kernels) -> None:
    with Kernel("tf1") as eager:
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
        with pytest.raises(RemoteError, match=r"TraceError.*built eagerly.*Leave tf\.Graph"):
            eager.run("with tf.Graph().as_default(): tfkernels.weights(model)")


def test_watched_tensors_of_a_session(graph_cell: Kernel) -> None:
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
    other = {**found, "hidden": np.full(2, 9.0)}
    code = "tfkernels.trace(session, {x: [1.0, 2.0]}, inputs_from=other)"
    alone = graph_cell.run("pass", inputs={"other": other}, outputs={"alone": code})
    assert {name: array.tolist() for name, array in alone["alone"].items()} == {
        "hidden": [2, 3], "a scale": 3, "hidden:1": [18, 18],
    }  # fmt: skip
    with pytest.raises(RemoteError, match=r"TraceError.*placeholder.*'x'.*reset_default_graph"):
        graph_cell.run("tfkernels.trace(session)")


def test_what_a_session_cannot_trace(graph_cell: Kernel) -> None:
    graph_cell.run("session = v1.Session(graph=graph)")
    with pytest.raises(RemoteError, match=r"TraceError.*nothing is watched"):
        graph_cell.run("tfkernels.trace(session)")
    with pytest.raises(RemoteError, match=r"TraceError.*trace\(session, feed_dict\)"):
        graph_cell.run("tfkernels.trace(lambda: None)")
    with pytest.raises(RemoteError, match=r"TraceError.*Operation, which is no tensor"):
        graph_cell.run("tfkernels.watch('x', tf.constant(1.0).op)")
    with pytest.raises(RemoteError, match=r"TraceError.*ndarray, which is no tensor"):
        graph_cell.run("tfkernels.watch('x', np.ones(3))")
    with pytest.raises(RemoteError, match=r"TraceError.*needs a name"):
        graph_cell.run("tfkernels.watch(tf.constant(1.0), 'x')")


def test_loops_of_graphs_are_not_traced(kernels: Kernels) -> None:
    kernels["tf1"].run(
        "with tf.Graph().as_default():\n"
        "    tf.while_loop(lambda i: i < 3, lambda i: tfkernels.watch('inside', i + 1), [0])\n"
        "    session = tf.Session()"
    )
    with pytest.raises(RemoteError, match=r"TraceError.*inside: watched inside a tf.while_loop"):
        kernels["tf1"].run("tfkernels.trace(session)")


def test_finalized_graphs_are_explained(kernels: Kernels) -> None:
    with pytest.raises(RemoteError, match=r"TraceError.*finalized.*tfkernels\.watch"):
        kernels["tf1"].run(
            "with tf.Graph().as_default() as graph:\n"
            "    model = tf.keras.Sequential([L.Dense(2, input_shape=(3,))])\n"
            "    graph.finalize()\n"
            "tfkernels.trace(model, np.ones((1, 3)))"
        )


@pytest.mark.parametrize("call", ["trace(model, np.ones((1, 3)))", "weights(model)", "load_weights(model, {})"])
@pytest.mark.parametrize("place", ["inside", "outside"])
def test_keras_3_in_a_graph_is_refused(kernels: Kernels, call: str, place: str) -> None:
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
        ("tfkernels.trace(3)", "needs a Keras model, a session or a function, got int"),
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
