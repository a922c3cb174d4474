"""Training traces of TensorFlow 1 graphs: the values are those of steps that nobody traced, before weights change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfkernels
from tests.support.kernels import installed
from tfkernels.client.kernel import Kernel
from tfkernels.errors import RemoteError

__all__ = ["installed"]  # the fixture

SETUP = """
import os
os.environ["CUDA_VISIBLE_DEVICES"] = ""
import numpy as np
import tensorflow as tf
import tfkernels

tf.get_logger().setLevel("ERROR")
v1 = tf.compat.v1
draw = np.random.RandomState(0)
batches = [(draw.randn(8, 6), draw.randint(0, 3, 8), draw.randint(0, 10, 8)) for _ in range(2)]

def build(seed=1):
    "A graph with what a program of those years had."
    v1.reset_default_graph()
    v1.set_random_seed(seed)
    x = v1.placeholder("float32", [None, 6], "x")
    y, ids = (v1.placeholder("int32", [None], name) for name in ("y", "ids"))
    training = v1.placeholder("bool", [], "training")
    start = v1.truncated_normal_initializer(stddev=0.3, seed=seed)
    h = v1.layers.dense(x, 16, kernel_initializer=start)
    h = tf.nn.relu(v1.layers.batch_normalization(h, training=training, momentum=0.9))
    h = v1.nn.dropout(h, keep_prob=0.8)
    h = v1.layers.dropout(h, 0.3, training=training, name="in_a_condition")
    h += tf.nn.embedding_lookup(v1.get_variable("words/embeddings", [10, 16], initializer=start), ids)
    logits = v1.layers.dense(h, 3, name="logits", kernel_initializer=start)
    data = v1.losses.sparse_softmax_cross_entropy(y, logits)
    decay = 50 * tf.add_n([tf.nn.l2_loss(one) for one in v1.trainable_variables() if "kernel" in one.name])
    loss = data + decay
    step = v1.train.get_or_create_global_step()
    optimizer = v1.train.AdamOptimizer(v1.train.exponential_decay(0.05, step, 1, 0.5))
    with tf.control_dependencies(v1.get_collection("update_ops")):
        pairs = optimizer.compute_gradients(loss)
        clipped, norm = tf.clip_by_global_norm([gradient for gradient, _ in pairs], 1.0)
        applied = optimizer.apply_gradients(zip(clipped, [one for _, one in pairs]), step)
    with tf.control_dependencies([applied]):
        train = v1.train.ExponentialMovingAverage(0.9).apply(v1.trainable_variables())
    feeds = [{x: a, y: b, ids: c, training: True} for a, b, c in batches]
    return loss, train, feeds, logits

def session():
    opened = v1.Session()
    opened.run(v1.global_variables_initializer())
    return opened

def trace(where, built, steps=2, **options):
    loss, train, feeds, logits = built
    return tfkernels.trace_training(session=where, train_op=train, feeds=feeds, steps=steps, **options)

def values(where):
    return where.run({one.op.name: one for one in v1.global_variables()})
"""

CASES = """
built = build()
with session() as alone:
    for feed in built[2]:
        alone.run(built[1], feed)
    untraced = values(alone)

built = build()
with session() as traced:
    a = trace(traced, built, keep=True)
    after = values(traced)
    size = len(traced.graph.get_operations())
    trace(traced, built)
    added = len(traced.graph.get_operations()) - size
    put_back = values(traced)

built = build()
with session() as aside:
    feed = {**built[2][0], "dropout/random_uniform/RandomUniform:0": a["steps"][0]["random"]["dropout"],
            "in_a_condition/cond/dropout/random_uniform/RandomUniform:0": a["steps"][0]["random"]["in_a_condition"]}
    pairs = v1.train.GradientDescentOptimizer(1.0).compute_gradients(built[0])
    recomputed = aside.run({"loss": built[0], "dense": pairs[0][0]}, feed)

built = build(seed=2)
with session() as other:
    b = trace(other, built, weights_from=a, masks=a)

built = build()
kernel = v1.trainable_variables()[0]
outputs = {"logits": built[3], "kernel": kernel, "flat": tf.reshape(kernel, [-1])}
class Seen(v1.train.SessionRunHook):
    runs = 0
    def after_run(self, context, values):
        Seen.runs += 1
with v1.train.MonitoredTrainingSession(hooks=[Seen(), v1.train.StopAtStepHook(2)]) as monitored:
    c = trace(monitored, built, outputs=outputs)
    hooks = {"runs": Seen.runs, "stops": monitored.should_stop(), "finalized": monitored.graph.finalized}
found = {"untraced": untraced, "after": after, "added": added, "put_back": put_back, "a": a, "b": b, "c": c,
         "hooks": hooks, "recomputed": recomputed}
"""


@pytest.fixture(scope="module")
def graphs(installed: object) -> Kernel:
    kernel = tfkernels.kernel("tf1")
    kernel.run(SETUP)
    kernel.run(CASES)
    return kernel


@pytest.fixture(scope="module")
def found(graphs: Kernel) -> Any:
    return graphs["found"]


def test_a_traced_step_changes_what_an_untraced_does(found: Any) -> None:
    assert set(found["untraced"]) == set(found["after"])
    for name, value in found["untraced"].items():
        np.testing.assert_array_equal(value, found["after"][name], name)
        np.testing.assert_array_equal(value, found["put_back"][name], f"{name} after a trace without keep")
    assert found["added"] == 0, "the second trace uses what the first has added"


def test_values_are_those_before_the_update(found: Any) -> None:
    trace = found["a"]
    before, step = trace["weights_before"], trace["steps"][0]
    kernels = [before[name].astype("float64") for name in ("dense/kernel", "logits/kernel")]
    assert step["loss"]["regularization"] == pytest.approx(25 * sum((one**2).sum() for one in kernels), rel=1e-5)
    assert step["loss"]["loss"] == pytest.approx(step["loss"]["data"] + step["loss"]["regularization"], rel=1e-6)
    assert step["loss"]["loss"] == pytest.approx(found["recomputed"]["loss"], rel=1e-6), "its own random numbers"
    np.testing.assert_allclose(step["unclipped_gradient"]["dense/kernel"], found["recomputed"]["dense"], rtol=1e-5)
    for name, update in step["update"].items():
        np.testing.assert_array_equal(update, step["weight"][name] - before[name])
    watched = found["c"]["steps"][1]["output"]
    kernel = found["c"]["steps"][0]["weight"]["dense/kernel"]
    np.testing.assert_array_equal(watched["kernel"], kernel)
    np.testing.assert_array_equal(watched["flat"], kernel.ravel())


def test_a_graph_tells_the_parts_of_a_step(found: Any) -> None:
    about, (first, second) = found["a"]["about"], found["a"]["steps"]
    assert (about["form"], about["batch_size"], about["optimizer"]["class_name"]) == ("graph", 8, "Adam")
    assert about["optimizer"]["config"]["epsilon"] == pytest.approx(1e-8)
    assert about["update_ops"] == {"run": 2, "left_out": []}
    assert list(first["output"]) == ["dense", "batch_normalization", "logits"]
    assert list(first["input"]) == ["input/x", "input/ids", "target"]
    assert {name: value.shape for name, value in first["random"].items()} == {
        "dropout": (8, 16), "in_a_condition": (8, 16)
    }  # fmt: skip
    assert [step["learning_rate"] for step in (first, second)] == pytest.approx([0.05, 0.025])
    assert [step["iteration"] for step in (first, second)] == [0, 1]
    weights = {"dense/kernel", "dense/bias", "batch_normalization/gamma", "batch_normalization/beta",
               "words/embeddings", "logits/kernel", "logits/bias"}  # fmt: skip
    assert set(first["gradient"]) == set(first["update"]) == set(first["average"]) == weights
    assert set(first["slot"]) == {f"{name}/{slot}" for name in weights for slot in ("m", "v")}
    assert set(first["statistic"]) == {"batch_normalization/moving_mean", "batch_normalization/moving_variance"}
    norm = np.sqrt(sum((value.astype("float64") ** 2).sum() for value in first["gradient"].values()))
    assert norm == pytest.approx(1, rel=1e-4)
    words = first["unclipped_gradient"]["words/embeddings"]
    assert words.shape == (10, 16), "a sparse gradient is whole"
    moment = 0.1 * first["gradient"]["words/embeddings"]
    np.testing.assert_allclose(first["slot"]["words/embeddings/m"], moment, rtol=1e-5, atol=1e-9)
    average = 0.9 * found["a"]["weights_before"]["logits/bias"] + 0.1 * first["weight"]["logits/bias"]
    np.testing.assert_allclose(first["average"]["logits/bias"], average, rtol=1e-5)


def test_a_step_begins_with_weights_of_another_trace(found: Any) -> None:
    for one, other in zip(found["a"]["steps"], found["b"]["steps"], strict=True):
        for part in ("output", "gradient", "slot", "update", "statistic"):
            for name, value in one[part].items():
                np.testing.assert_allclose(value, other[part][name], 1e-6, err_msg=f"{part} of {name}")


def test_a_finalized_graph_is_traced_with_its_hooks(found: Any) -> None:
    assert found["hooks"] == {"runs": 2, "stops": True, "finalized": True}
    assert list(found["c"]["steps"][0]["output"]) == ["logits", "kernel", "flat"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "v1.add_to_collection('train_op', built[1]); trace(opened, (None, None, *built[2:]))",
            "has 2 training operations: ",
        ),
        ("trace(opened, (None, 'training', *built[2:]))", "changes no weight"),
        ("trace(opened, (None, built[1], [{}], None))", "step 1: feeds= has no value for the placeholder"),
        ("trace(opened, (None, built[1], built[2][:1], None))", "nothing for step 2"),
        ("trace(opened, built, outputs=['nowhere'])", "outputs: .*nowhere"),
        ("trace(v1.Session(), built)", "Initialise the variables"),
    ],
)
def test_an_error_tells_what_to_give(graphs: Kernel, call: str, message: str) -> None:
    graphs.run("built = build(); opened = session()")
    with pytest.raises(RemoteError, match=message):
        graphs.run(call)
