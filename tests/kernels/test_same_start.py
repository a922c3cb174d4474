"""Two releases begin with the same weights, and describe their models in the same words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.models import Kernels, kernels
from tfkernels import compare_models
from tfkernels.errors import RemoteError

__all__ = ["kernels"]  # the fixture

_BUILD = """
def build():
    keras = tf.keras
    image = L.Input((8, 8, 3))
    x = L.Conv2D(4, 3, padding="same", strides=PAD, kernel_initializer="he_normal", name="conv")(image)
    x = L.BatchNormalization(name="bn")(x)
    x = L.SeparableConv2D(6, 3, padding="same")(L.ReLU()(x))
    x = L.Bidirectional(L.LSTM(4, return_sequences=True, recurrent_activation="sigmoid"))(L.Reshape((-1, 6))(x))
    x = L.Dropout(0.5)(L.GRU(3)(x))
    model = keras.Model(image, L.Dense(2, kernel_regularizer=keras.regularizers.l2(0.01))(x))
    model.compile("adam", "mse")
    return model

others()
model = build()
"""

_GRAPH = """
v1 = tf.compat.v1
graph = v1.Graph()
with graph.as_default():
    for name, initializer in [
        ("conv/weights", v1.glorot_uniform_initializer()),
        ("w1", v1.truncated_normal_initializer(stddev=0.02)),
        ("rows", v1.orthogonal_initializer(gain=2.0)),
    ]:
        v1.get_variable(name, [6, 4], initializer=initializer)
    tf.Variable(v1.random_normal([3, 3]) ** 2, name="squares")
    tf.Variable(tf.zeros([5]), name="untrained")
    session = v1.Session()
    report = tfkernels.same_start(session, seed=3, mapping={"w1": "first/kernel"})
"""


@pytest.fixture(scope="module")
def built(kernels: Kernels) -> Kernels:
    for name, stride in (("tf1", 2), ("tf2", 1)):
        kernels[name].run(_BUILD.replace("PAD", str(stride)) + _GRAPH)
    return kernels


def test_models_begin_with_equal_bits(built: Kernels) -> None:
    found = {}
    for name in ("tf1", "tf2"):
        kernel = built[name]
        before = kernel["tfkernels.weights(model)"]
        report = kernel["tfkernels.same_start(model, seed=3).weights"]
        found[name] = kernel["tfkernels.weights(model)"]
        assert not np.array_equal(before["conv/kernel"], found[name]["conv/kernel"])
        assert report["bidirectional/forward/bias"] == "zeros, and 1 for the forget gate"
        kernel.run("tfkernels.same_start(model, seed=4)")
        assert not np.array_equal(kernel["tfkernels.weights(model)"]["conv/kernel"], found[name]["conv/kernel"])
    assert {*found["tf1"]} == {*found["tf2"]}
    equal = {name for name in found["tf1"] if np.array_equal(found["tf1"][name], found["tf2"][name])}
    assert {*found["tf1"]} - equal == {"gru/bias"}  # of two shapes, and all zeros
    assert found["tf2"]["bidirectional/backward/bias"][4:8].tolist() == [1.0] * 4


def test_sessions_begin_with_the_bits_of_models(built: Kernels) -> None:
    one, other = (built[name]["tfkernels.weights(session)"] for name in ("tf1", "tf2"))
    assert {*one} == {*other} == {"conv/weights", "w1", "rows", "squares", "untrained"}
    assert all(np.array_equal(one[name], other[name]) for name in one)
    assert np.allclose(one["rows"].T @ one["rows"], 4 * np.eye(4), atol=1e-6)
    assert (one["squares"] >= 0).all()
    same = """
begin = tf.keras.initializers.TruncatedNormal(stddev=0.02)
g = tf.keras.Sequential([L.Dense(6, name="first", kernel_initializer=begin), L.Dense(4, name="conv")])
g.build((None, 6))
"""
    assert built["tf1"]["report.weights['rows']"] == "orthogonal(gain=2)"
    built["tf2"].run(same)
    built["tf2"].run("tfkernels.same_start(g, seed=3)")
    assert np.array_equal(built["tf2"]["tfkernels.weights(g)"]["conv/kernel"], one["conv/weights"])


def test_weight_without_known_initializer_is_refused(built: Kernels) -> None:
    kernel = built["tf2"]
    kernel.run("""
class Scale(L.Layer):
    def build(self, shape):
        self.w = self.add_weight(name="w", shape=(3, 3), initializer="he_normal")
        self.one = self.add_weight(name="one", shape=(3,), initializer="ones")
    def call(self, x):
        return x @ self.w * self.one
own = tf.keras.Sequential([Scale(name="scale"), L.Dense(2)])
own.build((None, 3))
before = tfkernels.weights(own)
""")
    with pytest.raises(RemoteError, match="cannot draw scale/w"):
        kernel.run("tfkernels.same_start(own)")
    assert kernel["all(np.array_equal(before[name], value) for name, value in tfkernels.weights(own).items())"]
    report = kernel["tfkernels.same_start(own, initializers={'scale/w': 'he_normal'}).weights"]
    assert (report["scale/w"], report["scale/one"]) == ("he_normal", "kept as it is")


def test_descriptions_name_the_settings_that_differ(built: Kernels) -> None:
    old, new = (built[name]["tfkernels.describe(model)"] for name in ("tf1", "tf2"))
    found = compare_models(old, new, names=("tf1", "tf2"))
    assert [(pair.a, pair.b) for pair in found.pairs] == [(name, name) for name in old["layers"]]
    assert [(one.layer, one.setting, one.default != "") for one in found.differences] == [
        ("conv", "strides", False),
        ("gru", "recurrent_activation", True),
        ("gru", "reset_after", True),
        ("gru", "shape of bias", False),
    ]


_DROPOUT = """
def dropping():
    entry = L.Input((6,))
    x = L.GaussianNoise(0.3)(L.Dropout(0.4)(L.Dense(8, activation="relu")(entry)))
    model = tf.keras.Model(entry, L.Dense(1)(L.Dropout(0.25)(L.Dense(8)(x))))
    model.compile(tf.keras.optimizers.SGD(0.1), "mse")
    return model

def losses(model):
    found = []
    for rows in (20, 20, 13):
        found.append(float(np.ravel(model.train_on_batch(x[:rows], x[:rows, :1]))[0]))
        model.predict(x, verbose=0)
    return found

x = np.linspace(-2, 2, 120).reshape(20, 6).astype("float32")
model = dropping()
model.train_on_batch(x, x[:, :1])
made = tfkernels.same_start(model, seed=3)
traced = tfkernels.trace_training(model, x, x[:, :1])  # draws no mask that the training gets
"""

_DROPOUT_GRAPH = """
graph = v1.Graph()
with graph.as_default():
    inputs, train = v1.placeholder(tf.float32, [None, 6]), v1.placeholder_with_default(True, [])
    def dense(name, h, units):
        with v1.variable_scope(name):
            size = [int(h.shape[1]), units]
            kernel = v1.get_variable("kernel", size, initializer=v1.glorot_uniform_initializer())
            return h @ kernel + v1.get_variable("bias", [units], initializer=v1.zeros_initializer())
    h = tf.nn.relu(dense("dense", inputs, 8))
    h = tf.cond(train, lambda: v1.nn.dropout(h, rate=0.4), lambda: tf.identity(h), name="drop")
    h = tf.cond(train, lambda: h + 0.3 * v1.random_normal(tf.shape(h)), lambda: tf.identity(h), name="noise")
    h = dense("dense_1", h, 8)
    h = v1.nn.dropout(h, rate=tf.where(train, 0.25, 0.0), name="second")
    h = dense("dense_2", h, 1)
    loss = tf.reduce_mean((h - inputs[:, :1]) ** 2)
    step = v1.train.GradientDescentOptimizer(0.1).minimize(loss)
    session = v1.Session()
    session.run(v1.global_variables_initializer())
    session.run(step, {inputs: x})
    report = tfkernels.same_start(session, seed=3, mapping=NAMES)
    tfkernels.trace_training(session=session, train_op=step, feeds={inputs: x})
    in_graph = []
    for rows in (20, 20, 13):
        in_graph.append(session.run([loss, step], {inputs: x[:rows]})[0])
        session.run(h, {inputs: x, train: False})
"""


def test_dropout_masks_are_equal_in_every_form(built: Kernels) -> None:
    for name in ("tf1", "tf2"):
        built[name].run(_DROPOUT)
        assert built[name]["(made.dropouts, made.other_random)"] == (["dropout", "gaussian_noise", "dropout_1"], [])
    one, other = (built[name]["losses(model)"] for name in ("tf1", "tf2"))
    assert one == pytest.approx(other, rel=1e-4)
    noise = [built[name]["traced['steps'][0]['random']['gaussian_noise']"] for name in ("tf1", "tf2")]
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-6)
    assert np.std(noise[0]) == pytest.approx(1, abs=0.2)
    assert abs(np.mean(noise[0])) < 0.3
    built["tf1"].run(
        _DROPOUT_GRAPH.replace("NAMES", "{'second': 'dropout_1', 'drop': 'dropout', 'noise': 'gaussian_noise'}")
    )
    assert built["tf1"]["report.dropouts"] == ["dropout", "gaussian_noise", "dropout_1"]
    assert built["tf1"]["in_graph"] == pytest.approx(one, rel=1e-4)
    built["tf2"].run(
        _DROPOUT_GRAPH.replace("NAMES", "{'second': 'dropout_1'}")
    )  # whose conditions are functions there, which the report says
    assert built["tf2"]["(report.dropouts, len(report.other_random))"] == (["dropout_1"], 2)
    assert built["tf1"]["report.other_random"] == []
    built["tf2"].run("tfkernels.same_start(model, seed=4)\nother = losses(model)")
    assert built["tf2"]["other"] != pytest.approx(other, rel=1e-2)
