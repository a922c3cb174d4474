"""What a TensorFlow environment must be able to do. ``python checks.py NAME`` does one of them, in that environment.

A check that cannot be done because the release came before the feature says so with exit code 3. This file is run by
every Python from 3.6 on and imports nothing of ours.
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


def tensorflow() -> Any:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    return tf


def keras() -> Any:
    """Keras as this release has it: ``tf.keras`` from 1.4 on, ``tf.contrib.keras`` in 1.1 to 1.3."""
    tf = tensorflow()
    if hasattr(tf, "keras"):
        return tf.keras
    if hasattr(tf.contrib, "keras"):
        return tf.contrib.keras
    return absent("Keras came with 1.1")


def graph() -> Any:
    """TensorFlow, if the release works with sessions."""
    tf = tensorflow()
    return tf if tf.__version__.startswith("1.") else None


def data() -> Any:
    import numpy as np

    random = np.random.RandomState(0)
    x = random.rand(64, 5, 3).astype("float32")
    return x, x.sum(axis=(1, 2))[:, None]


def model(*layers: Any) -> Any:
    made = keras().models.Sequential(list(layers))
    made.compile(optimizer="sgd", loss="mean_squared_error")
    return made


def first(kind: Any, *arguments: Any) -> Any:
    """A layer that knows the shape of the data."""
    if getattr(keras(), "__version__", "2").startswith("3."):
        return [keras().layers.Input((5, 3)), kind(*arguments)]
    return [kind(*arguments, input_shape=(5, 3))]


def dense() -> Any:
    """The smallest model for the data."""
    layers = keras().layers
    return model(*first(layers.Flatten), layers.Dense(1))


def check_import() -> None:
    print(tensorflow().__version__)


def check_op() -> None:
    import numpy as np

    tf, session = tensorflow(), graph()
    x = np.arange(6, dtype="float32").reshape(2, 3)
    product = tf.matmul(tf.constant(x), tf.constant(x.T))
    if session:
        with session.Session() as running:
            product = running.run(product)
    assert np.array_equal(np.asarray(product), x.dot(x.T)), product


def check_fit() -> None:
    """Gradient steps: in a session where that is the way of the release, and with Keras where there is Keras."""
    tf = graph()
    x, y = data()
    if tf:
        weights = tf.Variable(tf.zeros([15, 1]))
        loss = tf.reduce_mean(tf.square(tf.matmul(tf.constant(x.reshape(-1, 15)), weights) - y))
        step = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            before = session.run(loss)
            for _ in range(10):
                session.run(step)
            assert session.run(loss) < before
        if not hasattr(tf, "keras") and not hasattr(tf.contrib, "keras"):
            return
    history = dense().fit(x, y, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0], history


def check_lstm() -> None:
    tf = graph()
    x, y = data()
    if tf and not hasattr(tf, "keras") and not hasattr(tf.contrib, "keras"):
        outputs, _ = tf.nn.dynamic_rnn(tf.contrib.rnn.BasicLSTMCell(4), tf.constant(x), dtype=tf.float32)
        loss = tf.reduce_mean(tf.square(outputs[:, -1, :1] - y))
        step = tf.train.GradientDescentOptimizer(0.01).minimize(loss)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(step)
        return
    layers = keras().layers
    made = model(*first(layers.LSTM, 4), layers.Dense(1))
    made.fit(x, y, epochs=1, verbose=0)
    assert made.predict(x, verbose=0).shape == (64, 1)


def check_h5() -> None:
    import numpy as np

    made = dense()
    x, y = data()
    made.fit(x, y, epochs=1, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.h5")
        made.save(path)
        loaded = keras().models.load_model(path)
    assert np.allclose(loaded.predict(x, verbose=0), made.predict(x, verbose=0), atol=1e-5)


def check_data() -> None:
    tf, session = tensorflow(), graph()
    if not hasattr(tf, "data"):
        absent("tf.data came with 1.4")
    batches = tf.data.Dataset.from_tensor_slices(list(range(6))).map(lambda x: x * x).batch(4)
    if session:
        following = batches.make_one_shot_iterator().get_next()
        with session.Session() as running:
            found = [running.run(following).tolist() for _ in range(2)]
    else:
        found = [batch.numpy().tolist() for batch in batches]
    assert found == [[0, 1, 4, 9], [16, 25]], found


def check_tensorboard() -> None:
    callback = getattr(keras().callbacks, "TensorBoard", None)
    if callback is None:
        absent("its Keras has no TensorBoard callback")
    x, y = data()
    with tempfile.TemporaryDirectory() as folder:
        dense().fit(x, y, epochs=1, verbose=0, callbacks=[callback(log_dir=folder)])
        files = [name for _, _, names in os.walk(folder) for name in names]
    assert any("tfevents" in name for name in files), files


CHECKS = {
    check.__name__[len("check_") :]: check
    for check in (check_import, check_op, check_fit, check_lstm, check_h5, check_data, check_tensorboard)
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]]()
