"""Settings of layers and optimizers whose default or meaning is another in a later release. The one table of them.

The conversion writes what an older release left out; a comparison of models says which difference is a default's.
Measured by the signatures of TensorFlow 1.4, 1.12, 1.15, 2.0, 2.4, 2.11, 2.15 and 2.21.
"""

from typing import Any, List, NamedTuple, Optional, Tuple

from tfkernels.conversion.layer_rules.keras_release import KerasRelease


class Default(NamedTuple):
    """``before`` is the default of older releases, and what the absence of the setting means in their files.

    ``after`` is the default since the release ``since`` (of TensorFlow), the same if it never changed. ``unwritten``
    is why the absence means that, in the words of a user; empty where all releases write the setting.
    """

    classes: Tuple[str, ...]
    setting: str
    before: Any
    after: Any
    since: str = ""
    unwritten: str = ""


_GATES = "the default of releases that did not write it"
_ADAPTIVE = ("Adadelta", "Adagrad", "Adam", "Adamax", "Nadam", "RMSprop")

DEFAULTS: List[Default] = [
    Default(
        ("GRU", "GRUCell"), "reset_after", False, True, "2.0",
        "releases without the setting reset before the matrix product",
    ),
    Default(
        ("LSTM", "GRU", "LSTMCell", "GRUCell"), "recurrent_activation", "hard_sigmoid", "sigmoid", "2.0", _GATES
    ),
    Default(
        ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM2DCell", "ConvLSTM3D"), "recurrent_activation", "hard_sigmoid",
        "sigmoid", "2.21 or earlier", _GATES,
    ),
    Default(
        ("Flatten",), "data_format", "channels_last", "channels_last", "",
        "releases without the setting kept the order of values",
    ),
    Default(
        ("UpSampling2D",), "interpolation", "nearest", "nearest", "", "releases without the setting repeated values"
    ),
    Default(
        ("AveragePooling1D", "MaxPooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Conv1D",
         "ZeroPadding1D", "SeparableConv1D"),
        "data_format", "channels_last", "channels_last", "", "releases without the setting knew no other order",
    ),
    Default(
        ("Embedding",), "embeddings_initializer", "random_uniform(minval=0, maxval=1)",
        "random_uniform(minval=-0.05, maxval=0.05)", "1.12 or earlier",
    ),
    Default(_ADAPTIVE, "epsilon", 1e-8, 1e-7, "1.12 or earlier"),
    Default(("Adagrad",), "learning_rate", 0.01, 0.001, "1.15 or earlier"),
    Default(("Adagrad",), "initial_accumulator_value", 0.0, 0.1, "2.4 or earlier"),
    Default(("Adadelta",), "learning_rate", 1.0, 0.001, "1.15 or earlier"),
    Default(("Lion",), "learning_rate", 0.0001, 0.001, "2.21 or earlier"),
]  # fmt: skip


class Meaning(NamedTuple):
    """A value that one release computes otherwise than another. ``classes`` is empty if it is any layer's."""

    classes: Tuple[str, ...]
    setting: str
    value: Any
    difference: str
    changed: Any
    """A function of two releases: whether the value means something else in the second."""


def _keras_3(one: KerasRelease, other: KerasRelease) -> bool:
    return one.is_keras_3 != other.is_keras_3


def aligns_corners(release: KerasRelease) -> bool:
    """Whether a bilinear ``UpSampling2D`` aligns the corners of pixels there."""
    return release.before((1, 14)) or not release.of_tensorflow


def _corners(one: KerasRelease, other: KerasRelease) -> bool:
    return aligns_corners(one) != aligns_corners(other)


HARD_SIGMOID = "hard_sigmoid of Keras 2 has the slope 0.2, and of Keras 3 1/6"

MEANINGS: List[Meaning] = [
    Meaning((), "activation", "hard_sigmoid", HARD_SIGMOID, _keras_3),
    Meaning((), "recurrent_activation", "hard_sigmoid", HARD_SIGMOID, _keras_3),
    Meaning(
        ("UpSampling2D",), "interpolation", "bilinear",
        "TensorFlow before 1.14 aligns the corners of pixels, and later releases the centres", _corners,
    ),
]  # fmt: skip


def changed_default(class_name: str, setting: str) -> Optional[Default]:
    """The default of this setting, if it is another in later releases."""
    return next(
        (one for one in DEFAULTS if class_name in one.classes and one.setting == setting and one.before != one.after),
        None,
    )


def changed_meaning(class_name: str, setting: str, value: Any, one: KerasRelease, other: KerasRelease) -> str:
    """How two releases differ in what this value means; an empty text if they do not."""
    return next(
        (
            meaning.difference
            for meaning in MEANINGS
            if (not meaning.classes or class_name in meaning.classes)
            and (meaning.setting, meaning.value) == (setting, value)
            and meaning.changed(one, other)
        ),
        "",
    )
