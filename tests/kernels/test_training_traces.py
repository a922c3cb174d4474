"""Training steps of Keras models and of loops, traced in both releases: they are the steps that the model takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tfkernels
from tfkernels.client.kernel import Kernel

_SETUP = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import tfkernels
tf.get_logger().setLevel("ERROR")
L, keras = tf.keras.layers, tf.keras

random = np.random.RandomState(0)
x, y = random.rand(6, 6, 6, 1).astype("float32"), random.randint(0, 3, 6)

def make(rate):
    entry = L.Input((6, 6, 1))
    hidden = L.Conv2D(4, 3, activation="relu", use_bias=False, kernel_regularizer=keras.regularizers.l2(0.01))(entry)
    hidden = L.Dropout(rate)(L.Flatten()(L.BatchNormalization(name="bn")(hidden)))
    model = keras.Model(entry, L.Dense(3, activation="softmax", name="class")(hidden))
    model.compile(keras.optimizers.Adam(0.01, clipnorm=0.1), "sparse_categorical_crossentropy")
    return model

def after(trace, number):
    step = trace["steps"][number]
    return dict(step["weight"], **step["statistic"])

model, other = make(0.0), make(0.0)
tfkernels.load_weights(other, tfkernels.weights(model))
trace = tfkernels.trace_training(model, x, y, steps=3)
kept = tfkernels.weights(model)
losses = [float(np.ravel(model.train_on_batch(x, y))[0]) for _ in range(3)]
trained = tfkernels.weights(model)
resumed = tfkernels.trace_training(other, x, y, steps=3, weights_from=trace)

dropped, same = make(0.5), make(0.5)
tfkernels.load_weights(same, tfkernels.weights(dropped))
drawn = tfkernels.trace_training(dropped, x, y, steps=2)
handed = tfkernels.trace_training(same, x, y, steps=2, masks=drawn)
outputs = tfkernels.trace(same, x)
changed = {name: array * (1.1 if name == "conv2d/kernel" else 1) for name, array in tfkernels.weights(same).items()}
tfkernels.load_weights(same, changed)
itself = tfkernels.trace(same, x, inputs_from=outputs)
only = tfkernels.trace_training(model, x, y, only=["gradient", "output/class"], largest=10, keep=True)

def filled(place):
    for number in range(2):
        place[:] = x + number
        yield place, y

streamed = tfkernels.trace_training(model, filled(np.empty_like(x)), steps=2, only="input")
moved = any(not np.array_equal(array, trained[name]) for name, array in tfkernels.weights(model).items())

begun = make(0.5)
tfkernels.same_start(begun)
tfkernels.same_start(make(0.5))
traced = tfkernels.trace_training(begun, x, y)["steps"][0]
real = float(np.ravel(begun.train_on_batch(x, y))[0])
"""

_RESULTS = ["trace", "kept", "losses", "trained", "resumed", "drawn", "handed", "only", "moved", "outputs", "itself",
            "streamed", "traced", "real"]  # fmt: skip
Results = dict[str, Any]


@pytest.fixture(scope="module", params=["tf1", "tf2"])
def found(request: pytest.FixtureRequest, installed: object) -> Results:
    return tfkernels.kernel(request.param).run(_SETUP, outputs={name: name for name in _RESULTS})


def norm(arrays: dict[str, Any]) -> float:
    return float(np.sqrt(sum(float(np.sum(np.square(array, dtype="float64"))) for array in arrays.values())))


def test_traced_steps_are_those_that_the_model_takes(found: Results) -> None:
    steps = found["trace"]["steps"]
    np.testing.assert_allclose([step["loss"]["loss"] for step in steps], found["losses"], rtol=1e-6)
    last = {**steps[-1]["weight"], **steps[-1]["statistic"]}
    assert last.keys() == found["trained"].keys()
    for name, array in last.items():
        np.testing.assert_allclose(array, found["trained"][name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_variables_are_put_back_unless_kept(found: Results) -> None:
    assert all(np.array_equal(array, found["kept"][name]) for name, array in found["trace"]["weights_before"].items())
    assert found["moved"]


def test_quantities_of_a_step_belong_together(found: Results) -> None:
    before, step = found["trace"]["steps"][0], found["trace"]["steps"][1]
    assert list(step["output"]) == ["conv2d", "bn", "flatten", "dropout", "class", "output"]
    probabilities = np.choose(step["input"]["target"].ravel().astype(int), step["output"]["output"].T)
    assert step["loss"]["data"] == pytest.approx(-np.log(probabilities).mean(), rel=1e-5)
    kernel = before["weight"]["conv2d/kernel"]
    assert step["loss"]["regularization"] == pytest.approx(0.01 * np.square(kernel).sum(), rel=1e-5)
    assert norm(step["gradient"]) < norm(step["unclipped_gradient"])
    assert step["learning_rate"] == pytest.approx(0.01)
    assert step["iteration"] == 1
    for name, gradient in step["gradient"].items():
        m, v = (0.9 * before["slot"][f"{name}/m"] + 0.1 * gradient,
                0.999 * before["slot"][f"{name}/v"] + 0.001 * gradient**2)  # fmt: skip
        np.testing.assert_allclose(step["slot"][f"{name}/m"], m, rtol=1e-4, atol=1e-9)
        np.testing.assert_allclose(step["slot"][f"{name}/v"], v, rtol=1e-3, atol=1e-12)
        assert np.array_equal(step["slot_before"][f"{name}/m"], before["slot"][f"{name}/m"])
        assert np.array_equal(step["update"][name], step["weight"][name] - before["weight"][name])
    mean = step["output"]["conv2d"].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(
        step["statistic"]["bn/moving_mean"], 0.99 * before["statistic"]["bn/moving_mean"] + 0.01 * mean, rtol=1e-4
    )


def test_steps_begin_with_the_weights_of_the_other_side(found: Results) -> None:
    for one, other in zip(found["trace"]["steps"], found["resumed"]["steps"], strict=True):
        for part in ("weight", "statistic", "slot"):
            for name, array in one[part].items():
                np.testing.assert_allclose(other[part][name], array, rtol=1e-5, atol=1e-7, err_msg=name)


def test_dropouts_are_recorded_and_handed_over(found: Results) -> None:
    for one, other in zip(found["drawn"]["steps"], found["handed"]["steps"], strict=True):
        (numbers,) = one["random"].values()
        before, after = one["output"]["flatten"], one["output"]["dropout"]
        np.testing.assert_allclose(after, np.where(numbers >= 0.5, 2 * before, 0), rtol=1e-6)
        np.testing.assert_allclose(other["output"]["output"], one["output"]["output"], rtol=1e-4, atol=1e-6)
    assert not np.array_equal(*(step["random"]["dropout"] for step in found["drawn"]["steps"]))


def test_a_layer_shows_its_own_difference(found: Results) -> None:
    differs = [name for name, array in found["outputs"].items() if not np.allclose(found["itself"][name], array)]
    assert differs == ["conv2d"]


def test_dropouts_are_handed_over_to_another_release(found: Results, installed: object) -> None:
    theirs = found["drawn"]
    kernel = tfkernels.kernel("tf2" if theirs["about"]["tensorflow"].startswith("1.") else "tf1")
    code = _SETUP[: _SETUP.index("model, other =")] + (
        "model = make(0.5)\nours = tfkernels.trace_training(model, x, y, steps=2, masks=theirs, weights_from=theirs)"
    )
    ours = kernel.run(code, inputs={"theirs": theirs}, outputs={"ours": "ours"})["ours"]
    for one, other in zip(theirs["steps"], ours["steps"], strict=True):
        for name, array in one["output"].items():
            np.testing.assert_allclose(other["output"][name], array, rtol=1e-3, atol=1e-5, err_msg=name)
        for name, array in one["gradient"].items():
            np.testing.assert_allclose(other["gradient"][name], array, rtol=1e-3, atol=1e-6, err_msg=name)


def test_only_what_was_asked_for_is_kept(found: Results) -> None:
    (step,) = found["only"]["steps"]
    assert {part for part, arrays in step.items() if isinstance(arrays, dict) and arrays} == {
        "output", "loss", "gradient", "unclipped_gradient",
    }  # fmt: skip
    assert list(step["output"]) == ["class"]
    assert step["gradient"]["conv2d/kernel"]["shape"] == [3, 3, 1, 4]
    assert found["only"]["kept"]["statistics"] > 0


def test_a_generator_may_fill_one_array_again(found: Results) -> None:
    first, second = (step["input"]["input"] for step in found["streamed"]["steps"])
    np.testing.assert_allclose(second, first + 1, rtol=1e-6)
    assert first.max() <= 1


def test_masks_of_same_start_are_those_of_the_trace(found: Results) -> None:
    step = found["traced"]
    assert step["loss"]["loss"] == pytest.approx(found["real"], rel=1e-5)
    (numbers,) = step["random"].values()
    np.testing.assert_allclose(
        step["output"]["dropout"], np.where(numbers >= 0.5, 2 * step["output"]["flatten"], 0), rtol=1e-6
    )


def test_scales_of_mixed_precision_are_taken_out(installed: object) -> None:
    kernel: Kernel = tfkernels.kernel("tf2")
    kernel.run(
        _SETUP[: _SETUP.index("model, other =")]
        + """
keras.mixed_precision.set_global_policy("mixed_float16")
mixed = make(0.0)
keras.mixed_precision.set_global_policy("float32")
scaled = tfkernels.trace_training(mixed, x, y)["steps"][0]
counted = int(mixed.optimizer.step_counter.numpy())

entry = L.Input((6, 6, 1))
flat = L.Flatten()(entry)
two = keras.Model(entry, [L.Dense(3, activation="softmax", name=name)(flat) for name in ("one", "other")])
two.compile("sgd", ["sparse_categorical_crossentropy"] * 2, loss_weights=[0.5, 2.0])
parts = tfkernels.trace_training(two, x, [y, y])["steps"][0]["loss"]
loss = float(mixed.train_on_batch(x, y))
"""
    )
    step = kernel["scaled"]
    assert step["loss"]["loss"] == pytest.approx(kernel["loss"], rel=1e-2)
    assert kernel["counted"] == 0
    parts = kernel["parts"]
    assert parts["loss"] == pytest.approx(0.5 * parts["data/one"] + 2 * parts["data/other"], rel=1e-6)


def test_class_weights_and_gradients_of_a_graph_are_in_place(installed: object) -> None:
    kernel: Kernel = tfkernels.kernel("tf1")
    kernel.run(
        _SETUP[: _SETUP.index("model, other =")]
        + """
entry = L.Input((6, 6, 1))
flat = L.Flatten()(entry)
two = keras.Model(entry, [L.Dense(3, activation="softmax", name=name)(flat) for name in ("one", "other")])
two.compile("sgd", "sparse_categorical_crossentropy")
weights = {"other": {0: 1.0, 1: 5.0, 2: 0.5}}
weighted = tfkernels.trace_training(two, x, [y, y], class_weight=weights)["steps"][0]["loss"]["loss"]
loss = float(two.train_on_batch(x, [y, y], class_weight=weights)[0])
plain = tfkernels.trace_training(two, x, [y, y])["steps"][0]["loss"]
of_outputs = two.train_on_batch(x, [y, y])

from tfkernels.training.keras_graph import _all_before_any
gradients = [tf.ones(2), None, tf.IndexedSlices(tf.ones((1, 2)), tf.constant([0]))]
gated = _all_before_any(gradients)
before, places = set(), [gated[0].op]
while places:
    place = places.pop()
    before.add(place.name)
    places += [*place.control_inputs, *(tensor.op for tensor in place.inputs)]
waits = gradients[2].values.op.name in before and gated[1] is None
"""
    )
    assert kernel["weighted"] == pytest.approx(kernel["loss"], rel=1e-6)
    total, *of_outputs = kernel["of_outputs"]
    assert kernel["plain"]["loss"] == pytest.approx(total, rel=1e-6)
    assert [kernel["plain"][f"data/{name}"] for name in ("one", "other")] == pytest.approx(of_outputs, rel=1e-6)
    assert kernel["waits"]  # so that no weight changes before the last gradient is computed


def test_a_loop_with_a_tape_is_traced(found: Results, installed: object) -> None:
    kernel: Kernel = tfkernels.kernel("tf2")
    kernel.run(
        _SETUP[: _SETUP.index("model, other =")]
        + """
loop, cross_entropy = make(0.0), keras.losses.SparseCategoricalCrossentropy()

@tf.function
def step(x, y):
    with tf.GradientTape() as tape:
        loss = cross_entropy(y, loop(x, training=True))
    gradients = tape.gradient(loss, loop.trainable_variables)
    clipped, _ = tf.clip_by_global_norm(gradients, 0.05)
    loop.optimizer.apply_gradients(zip(clipped, loop.trainable_variables))
    return loss

tape = tfkernels.trace_training(step, x, y, variables=loop.trainable_variables, model=loop, optimizer=loop.optimizer)
loss = float(step(x, y))
"""
    )
    (step,) = kernel["tape"]["steps"]
    assert step["loss"]["loss"] == pytest.approx(kernel["loss"], rel=1e-6)
    assert norm(step["unclipped_gradient"]) > norm(step["gradient"])
    assert list(step["output"]) == list(found["trace"]["steps"][0]["output"])
    assert kernel["tape"]["about"]["form"] == "tape"
