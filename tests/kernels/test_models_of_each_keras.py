"""Models of several Keras packages, each with a session and a learning phase of its own, and of TensorFlow 1.12."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from uv import find_uv_bin

from tests.support.interpreters import interpreter
from tests.support.models import assert_close
from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError, RemoteError
from tfprovisioner.kernelspecs import install
from tfprovisioner.requirements.request import InstallRequest

_KERAS = {
    "keras 2.2": ("tf1.12", "import keras"),
    "tf.keras 1.12": ("tf1.12", "from tensorflow import keras"),
    "tf_keras": ("tf2", "tf.compat.v1.disable_v2_behavior(); import tf_keras as keras"),
}

_MODEL = """
L, Model = keras.layers, keras.models.Model

class Phase(L.Layer):
    def call(self, x, factor=1, training=None):
        return keras.backend.in_train_phase(x * factor, x, training=training)
    def compute_output_shape(self, shape):
        return shape

def model_of(units):
    inside = L.Input((units,))
    inner = Model(inside, L.Dense(units)(inside))
    entry = L.Input((4,))
    x = inner(L.BatchNormalization(name="bn")(L.Dense(units)(entry)))
    x = Phase()(L.Dropout(0.5, name="drop")(x), factor=2)
    return Model(entry, L.Dense(2, name="output")(x))

model, x = model_of(3), np.random.RandomState(0).rand(5, 4).astype("float32")
"""

LAYERS = ["dense", "bn", "model/dense", "model", "drop", "phase", "output"]
WEIGHTS = [
    *("dense/kernel", "dense/bias", "bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance"),
    *("model/dense/kernel", "model/dense/bias", "output/kernel", "output/bias"),
]


_IMPORTS = "import numpy as np, tensorflow as tf, tfkernels"


@pytest.fixture(scope="module")
def tf1_12(installed: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    if interpreter("3.6") is None:
        pytest.skip("no Python 3.6 here: models of TensorFlow 1.12 were not tried on it")
    folder = str(tmp_path_factory.mktemp("tf1.12"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFKERNELS_HOME", folder)
        patch.setenv("JUPYTER_DATA_DIR", folder)
        install.install(InstallRequest("1.12", user=True, extras=("keras==2.2.4",)))
        with Kernel("tf1.12") as kernel:
            kernel.run(_IMPORTS)
            yield kernel


@pytest.fixture(scope="module")
def tf2(installed: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel of its own, for it will build graphs; ``tf_keras`` is in a folder beside its environment."""
    folder: Path = tmp_path_factory.mktemp("tf_keras")
    with Kernel("tf2") as kernel:
        kernel.run(f"import sys; sys.path.append({str(folder)!r})\n{_IMPORTS}")
        line = kernel["'.'.join(tf.__version__.split('.')[:2])"]
        command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        subprocess.run([*command, f"tf_keras=={line}.*"], check=True)
        yield kernel


@pytest.fixture(params=_KERAS)
def there(request: pytest.FixtureRequest) -> Kernel:
    name, keras = _KERAS[request.param]
    kernel: Kernel = request.getfixturevalue(name.replace(".", "_"))
    kernel.run(f"{keras}\n{_MODEL}")
    return kernel


def test_weights_are_those_that_the_model_holds(there: Kernel) -> None:
    weights, held = there["tfkernels.weights(model)"], there["model.get_weights()"]
    assert list(weights) == WEIGHTS
    for array in weights.values():
        assert any(np.array_equal(array, other) for other in held)


def test_a_model_computes_with_its_loaded_weights(there: Kernel) -> None:
    there.run(
        "weights = {name: np.random.RandomState(1).rand(*array.shape).astype('float32')\n"
        "           for name, array in tfkernels.weights(model).items()}\n"
        "report = tfkernels.load_weights(model, weights)"
    )
    weights, x = there["weights"], there["x"]
    hidden = x @ weights["dense/kernel"] + weights["dense/bias"]
    spread = np.sqrt(weights["bn/moving_variance"] + 1e-3)
    hidden = (hidden - weights["bn/moving_mean"]) / spread * weights["bn/gamma"] + weights["bn/beta"]
    hidden = hidden @ weights["model/dense/kernel"] + weights["model/dense/bias"]
    assert there["report.complete"]
    assert_close(there["model.predict(x)"], hidden @ weights["output/kernel"] + weights["output/bias"], "output")


def test_a_trace_is_what_the_model_predicts(there: Kernel) -> None:
    trace = there["tfkernels.trace(model, x)"]
    assert list(trace) == LAYERS
    assert_close(trace["output"], there["model.predict(x)"], "output")
    assert np.array_equal(trace["phase"], trace["model"])


def test_a_training_trace_uses_the_learning_phase(there: Kernel) -> None:
    there.run("before = tfkernels.weights(model); trace = tfkernels.trace(model, x, training=True)")
    trace, before, after = there["trace"], there["before"], there["tfkernels.weights(model)"]
    assert_close(trace["bn"].mean(axis=0), before["bn/beta"], "normalised with the batch")
    assert (trace["drop"] == 0).any()
    assert np.array_equal(trace["phase"], trace["drop"] * 2)
    assert all(np.array_equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("phase", [0, 1])
def test_a_fixed_learning_phase_is_put_back(there: Kernel, phase: int) -> None:
    backend = "keras.backend" if there.name == "tf1.12" else "keras.src.backend"
    there.run(
        f"keras.backend.clear_session(); {backend}.set_learning_phase({phase}); model = model_of(3)\n"
        "traces = [tfkernels.trace(model, x, training=training) for training in (False, True)]\n"
        f"phase = {backend}.learning_phase(); keras.backend.clear_session()"
    )
    inference, training = there["traces"]
    assert np.array_equal(inference["phase"], inference["drop"])
    assert np.array_equal(training["phase"], training["drop"] * 2)
    assert there["phase"] == phase


def test_a_traced_model_of_any_keras_trains(there: Kernel) -> None:
    there.run(
        "tfkernels.trace(model, x, training=True)\n"
        "shape = model.output.shape, model.layers[1].output.shape  # an error if there is a second call\n"
        "model.compile('sgd', 'mse')\n"
        "model.train_on_batch(x, x[:, :2])"
    )
    assert list(there["tfkernels.weights(model)"]) == WEIGHTS


def test_losses_of_the_first_call_are_traced(there: Kernel) -> None:
    there.run(
        "entry = L.Input((4,))\n"
        "hidden = L.Dense(3, activity_regularizer=keras.regularizers.l2(0.3))(entry)\n"
        "model = Model(entry, L.Dense(2)(hidden))\n"
        "model.add_loss(0.1 * keras.backend.mean(hidden ** 2))\n"
        "model.compile('sgd', 'mse')\n"
        "expected = np.mean((model.predict(x) - x[:, :2]) ** 2)\n"
        "first, second = tfkernels.trace_training(model, x, x[:, :2], steps=2)['steps']\n"
        "losses = [float(np.ravel(model.train_on_batch(x, x[:, :2]))[0]) for _ in range(2)]"
    )
    first, second = there["first"], there["second"]
    assert [first["loss"]["loss"], second["loss"]["loss"]] == pytest.approx(there["losses"], rel=1e-5)
    assert first["loss"]["data"] == pytest.approx(there["expected"], rel=1e-5)
    assert first["loss"]["regularization"] > 0


def test_equal_seeds_make_any_keras_repeatable(there: Kernel) -> None:
    there.run(
        "def drawn(seed):\n"
        "    keras.backend.clear_session()\n"
        "    tfkernels.seed(seed)\n"
        "    return tfkernels.trace(model_of(3), x, training=True)\n"
        "one, same, other = drawn(7), drawn(7), drawn(8)"
    )
    one, same, other = there["one"], there["same"], there["other"]
    assert all(np.array_equal(one[name], same[name]) for name in LAYERS)
    assert not np.array_equal(one["dense"], other["dense"])


def test_a_layer_of_any_keras_is_not_passed(there: Kernel) -> None:
    with pytest.raises(ExchangeError, match=r"is part of a TensorFlow program.*model\.get_weights\(\)"):
        there["model.layers[-1]"]


def test_sessions_of_tensorflow_1_12(tf1_12: Kernel) -> None:
    tf1_12.run(
        "with tf.Graph().as_default() as graph:\n"
        "    x = tf.placeholder(tf.float32, [None, 2])\n"
        "    hidden = tfkernels.watch('hidden', tf.layers.dense(x, 2, name='first'))\n"
        "    tf.train.AdamOptimizer().minimize(tf.reduce_sum(tf.layers.dense(hidden, 1, name='last')))\n"
        "    session = tf.Session()\n"
        "    session.run(tf.global_variables_initializer())\n"
        "    graph.finalize()\n"
        "weights = {name: np.ones(array.shape) for name, array in tfkernels.weights(session).items()}\n"
        "report = tfkernels.load_weights(session, weights)\n"
        "trace = tfkernels.trace(session, {x: [[1, 2]]})\n"
        "training = tfkernels.trace_training(session=session, feeds={x: [[1, 2]]}, steps=2)\n"
        "kept = tfkernels.weights(session)"
    )
    assert list(tf1_12["weights"]) == ["first/kernel", "first/bias", "last/kernel", "last/bias"]
    assert tf1_12["trace"]["hidden"].tolist() == [[4, 4]]
    first, second = tf1_12["training"]["steps"]
    assert (first["loss"]["loss"], first["output"]["hidden"].tolist()) == (9, [[4, 4]])
    assert second["loss"]["loss"] < 9
    np.testing.assert_allclose(first["update"]["first/kernel"], np.full((2, 2), -0.001), rtol=1e-4)
    assert all((value == 1).all() for value in tf1_12["kept"].values()), "a trace puts the weights back"
    with pytest.raises(RemoteError, match=r"tfkernels\.compare needs Python 3\.7\. Use it in the notebook"):
        tf1_12.run("tfkernels.compare(1, 1)")
