"""A ``tf.Module``, whose checkpoint has no model. TensorFlow 2."""

from typing import Any  # noqa: F401 (TensorFlow 2.0 cannot save an annotation)

import numpy as np
import tensorflow as tf


class Net(tf.Module):  # type: ignore[misc]
    """Two matrix products."""

    def __init__(self) -> None:
        super().__init__(name="net")
        drawn = np.random.RandomState(1)
        self.w1 = tf.Variable(drawn.normal(size=(10, 12)).astype("float32"), name="w1")
        self.b1 = tf.Variable(np.zeros(12, "float32"), name="b1")
        self.w2 = tf.Variable(drawn.normal(size=(12, 3)).astype("float32"), name="w2")

    @tf.function(input_signature=[tf.TensorSpec([None, 10], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def __call__(self, x):  # type: (Any) -> Any
        return tf.matmul(tf.nn.tanh(tf.matmul(x, self.w1) + self.b1), self.w2)
