"""How a rebuilt model is compiled: losses and metrics as the target's Keras takes them."""

from typing import Any, Dict, List, Mapping, NamedTuple

from tfkernels.conversion.target.target_keras import TargetKeras

_NAMES = {"logcosh": "log_cosh"}
_CHANGED = {"cosine_proximity": "its sign and mean differ from release to release", "cosine": "as cosine_proximity"}


class _Unknown(Exception):
    """A loss or metric that the target does not have."""


class CompileSettings(NamedTuple):
    """Arguments of ``model.compile``, and what did not come along."""

    settings: Dict[str, Any]
    notes: List[str]


def compile_settings(saved: Mapping[str, Any], outputs: int, target: TargetKeras) -> CompileSettings:
    """``outputs`` is the number of the model's outputs. Without ``loss`` the model cannot be compiled."""
    settings: Dict[str, Any] = {}
    notes: List[str] = []
    for key, module in (("loss", "losses"), ("metrics", "metrics"), ("weighted_metrics", "metrics")):
        given = saved.get(key)
        if given in (None, [], {}):
            continue
        try:
            with target.custom_scope():
                settings[key] = _each(given, module, target)
        except _Unknown as problem:
            notes.append(f"{key} did not come along: {problem}")
    if saved.get("loss_weights"):
        settings["loss_weights"] = saved["loss_weights"]
    if target.release.is_keras_3 and outputs > 1:
        _for_each_output(settings, outputs)
    return CompileSettings(settings, notes)


def _for_each_output(settings: Dict[str, Any], outputs: int) -> None:
    """Keras 2 applies one loss, or a flat list of metrics, to every output; Keras 3 takes a list by output."""
    if "loss" in settings and not isinstance(settings["loss"], (list, dict)):
        settings["loss"] = [settings["loss"]] * outputs
    for key in ("metrics", "weighted_metrics"):
        given = settings.get(key)
        if isinstance(given, list) and not any(isinstance(one, (list, dict)) for one in given):
            settings[key] = [list(given) for _ in range(outputs)]


def _each(given: Any, module: str, target: TargetKeras) -> Any:
    if isinstance(given, (list, tuple)):
        return [None if one is None else _each(one, module, target) for one in given]
    if isinstance(given, dict) and "class_name" not in given:
        return {name: None if one is None else _each(one, module, target) for name, one in given.items()}
    return _one(given, module, target)


def _one(given: Any, module: str, target: TargetKeras) -> Any:
    if isinstance(given, dict) and given.get("class_name") == "function":
        given = given["config"]
    if isinstance(given, str):
        return _by_name(given, module, target)
    name = str(given.get("class_name")).split(">")[-1]
    kind = target.custom_objects.get(name) or getattr(getattr(target.module, module), name, None)
    config = dict(given.get("config") or {})
    if kind is None:
        raise _Unknown(f"the target has no {name}")
    if module == "losses":
        if config.get("reduction") == "auto" and target.release.is_keras_3:
            config["reduction"] = "sum_over_batch_size"
        if not target.release.is_keras_3:
            config.pop("dtype", None)
    if isinstance(config.get("dtype"), dict):
        config["dtype"] = (config["dtype"].get("config") or {}).get("name")
    try:
        return kind.from_config(config)
    except Exception as error:
        raise _Unknown(f"{name}: {type(error).__name__}: {error}") from error


def _by_name(name: str, module: str, target: TargetKeras) -> Any:
    if name in target.custom_objects:
        return target.custom_objects[name]
    if name in _CHANGED:
        raise _Unknown(f"{name}: {_CHANGED[name]}")
    if module == "metrics" and name in ("accuracy", "acc", "crossentropy", "ce"):
        return name
    for one in (name, _NAMES.get(name, name)):
        try:
            getattr(target.module, module).get(one)
        except Exception:  # noqa: BLE001, S112 (Keras raises any kind)
            continue
        return one
    raise _Unknown(f"the target has no {name}. If it is your own, pass --custom-objects module.py")
