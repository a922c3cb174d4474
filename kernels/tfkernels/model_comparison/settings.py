"""Settings of two layers, each as its release writes them, compared by what they mean."""

import math
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence

from tfkernels.conversion.layer_rules.by_class import unused_settings
from tfkernels.conversion.layer_rules.changed_settings import Default, changed_default, changed_meaning
from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.layer_rules.nested_objects import class_in_all_releases, function_in_all_releases
from tfkernels.conversion.layer_rules.without_effect import never_counts, says_nothing
from tfkernels.models.initializers import initializer

_NAMES = {"lr": "learning_rate", "alpha": "negative_slope", "theta": "threshold"}
"""Settings that were renamed."""

_NO_SETTINGS = {
    "name", "trainable", "autocast", "build_input_shape", "cell", "cells", "registered_name", "batch_shape",
    "is_legacy_optimizer", "jit_compile", "ema_overwrite_frequency", "loss_scale_factor",
    "gradient_accumulation_steps", "activity_regularizer_name", "function_type", "output_shape_type",
}  # fmt: skip
"""What says how a layer is written, or is compared elsewhere."""

_AXES = ("axis", "axes")


class Setting(NamedTuple):
    """A setting that differs: its values as text, and what is known about the difference.

    ``default`` says which default changed between the releases, if that explains it; ``meaning`` how equal values
    mean something else.
    """

    name: str
    a: str
    b: str
    default: str = ""
    meaning: str = ""


def differences(
    class_name: str, a: Mapping[str, Any], b: Mapping[str, Any], release_a: KerasRelease, release_b: KerasRelease
) -> List[Setting]:
    """The settings of two layers (or optimizers) of one class that differ in what they mean, in the order of ``a``."""
    one, other = _renamed(a), _renamed(b)
    return [
        *_differing(class_name, one, other),
        *_same_value_other_meaning(class_name, one, other, release_a, release_b),
    ]


def _renamed(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings that are compared, by the names of the newest Keras."""
    without = {*_NO_SETTINGS} if settings.get("use_ema") else {*_NO_SETTINGS, "ema_momentum"}
    return {_NAMES.get(name, name): value for name, value in settings.items() if name not in without}


def _differing(class_name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Setting]:
    unused = unused_settings(class_name)
    for name in [*a, *(name for name in b if name not in a)]:
        known = changed_default(class_name, name)
        unwritten = known.before if known else None  # what a release without the setting does
        one, other = a.get(name, unwritten), b.get(name, unwritten)
        only_one = (name not in b and _silent(name, one)) or (name not in a and _silent(name, other))
        if not (never_counts(name) or name in unused or only_one or same(name, one, other)):
            yield Setting(name, _shown(name, a), _shown(name, b), _default(known, name, one, other))


def _silent(name: str, value: Any) -> bool:
    """Whether the other release, which has not this setting, does what it says."""
    return value in (None, False) or says_nothing(name, value)


def _same_value_other_meaning(
    class_name: str, a: Mapping[str, Any], b: Mapping[str, Any], release_a: KerasRelease, release_b: KerasRelease
) -> Iterator[Setting]:
    for name, value in a.items():
        if name in b and isinstance(value, str) and same(name, value, b[name]):
            meaning = changed_meaning(class_name, name, function_in_all_releases(value), release_a, release_b)
            if meaning:
                yield Setting(name, value, value, meaning=meaning)


def same(name: str, a: Any, b: Any) -> bool:
    """Whether two values of a setting mean the same, however their releases write them."""
    return _equal(_meant(name, a), _meant(name, b))


def _equal(a: Any, b: Any) -> bool:
    if _is_number(a) and _is_number(b):
        return a == b or math.isclose(a, b, rel_tol=1e-6)  # old releases keep some numbers in float32
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, list) or isinstance(b, list):  # one size for all dimensions
        sizes, size = (a, b) if isinstance(a, list) else (b, a)
        return _is_number(size) and bool(sizes) and all(_equal(one, size) for one in sizes)
    if isinstance(a, dict) and isinstance(b, dict):
        names = {name for name in (*a, *b) if not (a.get(name) is None and b.get(name) is None)}
        return all(_equal(a.get(name), b.get(name)) for name in names)
    return bool(a == b)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _meant(name: str, value: Any) -> Any:
    if name.endswith("_initializer"):
        found = initializer(value)
        return _object(value) if found is None else str(found)
    if name.endswith("_regularizer"):
        return _regularizer(value)
    if name.endswith("_constraint"):
        return _object(value)
    if name.endswith("activation"):
        value = _object(value)
        return function_in_all_releases(value) if isinstance(value, str) else "linear" if value is None else value
    if name == "dtype":
        return _dtype(value)
    if name in _AXES and isinstance(value, list) and len(value) == 1:
        return value[0]
    if name == "data_format" and value is None:
        return "channels_last"
    return _object(value) if isinstance(value, dict) else list(value) if isinstance(value, tuple) else value


def _object(value: Any) -> Any:
    """An object of Keras by its class and its settings, without what one release writes and another does not."""
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    settings = value.get("config")
    if value["class_name"] in ("function", "builtins.function"):
        return settings
    inside = settings if isinstance(settings, Mapping) else {}
    kept = {name: item for name, item in inside.items() if name not in ("dtype", "seed", "name", "trainable")}
    return {"class_name": class_in_all_releases(str(value["class_name"])), **kept}


def _regularizer(value: Any) -> Any:
    """``L2(0.01)`` and ``L1L2(0, 0.01)`` are one regularizer."""
    found = _object(value)
    if isinstance(found, str):
        found = {"class_name": found, found: 0.01}
    if not isinstance(found, Mapping) or str(found.get("class_name")).lower() not in ("l1", "l2", "l1l2", "l1_l2"):
        return found
    sizes = {kind: float(found.get(kind) or 0.0) for kind in ("l1", "l2")}
    return sizes if any(sizes.values()) else None


def _dtype(value: Any) -> Any:
    if isinstance(value, Mapping):
        settings = value.get("config")
        value = settings.get("name") if isinstance(settings, Mapping) else None
    return "float32" if value in (None, "_infer") or str(value).startswith("infer") else value


def _default(known: Optional[Default], name: str, a: Any, b: Any) -> str:
    if known is None:
        return ""
    for older, newer in ((a, b), (b, a)):
        if same(name, older, known.before) and same(name, newer, known.after):
            before, after = (text(_meant(name, value)) for value in (known.before, known.after))
            return f"the default changed: {before} in older releases, {after} since TensorFlow {known.since}"
    return ""


def _shown(name: str, settings: Mapping[str, Any]) -> str:
    return text(_meant(name, settings[name])) if name in settings else "(not there)"


def text(value: Any) -> str:
    """A value of a setting, short."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict) and "class_name" in value:
        inside = ", ".join(f"{name}={text(item)}" for name, item in value.items() if name != "class_name")
        return f"{value['class_name']}({inside})"
    if isinstance(value, dict):
        return ", ".join(f"{name}={text(item)}" for name, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(text, value)) + "]"
    return str(value)
