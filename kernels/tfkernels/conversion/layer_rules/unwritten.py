"""Settings that older releases did not write, with the value that these meant. The target's default may be another."""

from typing import Any, Dict, List

from tfkernels.conversion.layer_rules.changed_settings import DEFAULTS
from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.report import LayerReport


def write(name: str, config: Dict[str, Any], source: KerasRelease, about: LayerReport) -> None:
    """Adds what the writer meant to ``config``. A Keras 3 file has all settings."""
    if source.is_keras_3:
        return
    for meant in DEFAULTS:
        if meant.unwritten and name in meant.classes and config.get(meant.setting) is None:
            config[meant.setting] = meant.before
            about.changed(f"{meant.setting}={meant.before!r} is written", meant.unwritten)
    if name == "SeparableConv2D" and "dilation_rate" not in config:
        _separable(config, about)


def _separable(config: Dict[str, Any], about: LayerReport) -> None:
    """TensorFlow 1.4 does not write ``dilation_rate``. Only with strides it is known: the two exclude each other."""
    strides, kernel = config.get("strides"), config.get("kernel_size")
    if any(step != 1 for step in _numbers(strides)) or all(size == 1 for size in _numbers(kernel)):
        config["dilation_rate"] = [1, 1]
        return
    about.refuse(
        "its dilation_rate is not in the file: TensorFlow 1.4 does not save it. Add --model FILE.py:FUNCTION with a "
        "function that builds the model"
    )


def _numbers(value: Any) -> List[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
