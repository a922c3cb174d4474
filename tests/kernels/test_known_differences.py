"""What is known of two releases, found by comparing real TensorFlow 1.15 with real TensorFlow 2.21."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tfkernels
from tfkernels.comparison import Comparison

IMPORTS = {
    "tf1": "import numpy as np, tensorflow as tf, tfkernels\nvalue_of = tf.keras.backend.get_session().run",
    "tf2": "import numpy as np, tensorflow as tf, tfkernels\nvalue_of = lambda tensor: tensor.numpy()",
}


@pytest.fixture(scope="module")
def kernels(installed: object) -> Iterator[dict[str, Any]]:
    found = {name: tfkernels.kernel(name) for name in IMPORTS}
    for name, kernel in found.items():
        kernel.run(IMPORTS[name])
    yield found
    for kernel in found.values():
        kernel.run("tf.keras.backend.clear_session()")


def in_both(kernels: dict[str, Any], code: str, inputs: dict[str, Any], **options: Any) -> Comparison:
    """The same cell in both, and its ``result`` compared."""
    values = {name: kernel.run(code, inputs=inputs, outputs={"result": "result"}) for name, kernel in kernels.items()}
    return tfkernels.compare({name: value["result"] for name, value in values.items()}, **options)


def random(*shape: int) -> Any:
    return np.random.RandomState(len(shape) + sum(shape)).standard_normal(shape).astype("float32")


def test_matmul_and_conv2d_agree(kernels: dict[str, Any]) -> None:
    found = in_both(
        kernels,
        "result = {'matmul': value_of(tf.matmul(a, b)), 'conv2d': value_of(tf.nn.conv2d(x, w, 1, 'SAME'))}",
        {"a": random(64, 32), "b": random(32, 16), "x": random(2, 16, 16, 3), "w": random(3, 3, 3, 8)},
        atol=1e-5,  # sums of 32 and 27 products that partly cancel
    )
    found.assert_close()
    assert [part.path for part in found.parts] == ["matmul", "conv2d"]
    assert all(part.statistics is not None and part.statistics.max_ulp is not None for part in found.parts)


def test_batch_normalisation_agrees(kernels: dict[str, Any]) -> None:
    code = """
layer = tf.keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.9)
_ = layer(tf.constant(x), training=False)
layer.set_weights(weights)
result = value_of(layer(tf.constant(x), training=False))
"""
    weights = [random(4), random(4), random(4), np.abs(random(4)) + 0.5]
    in_both(kernels, code, {"x": random(8, 4), "weights": weights}, atol=1e-5).assert_close()


LSTM = """
model = tf.keras.Sequential([tf.keras.layers.LSTM(5, recurrent_activation=activation, input_shape=(7, 3))])
model.set_weights(weights)
result = model.predict(x)
"""


def test_lstm_agrees_only_with_equal_activations(kernels: dict[str, Any]) -> None:
    inputs = {"x": random(4, 7, 3), "weights": [random(3, 20), random(5, 20), random(20)]}
    in_both(kernels, LSTM, {**inputs, "activation": "sigmoid"}, atol=1e-5).assert_close()
    values = {}
    for name, default in (("tf1", "hard_sigmoid"), ("tf2", "sigmoid")):  # of tf.compat.v1's LSTM, and of Keras 2 on
        values[name] = kernels[name].run(LSTM, inputs={**inputs, "activation": default}, outputs={"r": "result"})["r"]
    assert not tfkernels.compare(values)


ADAM = {
    "tf1": """
variable = tf.Variable(start)
train = tf.train.AdamOptimizer(0.01, epsilon=1e-8).minimize(tf.reduce_sum((variable - goal) ** 2))
session = tf.Session()
session.run(tf.global_variables_initializer())
result = []
for _ in range(20):
    session.run(train)
    result.append(session.run(variable))
""",
    "tf2": """
variable = tf.Variable(start)
optimizer = tf.keras.optimizers.Adam(0.01, epsilon=1e-8)
result = []
for _ in range(20):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((variable - goal) ** 2)
    optimizer.apply_gradients([(tape.gradient(loss, variable), variable)])
    result.append(variable.numpy())
""",
}


def test_adam_stays_close(kernels: dict[str, Any]) -> None:
    inputs = {"start": random(50), "goal": random(50) + 1}
    values = {name: kernels[name].run(ADAM[name], inputs=inputs, outputs={"r": "result"})["r"] for name in ADAM}
    found = tfkernels.compare(values, rtol=1e-4, atol=1e-5)
    found.assert_close()
    assert [part.path for part in found.parts][::19] == ["[0]", "[19]"]


def test_image_resize_means_something_else(kernels: dict[str, Any]) -> None:
    images = {"images": random(2, 8, 8, 3)}
    found = in_both(kernels, "result = value_of(tf.image.resize(images, (16, 16)))", images)
    (part,) = found.parts
    assert part.verdict == "different"
    assert part.statistics is not None
    assert part.statistics.mismatched_share > 0.5
    assert part.statistics.max_absolute_error is not None
    assert part.statistics.max_absolute_error.error > 0.1
    assert part.statistics.picture is not None
    # the same function in both
    in_both(
        kernels, "result = value_of(tf.compat.v1.image.resize_bilinear(images, (16, 16)))", images, atol=1e-5
    ).assert_close()


def test_injected_errors_are_found_where_they_are(kernels: dict[str, Any]) -> None:
    code = "result = value_of(tf.nn.relu(x))"
    x = np.abs(random(30, 40)) + 1
    values = {name: k.run(code, inputs={"x": x}, outputs={"r": "result"})["r"] for name, k in kernels.items()}
    exact = tfkernels.compare(values, rtol=0, atol=0)
    exact.assert_close()
    values["tf2"][3, 5] = np.nextafter(values["tf2"][3, 5], np.float32(99))
    (part,) = tfkernels.compare(values, rtol=0, atol=0).parts
    assert part.statistics is not None
    assert part.statistics.max_ulp == part.statistics.mismatched == 1
    assert part.statistics.worst is not None
    assert part.statistics.worst.index == (3, 5)
    values["tf2"][7, 9] = np.nan
    (part,) = tfkernels.compare(values).parts
    assert part.statistics is not None
    assert part.statistics.worst is not None
    assert part.statistics.worst.index == (7, 9)
    assert not part.passed


TEN_LAYERS = """
model = tf.keras.Sequential([tf.keras.layers.InputLayer((6,))])
for number in range(10):
    activation = activations[number]
    model.add(tf.keras.layers.Dense(6, activation=activation))
model.set_weights(weights)
result = tfkernels.trace(model, x)
"""


def test_the_layer_that_differs_on_purpose_is_named(kernels: dict[str, Any]) -> None:
    inputs: dict[str, Any] = {"x": random(5, 6), "activations": ["tanh"] * 10}
    inputs["weights"] = [value for number in range(10) for value in (random(6, 6), random(6) * number)]
    same = in_both(kernels, TEN_LAYERS, inputs, rtol=1e-4, atol=1e-4)
    same.assert_close()
    names = ["dense", *(f"dense_{number}" for number in range(1, 10)), "output"]
    assert [part.path for part in same.parts] == names
    values = {"tf1": kernels["tf1"]["result"]}
    inputs["activations"][6] = "relu"
    values["tf2"] = kernels["tf2"].run(TEN_LAYERS, inputs=inputs, outputs={"r": "result"})["r"]
    found = tfkernels.compare(values, rtol=1e-4, atol=1e-4)
    assert found.first_difference is not None
    assert found.first_difference.path == found.parts[6].path == "dense_6"


def test_eager_and_sparse_values_are_compared(kernels: dict[str, Any]) -> None:
    code = """
ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
sparse = tf.sparse.from_dense([[0.0, 1.0]])
result = [
    bool(tfkernels.compare(tf.constant([1.0]), np.ones(1, "float32"))),
    bool(tfkernels.compare(tf.Variable([1.0]), tf.Variable([2.0]))),
    [part.path for part in tfkernels.compare({"r": ragged, "s": sparse}, {"r": ragged * 2, "s": sparse}).failed],
]
"""
    assert kernels["tf2"].run(code, outputs={"r": "result"})["r"] == [True, False, ["r.flat_values"]]
    code = """
try:
    tfkernels.compare(tf.constant([1.0]), tf.constant([1.0]))
except tfkernels.errors.UsageError as error:
    result = [str(error), value_of(tf.sparse.from_dense([[0.0, 1.0]]))]
result[1] = [part.path for part in tfkernels.compare({"s": result[1]}, {"s": result[1]}).parts]
"""
    said, paths = kernels["tf1"].run(code, outputs={"r": "result"})["r"]
    assert "sess.run" in said
    assert paths == ["s.indices", "s.values", "s.dense_shape"]
