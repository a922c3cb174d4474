"""A TensorFlow 1 graph in TensorFlow 2: wrapped with trainable variables, and its weights in a model of the user's."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkernels
from tfkernels.client.kernel import Kernel
from tfkernels.errors import TFKernelsError
from tfprovisioner.conversion.optimizer_proof import continued

SETUP = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np
import tensorflow as tf
from tfkernels.conversion.graphs import steps
tf.get_logger().setLevel("ERROR")
"""

# What people train with: conditions, loops, tables, moving averages, variables of both kinds, and a learning phase.
OLD = """
x = tf.placeholder(tf.float32, [None, 4], name="x")
y = tf.placeholder(tf.float32, [None, 3], name="y")
word = tf.placeholder(tf.string, [None], name="word")
training = tf.placeholder(tf.bool, [], name="keras_learning_phase")
keep = tf.placeholder_with_default(1.0, [], name="keep_prob")
with tf.variable_scope("net"):
    w1 = tf.get_variable("fc1/weights", [4, 5], initializer=tf.random_normal_initializer(seed=1))
    b1 = tf.get_variable("fc1/biases", [5], initializer=tf.random_normal_initializer(seed=2))
    mean = tf.get_variable("norm/moving_mean", [5], initializer=tf.zeros_initializer(), trainable=False)
    w2 = tf.get_variable("fc2/weights", [5, 3], initializer=tf.random_normal_initializer(seed=3), use_resource=True)
    h = tf.nn.tanh(tf.matmul(x, w1) + b1)
    update = tf.assign_sub(mean, (mean - tf.reduce_mean(h, 0)) * 0.1)
    h = tf.cond(training, lambda: h - tf.reduce_mean(h, 0), lambda: h - mean)
    out = tf.matmul(h, w2, name="out")
table = tf.contrib.lookup.HashTable(tf.contrib.lookup.KeyValueTensorInitializer(["a", "b"], [1, 2]), -1)
_, scaled = tf.while_loop(lambda i, v: i < 2, lambda i, v: (i + 1, v * 0.5), (0, out))
looked_up = tf.multiply(scaled, tf.cast(table.lookup(word), tf.float32)[:, None], name="looked_up")
step = tf.train.get_or_create_global_step()
optimizer = tf.train.AdamOptimizer(0.01)
average = tf.train.ExponentialMovingAverage(0.5)
loss = tf.reduce_mean(tf.square(out - y))
train_only = optimizer.minimize(loss)
with tf.control_dependencies([update]):
    train = optimizer.minimize(loss, step)
with tf.control_dependencies([train]):
    train = average.apply([w1, b1, w2])
session = tf.Session()
session.run([tf.global_variables_initializer(), tf.tables_initializer()])
data = np.random.RandomState(0)
for _ in range(3):
    session.run(train, {x: data.rand(6, 4), y: data.rand(6, 3), training: True})
saver = tf.train.Saver()
for version, name in ((tf.train.SaverDef.V2, "v2"), (tf.train.SaverDef.V1, "v1")):
    prefix = tf.train.Saver(write_version=version).save(session, os.path.join(folder, name))
outputs = {"scores": looked_up, "out": out}
signature = tf.saved_model.signature_def_utils.predict_signature_def({"x": x, "word": word}, outputs)
builder = tf.saved_model.builder.SavedModelBuilder(os.path.join(folder, "saved_model"))
init = tf.tables_initializer()
builder.add_meta_graph_and_variables(session, ["train"], legacy_init_op=init)
builder.add_meta_graph(["serve"], signature_def_map={"serving_default": signature})
builder.save()
frozen = tf.graph_util.convert_variables_to_constants(session, session.graph.as_graph_def(), ["net/out"])
tf.train.write_graph(frozen, folder, "frozen.pb", as_text=False)
feed = {x: given, training: False, word: words}
expected, expected_scores = session.run([out, looked_up], feed)
batch = data.rand(6, 4).astype("float32"), data.rand(6, 3).astype("float32")
saver.restore(session, os.path.join(folder, "v2"))
averaged = {variable.op.name: session.run(average.average(variable)) for variable in (w1, b1, w2)}
session.run(train_only, {x: batch[0], y: batch[1], training: False})
trained = {variable.op.name: session.run(variable) for variable in (w1, b1, w2)}
"""

GIVEN = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
WORDS = np.array(["a", "b", "c", "a", "b"], object)


@pytest.fixture(scope="module")
def files(installed: object, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The folder of the specimens, and what the old session computed."""
    folder = tmp_path_factory.mktemp("graphs")
    old = tfkernels.kernel("tf1")
    graph = "with tf.Graph().as_default():\n" + textwrap.indent(OLD, "    ")  # other tests trained in the kernel's own
    old.run(SETUP + graph, inputs={"folder": str(folder), "given": GIVEN, "words": WORDS})
    names = ("expected", "expected_scores", "averaged", "trained", "batch")
    return {"folder": folder, **{name: old[name] for name in names}}


@pytest.fixture(scope="module")
def new(installed: object) -> Kernel:
    kernel = tfkernels.kernel("tf2")
    kernel.run(SETUP)
    return kernel


TRAINED = ["net/fc1/weights", "net/fc1/biases", "net/fc2/weights"]

GRADIENTS = """
loaded = tf.saved_model.load(output)
with tf.GradientTape() as tape:
    result = loaded.serve(tf.constant(given))
gradients = tape.gradient(result, list(loaded.trainable_variables))
reached = [gradient is not None and bool(tf.reduce_any(gradient != 0)) for gradient in gradients]
"""


@pytest.mark.parametrize("name", ["v2", "v1", "frozen.pb", "saved_model"])
def test_wrapped_graphs_compute_the_same_and_train(
    files: dict[str, Any], new: Kernel, name: str, tmp_path: Path
) -> None:
    path, output = str(files["folder"] / name), str(tmp_path / "new")
    outputs = ["net/out"] if name in ("v2", "v1") else []
    inputs = {"x": GIVEN, "word": WORDS}
    answer: dict[str, Any] = {}
    for kernel in (tfkernels.kernel("tf1"), new):
        kernel["path"], kernel["output"], kernel["outputs"] = path, output, outputs
        kernel["given"], kernel["words"] = GIVEN, WORDS
        answer = kernel["steps.open_graph(path, outputs=outputs)"]
        kernel["layers"] = answer["layers"]
        kernel["inputs"] = {one["name"]: inputs[one["name"]] for one in answer["inputs"]}
    old_values = tfkernels.kernel("tf1")["steps.run_graph(inputs, layers)"]
    report = new["steps.save_graph(output)"]
    values = new["steps.run_saved(inputs, layers)"]
    assert {"net/Tanh:0", "net/out:0"} <= set(answer["layers"])
    assert list(values) == list(old_values)
    for layer, value in values.items():
        np.testing.assert_allclose(value, old_values[layer], rtol=1e-5, atol=1e-6, err_msg=layer)
    np.testing.assert_allclose(values["out"], files["expected"], rtol=1e-5, atol=1e-6)
    if name == "saved_model":  # whose scores come out of a loop
        assert answer["tags"] == ["serve"]
        np.testing.assert_allclose(values["scores"], files["expected_scores"], rtol=1e-5, atol=1e-6)
        with pytest.raises(
            TFKernelsError, match=r"no graph has the tags gpu\. Give one of these with --tags: train; serve"
        ):
            new["steps.open_graph(path, tags=['gpu'])"]
        assert report["trainable"] == []
        assert "loops of TensorFlow 1" in report["way"]
        assert "TensorFlow 2 cannot train this graph" in continued(report["optimizer"], None)
    else:
        assert set(report["trainable"]) == set(TRAINED)
        new.run(GRADIENTS)
        assert new["reached"] == [True, True, True]
    if name in ("v2", "v1"):
        assert_optimizer_continues(report, files, new)
    elif name == "frozen.pb":
        assert report["optimizer"] is None


def test_moving_averages_are_the_variables_with_ema(files: dict[str, Any], new: Kernel, tmp_path: Path) -> None:
    new["path"], new["output"], new["inputs"] = str(files["folder"] / "v2"), str(tmp_path / "new"), {"x": GIVEN}
    new.run("steps.open_graph(path, outputs=['net/out'], ema=True); steps.save_graph(output)")
    variables = new["{one.name[:-2]: one.numpy() for one in tf.saved_model.load(output).variables}"]
    for name, value in files["averaged"].items():
        assert np.array_equal(variables[name], value)
    tf1 = tfkernels.kernel("tf1")
    tf1["path"], tf1["inputs"] = str(files["folder"] / "v2"), {"x": GIVEN}
    tf1.run("steps.open_graph(path, outputs=['net/out'], ema=True)")
    by_session, by_module = tf1["steps.run_graph(inputs)"], new["steps.run_saved(inputs)"]
    np.testing.assert_allclose(by_module["out"], by_session["out"], rtol=1e-5, atol=1e-6)
    assert np.abs(by_module["out"] - files["expected"]).max() > 1e-4


FURTHER = """
model = tf.saved_model.load(output)
exec(code)
with tf.GradientTape() as tape:
    loss = tf.reduce_mean(tf.square(model.serve(batch[0]) - batch[1]))
optimizer.apply_gradients(zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables))
trained = {one.name[:-2]: one.numpy() for one in model.trainable_variables}
"""


def assert_optimizer_continues(report: dict[str, Any], files: dict[str, Any], new: Kernel) -> None:
    """By the line of code that the report shows."""
    new["brought"], new["code"], new["batch"] = report["optimizer"], report["choices"][-1], files["batch"]
    said = continued(report["optimizer"], new["steps.saved_optimizer(**brought)"])
    assert said == "Adam continues after step 3, with its 6 slots"
    new.run(FURTHER)
    for variable, value in new["trained"].items():
        np.testing.assert_allclose(value, files["trained"][variable], rtol=1e-4, atol=1e-6, err_msg=variable)


MODEL = """
import tensorflow as tf
L = tf.keras.layers

class Shift(L.Layer):
    def build(self, shape):
        self.shift = self.add_weight(name="moving_mean", shape=shape[-1:], trainable=False)
        self.built = True
    def call(self, x):
        return x - self.shift

def build():
    model = tf.keras.Sequential([
        L.Input((4,)), L.Dense(5, activation="tanh", name="one"), Shift(name="shift"),
        L.Dense(3, use_bias=False, name="two"),
    ])
    model.compile(tf.keras.optimizers.Adam(0.01, epsilon=1e-8), "mse")
    return model

class Module(tf.Module):
    def __init__(self):
        self.layers = [tf.Variable(tf.zeros([4, 5])), tf.Variable(tf.zeros([5]))]

def module():
    return Module()
"""

CONTINUED = """
fill_steps.save(output)
again = fill_steps.open_saved(output, function)["optimizer"]
model = fill_steps.made().model
model.train_on_batch(*batch)
trained = [weight.numpy() for weight in model.trainable_weights]
"""

RULES = {
    "rename": [{"from": "net/fc1/(.*)", "to": r"one/\1"}, {"from": "net/norm/(.*)", "to": r"shift/\1"}],
    "weights": {"two/kernel": "net/fc2/weights"},
}


def test_weights_and_optimizer_continue_in_a_model(files: dict[str, Any], new: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(textwrap.dedent(MODEL))
    new.run("from tfkernels.conversion.given_model import fill_steps")
    new["path"], new["function"], new["rules"] = str(files["folder"] / "v2"), f"{file}:build", RULES
    answer = new["fill_steps.fill(path, function, {'ignore': ['net/fc1/.*']})"]
    assert not answer["complete"]
    assert '# "one/kernel" = ""' in answer["rules"]
    answer = new["fill_steps.fill(path, function, rules)"]
    assert answer["complete"], answer["text"]
    assert '"one/kernel" = "net/fc1/weights"' in answer["rules"]
    brought = answer["optimizer"]
    assert (brought["name"], brought["state"]["step"], len(brought["state"]["slots"])) == ("Adam", 3, 3)
    assert answer["remarks"] == []
    new["inputs"], new["batch"] = {"x": GIVEN}, files["batch"]
    np.testing.assert_allclose(new["fill_steps.run(inputs)"]["output"], files["expected"], rtol=1e-5, atol=1e-6)
    new["output"] = str(tmp_path / "model.keras")
    new.run(CONTINUED)
    assert continued(brought, new["again"]) == "Adam continues after step 3, with its 6 slots"
    for weight, name in zip(new["trained"], TRAINED, strict=True):
        np.testing.assert_allclose(weight, files["trained"][name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_weights_go_into_a_module_by_its_names(files: dict[str, Any], new: Kernel, tmp_path: Path) -> None:
    file = tmp_path / "model.py"
    file.write_text(textwrap.dedent(MODEL))
    new.run("from tfkernels.conversion.given_model import fill_steps")
    new["path"], new["function"] = str(files["folder"] / "v2"), f"{file}:module"
    new["rules"] = {"weights": {"layers/0": "net/fc1/weights", "layers/1": "net/fc1/biases"}}
    assert new["fill_steps.fill(path, function, rules, ema=True)['complete']"]
    new["output"] = str(tmp_path / "module")
    new.run("fill_steps.save(output); fill_steps.open_saved(output, function)")
    values = new["[one.numpy() for one in fill_steps.made().model.layers]"]
    for value, name in zip(values, TRAINED[:2], strict=True):
        assert np.array_equal(value, files["averaged"][name])
