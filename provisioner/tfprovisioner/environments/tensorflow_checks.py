"""What a TensorFlow environment must be able to do.

``python tensorflow_checks.py NAME`` checks one thing, in that environment. Exit code 3: the release came before the
feature. Every Python from 3.6 on runs this file; it imports nothing of ours.
"""

import os
import sys
import tempfile
from typing import Any, NoReturn

NOT_IN_THIS_RELEASE = 3


def absent(what: str) -> NoReturn:
    """Ends the check: the release has no such thing yet."""
    print(what)
    sys.exit(NOT_IN_THIS_RELEASE)


def has_sessions() -> bool:
    return bool(tf.__version__.startswith("1."))


def keras() -> Any:
    """Keras as this release has it: ``tf.keras`` from 1.4 on, ``tf.contrib.keras`` in 1.1 to 1.3, ``None`` in 1.0."""
    return tf.keras if hasattr(tf, "keras") else getattr(tf.contrib, "keras", None)


def data() -> Any:
    x = np.random.RandomState(0).rand(64, 5, 3).astype("float32")
    return x, x.sum(axis=(1, 2))[:, None]


def model(kind: str, *arguments: Any) -> Any:
    """Of a layer of a kind, which knows the shape of the data, and a dense one."""
    if keras() is None:
        absent("Keras came with 1.1")
    layers = keras().layers
    layer = getattr(layers, kind)
    keras_3 = getattr(keras(), "__version__", "2").startswith("3.")
    first = [layers.Input((5, 3)), layer(*arguments)] if keras_3 else [layer(*arguments, input_shape=(5, 3))]
    made = keras().models.Sequential([*first, layers.Dense(1)])
    made.compile(optimizer="sgd", loss="mean_squared_error")
    return made


def minimise(loss: Any, steps: int) -> Any:
    """Gradient steps in a session; the loss before and after."""
    step = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        before = session.run(loss)
        for _ in range(steps):
            session.run(step)
        return before, session.run(loss)


def check_import() -> None:
    print(tf.__version__)


def check_op() -> None:
    x = np.arange(6, dtype="float32").reshape(2, 3)
    product = tf.matmul(tf.constant(x), tf.constant(x.T))
    if has_sessions():
        product = tf.Session().run(product)
    assert np.array_equal(np.asarray(product), x.dot(x.T)), product


def check_fit() -> None:
    """Gradient steps: in a session where that is the way of the release, and with Keras where there is Keras."""
    x, y = data()
    if has_sessions():
        weights = tf.Variable(tf.zeros([15, 1]))
        before, after = minimise(tf.reduce_mean(tf.square(tf.matmul(tf.constant(x.reshape(-1, 15)), weights) - y)), 10)
        assert after < before
    if keras() is not None:
        history = model("Flatten").fit(x, y, epochs=3, verbose=0).history["loss"]
        assert history[-1] < history[0], history


def check_lstm() -> None:
    x, y = data()
    if keras() is not None:
        made = model("LSTM", 4)
        made.fit(x, y, epochs=1, verbose=0)
        assert made.predict(x, verbose=0).shape == (64, 1)
    else:
        outputs, _ = tf.nn.dynamic_rnn(tf.contrib.rnn.BasicLSTMCell(4), tf.constant(x), dtype=tf.float32)
        minimise(tf.reduce_mean(tf.square(outputs[:, -1, :1] - y)), 1)


def check_h5() -> None:
    x, y = data()
    made = model("Flatten")
    made.fit(x, y, epochs=1, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.h5")
        made.save(path)
        loaded = keras().models.load_model(path)
    assert np.allclose(loaded.predict(x, verbose=0), made.predict(x, verbose=0), atol=1e-5)


def check_data() -> None:
    if not hasattr(tf, "data"):
        absent("tf.data came with 1.4")
    batches = tf.data.Dataset.from_tensor_slices(list(range(6))).map(lambda x: x * x).batch(4)
    if has_sessions():
        following, session = batches.make_one_shot_iterator().get_next(), tf.Session()
        found = [session.run(following).tolist() for _ in range(2)]
    else:
        found = [batch.numpy().tolist() for batch in batches]
    assert found == [[0, 1, 4, 9], [16, 25]], found


def check_tensorboard() -> None:
    made, (x, y) = model("Flatten"), data()
    callback = getattr(keras().callbacks, "TensorBoard", None)
    if callback is None:
        absent("its Keras has no TensorBoard callback")
    with tempfile.TemporaryDirectory() as folder:
        made.fit(x, y, epochs=1, verbose=0, callbacks=[callback(log_dir=folder)])
        files = [name for _, _, names in os.walk(folder) for name in names]
    assert any("tfevents" in name for name in files), files


CHECKS = {
    check.__name__[len("check_") :]: check
    for check in (check_import, check_op, check_fit, check_lstm, check_h5, check_data, check_tensorboard)
}

TRIED = tuple(name for name in CHECKS if name not in ("import", "op"))
"""Those beyond the check that every environment has to pass."""

if __name__ == "__main__":
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    import numpy as np
    import tensorflow as tf

    CHECKS[sys.argv[1]]()
