"""The specimens' own layers and functions, as a user has them in a module. For any Keras from 2.0.8 on.

The Keras of 1.4 looks at the parameters of functions, and cannot read annotations.
"""

from typing import Any  # noqa: F401 (comments use it)

import tensorflow as tf

keras = tf.keras


def twice(x):  # type: (Any) -> Any
    return x * 2.0


def shifted(x):  # type: (Any) -> Any
    return x + 0.5


class Scale(tf.keras.layers.Layer):  # type: ignore[misc]
    """Each channel times a trained factor, plus a constant."""

    def __init__(self, offset=0.0, **kwargs):  # type: (float, Any) -> None
        super().__init__(**kwargs)
        self.offset = offset

    def build(self, input_shape):  # type: (Any) -> None
        ones = keras.initializers.get("ones")
        self.factor = self.add_weight(name="factor", shape=(int(input_shape[-1]),), initializer=ones, trainable=True)
        super().build(input_shape)

    def call(self, inputs):  # type: (Any) -> Any
        return inputs * self.factor + self.offset

    def compute_output_shape(self, input_shape):  # type: (Any) -> Any
        return input_shape

    def get_config(self):  # type: () -> Any
        return {**super().get_config(), "offset": self.offset}
