"""Six architectures of Keras: what people use, and what changed between releases."""

from typing import Any, Callable, Dict, List, NamedTuple

import tensorflow as tf

from conversion_table.specimen_maker.custom import Scale, shifted, twice
from conversion_table.specimen_maker.release import VERSION, data, keras, words

L = keras.layers


class Trained(NamedTuple):
    """A model, and what it is trained with; ``needs`` says what a user has to give or allow to load it."""

    model: Any
    inputs: Dict[str, Any]
    targets: List[Any]
    optimizer: str
    loss: str
    needs: List[str] = []  # noqa: RUF012 (Python 3.6 has no other way; nobody changes it)


def mlp() -> Trained:
    layers = [
        L.Dense(16, activation="relu", input_shape=(10,), name="first"), L.BatchNormalization(name="norm"),
        L.Dropout(0.3, name="drop"),
        L.Dense(8, activation="elu", kernel_regularizer=keras.regularizers.l2(0.01), name="second"),
        L.Dense(4, activation="softmax", name="last"),
    ]  # fmt: skip
    return Trained(keras.models.Sequential(layers), {"first_input": data(8, 10)}, [data(8, 4, seed=9)], "adam", "mse")


def convolutions() -> Trained:
    x = image = L.Input((16, 16, 3), name="image")
    x = L.Conv2D(8, 3, strides=2, padding="same", name="conv")(x)
    if hasattr(L, "DepthwiseConv2D"):
        x = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    x = L.SeparableConv2D(6, 3, padding="same", dilation_rate=2, name="separable")(x)
    x = L.PReLU(shared_axes=[1, 2], name="prelu")(x)
    x = L.BatchNormalization(axis=-1, momentum=0.9, epsilon=1e-2, name="norm")(x)
    x = L.MaxPooling2D(name="pool")(x)
    x = L.LeakyReLU(0.2, name="leaky")(x)
    model = keras.models.Model(image, L.Dense(5, name="last")(L.Flatten(name="flat")(x)))
    return Trained(model, {"image": data(8, 16, 16, 3)}, [data(8, 5, seed=9)], "sgd", "mse")


def resizing() -> Trained:
    x = image = L.Input((8, 8, 4), name="image")
    for layer in (
        L.UpSampling2D(2, name="up"),
        L.Conv2DTranspose(6, 3, strides=2, padding="same", activation="tanh", name="transposed"),
        L.ZeroPadding2D(((1, 2), (3, 0)), name="padded"), L.Cropping2D(((2, 1), (0, 3)), name="cropped"),
        L.AveragePooling2D(3, strides=2, padding="same", name="average"), L.Permute((2, 1, 3), name="permuted"),
        L.Activation("hard_sigmoid", name="hard"), L.GlobalAveragePooling2D(name="pool"),
        L.Reshape((3, 2), name="reshaped"), L.Flatten(name="flat"),
    ):  # fmt: skip
        x = layer(x)
    return Trained(keras.models.Model(image, x), {"image": data(8, 8, 8, 4)}, [data(8, 6, seed=9)], "rmsprop", "mae")


def recurrent() -> Trained:
    x = sentence = L.Input((7,), dtype="int32", name="words")
    x = L.Embedding(20, 6, mask_zero=True, name="embedding")(x)
    x = L.Bidirectional(L.LSTM(5, return_sequences=True), name="both")(x)
    x = L.TimeDistributed(L.Dense(6, activation="tanh"), name="each")(x)
    x = L.GRU(4, name="gru")(x)
    model = keras.models.Model(sentence, L.Dense(1, activation="sigmoid", name="last")(x))
    target = (data(8, 1, seed=9) > 0).astype("float32")
    return Trained(model, {"words": words(8, 7)}, [target], "adam", "binary_crossentropy")


def several(lambdas: bool = False) -> Trained:
    """Several inputs and outputs, a shared layer, models inside the model, and layers of the user's."""
    left, right = L.Input((6,), name="left"), L.Input((6,), name="right")
    shared = L.Dense(5, activation="selu", name="shared")
    inner_in = L.Input((5,), name="inner_in")
    inner_out = L.Dense(3, name="inner_dense")(Scale(0.25, name="inner_scale")(inner_in))
    inner = keras.models.Model(inner_in, inner_out, name="inner")
    first = L.Dense(3, activation="relu", input_shape=(5,), name="tower_dense")
    tower = keras.models.Sequential([first, L.BatchNormalization(name="tower_norm")], name="tower")
    one, other = shared(left), shared(right)
    if lambdas:
        one = L.Lambda(lambda x: x * 3.0, name="byte_code")(one)
        other = L.Lambda(twice, name="named")(other)
    x = L.Concatenate(name="joined")([inner(one), inner(other), tower(one)])
    if lambdas and VERSION >= (1, 15):
        x = (tf.nn.relu(x) + 1.0)[:, 1:8]
    elif lambdas:
        x = L.Lambda(shifted, name="shift")(x)
    outputs = [
        L.Dense(2, name="one")(Scale(name="scale")(x)),
        L.Dense(1, activation="sigmoid", name="two")(L.Add(name="sum")([one, other])),
    ]
    return Trained(
        keras.models.Model([left, right], outputs), {"left": data(8, 6), "right": data(8, 6, seed=1)},
        [data(8, 2, seed=9), data(8, 1, seed=8)], "adagrad", "mse", ["custom", "lambda"] if lambdas else ["custom"],
    )  # fmt: skip


ARCHITECTURES: Dict[str, Callable[[], Trained]] = {
    "mlp": mlp, "convolutions": convolutions, "resizing": resizing, "recurrent": recurrent, "several": several,
    "lambdas": lambda: several(lambdas=True),
}  # fmt: skip


def optimizer(name: str) -> Any:
    kinds = keras.optimizers
    rate: Dict[str, Any] = {"lr" if VERSION < (2, 0) else "learning_rate": 0.01}
    if name == "sgd":
        return kinds.SGD(momentum=0.9, nesterov=True, **rate)
    return {"adam": kinds.Adam, "rmsprop": kinds.RMSprop, "adagrad": kinds.Adagrad}[name](**rate)
