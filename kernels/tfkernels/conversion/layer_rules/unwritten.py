"""Settings that older releases did not write, with the value that these meant. The target's default may be another."""

from typing import Any, Dict, List, NamedTuple, Set

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.report import LayerReport


class _Unwritten(NamedTuple):
    """``why`` is in the words of a user: what the old release computed."""

    classes: Set[str]
    setting: str
    value: Any
    why: str


_RECURRENT = {"GRU", "GRUCell"}
_MEANT: List[_Unwritten] = [
    _Unwritten(_RECURRENT, "reset_after", False, "releases without the setting reset before the matrix product"),
    _Unwritten({"Flatten"}, "data_format", "channels_last", "releases without the setting kept the order of values"),
    _Unwritten({"UpSampling2D"}, "interpolation", "nearest", "releases without the setting repeated values"),
    _Unwritten(
        {
            "AveragePooling1D", "MaxPooling1D", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "Conv1D",
            "ZeroPadding1D", "SeparableConv1D",
        },
        "data_format", "channels_last", "releases without the setting knew no other order",
    ),
    _Unwritten(
        {"LSTM", "GRU", "LSTMCell", "GRUCell", "ConvLSTM2D", "ConvLSTM2DCell"},
        "recurrent_activation", "hard_sigmoid", "the default of releases that did not write it",
    ),
]  # fmt: skip


def write(name: str, config: Dict[str, Any], source: KerasRelease, about: LayerReport) -> None:
    """Adds what the writer meant to ``config``. A Keras 3 file has all settings."""
    if source.is_keras_3:
        return
    for meant in _MEANT:
        if name in meant.classes and config.get(meant.setting) is None:
            config[meant.setting] = meant.value
            about.changed(f"{meant.setting}={meant.value!r} is written", meant.why)
    if name == "SeparableConv2D" and "dilation_rate" not in config:
        _separable(config, about)


def _separable(config: Dict[str, Any], about: LayerReport) -> None:
    """TensorFlow 1.4 does not write ``dilation_rate``. Only with strides it is known: the two exclude each other."""
    strides, kernel = config.get("strides"), config.get("kernel_size")
    if any(step != 1 for step in _numbers(strides)) or all(size == 1 for size in _numbers(kernel)):
        config["dilation_rate"] = [1, 1]
        return
    about.refuse(
        "its dilation_rate is not in the file: TensorFlow 1.4 does not save it. Add it to the file's configuration, "
        "or record the model in a kernel that has built it"
    )


def _numbers(value: Any) -> List[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
