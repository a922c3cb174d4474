"""What an initializer of any release draws: the distribution and its parameters. Nothing of TensorFlow is imported.

Keras's classes and names are ways to write one of a few distributions. One distribution has one text here, so that two
releases can be compared: ``glorot_uniform``, ``truncated_normal(mean=0, stddev=0.02)``.
"""

import math
import re
from typing import Any, Dict, Mapping, NamedTuple, Optional, Sequence, Tuple

TRUNCATED_STDDEV = 0.87962566103423978
"""The standard deviation of a normal distribution that is cut off at 2; Keras divides by it to scale variances."""

_SCALED = {
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
}
"""Names for a ``VarianceScaling``: scale, mode and distribution."""

_DEFAULTS: Dict[str, Dict[str, Any]] = {
    "zeros": {},
    "ones": {},
    "constant": {"value": 0.0},
    "random_uniform": {"minval": -0.05, "maxval": 0.05},
    "random_normal": {"mean": 0.0, "stddev": 0.05},
    "truncated_normal": {"mean": 0.0, "stddev": 0.05},
    "orthogonal": {"gain": 1.0},
    "identity": {"gain": 1.0},
    "variance_scaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
}
"""By our name, which is Keras's: parameters with the defaults since Keras 2."""

_OTHER_NAMES = {"uniform": "random_uniform", "normal": "random_normal", "orthogonal_initializer": "orthogonal",
                "zero": "zeros", "one": "ones", "identity_initializer": "identity"}  # fmt: skip


class Initializer(NamedTuple):
    """``name`` is one of ``zeros``, ``ones``, ``constant``, ``random_uniform``, ``random_normal``,
    ``truncated_normal``, ``orthogonal``, ``identity`` and ``variance_scaling``; ``settings`` are its parameters.
    """

    name: str
    settings: Dict[str, Any]

    def __str__(self) -> str:
        given = dict(self.settings)
        if self.name == "variance_scaling":
            for name, scaled in _SCALED.items():
                if tuple(given.values()) == scaled:
                    return name
        shown = ", ".join(f"{key}={value:.6g}" if isinstance(value, float) else f"{key}={value}"
                          for key, value in given.items() if not (key == "gain" and value == 1))  # fmt: skip
        return f"{self.name}({shown})" if shown else self.name


def initializer(value: Any) -> Optional[Initializer]:
    """The initializer that ``value`` stands for: a name, a configuration or an object of Keras. ``None`` for others.

    ``VarianceScaling(distribution="normal")`` drew a truncated normal distribution until it was called so. In
    TensorFlow 1.4 its standard deviation was 12 % smaller; here it is that of the later releases.
    """
    if isinstance(value, Initializer):
        return value
    if isinstance(value, str):
        return _named(value, {})
    if isinstance(value, Mapping):
        settings = value.get("config")
        return _named(str(value.get("class_name")), settings if isinstance(settings, Mapping) else {})
    if isinstance(value, type):
        return _named(value.__name__, {})
    if hasattr(value, "get_config"):
        return _named(type(value).__name__, value.get_config())
    name = getattr(value, "__name__", "")
    return _named(name, {}) if name else None


def _named(class_name: str, config: Mapping[str, Any]) -> Optional[Initializer]:
    name = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", re.sub(r"V\d$", "", class_name.split(">")[-1].split(".")[-1])).lower()
    name = _OTHER_NAMES.get(name, name)
    if name in _SCALED:
        return Initializer("variance_scaling", dict(zip(("scale", "mode", "distribution"), _SCALED[name])))
    if name not in _DEFAULTS:
        return None
    settings = {key: _plain(config.get(key, default), default) for key, default in _DEFAULTS[name].items()}
    if settings.get("distribution") == "normal":
        settings["distribution"] = "truncated_normal"
    if name == "constant" and settings["value"] in (0, 1):
        return Initializer("ones" if settings["value"] == 1 else "zeros", {})
    return Initializer(name, settings)


def _plain(value: Any, default: Any) -> Any:
    if value is None:
        return 1.0  # the upper bound of a uniform distribution, as TensorFlow 1.4 writes it
    if isinstance(default, float):
        return float(value) if not hasattr(value, "shape") or value.shape == () else value
    return str(value)


def fans(shape: Sequence[int]) -> Tuple[float, float]:
    """How many inputs and outputs one unit of a weight of this shape has, as Keras counts them."""
    if len(shape) < 2:
        size = float(shape[0]) if shape else 1.0
        return size, size
    field = 1.0
    for length in shape[:-2]:
        field *= length
    return shape[-2] * field, shape[-1] * field


def distribution(given: Initializer, shape: Sequence[int]) -> Tuple[str, float, float]:
    """The distribution of a ``variance_scaling``: its name, and bounds (uniform), or mean and standard deviation."""
    fan_in, fan_out = fans(shape)
    fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[given.settings["mode"]]
    variance = given.settings["scale"] / max(1.0, fan)
    kind = given.settings["distribution"]
    if kind == "uniform":
        limit = math.sqrt(3.0 * variance)
        return "random_uniform", -limit, limit
    if kind == "truncated_normal":
        return "truncated_normal", 0.0, math.sqrt(variance) / TRUNCATED_STDDEV
    return "random_normal", 0.0, math.sqrt(variance)
