"""The optimizer of a rebuilt model: the same algorithm with the same settings, slots and step, or the reason why not.

Optimizers of one name do not all compute the same. RMSprop and Adagrad add epsilon to the root up to TensorFlow 2.10,
and to what is under the root since 2.11. Nadam's schedule changed, too. 2.11 to 2.15 have the older ones as ``legacy``.
"""

import inspect
from types import MappingProxyType
from typing import Any, Dict, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

from tfkernels.conversion.layer_rules.keras_release import KerasRelease
from tfkernels.conversion.target.equivalent_optimizer import Equivalent, equivalent
from tfkernels.conversion.target.target_keras import TargetKeras

_OLD_ALGORITHM = "before 2.11"
_NEW_ALGORITHM = "since 2.11"

CHANGED = {"RMSprop", "Adagrad", "Nadam"}
"""Optimizers whose algorithm changed with 2.11."""

_OF_TF_TRAIN = {
    "AdamOptimizer": ("Adam", {"beta1": "beta_1", "beta2": "beta_2"}),
    "GradientDescentOptimizer": ("SGD", {}),
    "MomentumOptimizer": ("SGD", {"use_nesterov": "nesterov"}),
    "RMSPropOptimizer": ("RMSprop", {"decay": "rho"}),
    "AdagradOptimizer": ("Adagrad", {}),
    "AdadeltaOptimizer": ("Adadelta", {}),
}
"""Optimizers of ``tf.train``, as Keras calls them and their settings."""

_NO_EFFECT = {"name", "jit_compile", "is_legacy_optimizer", "use_locking", "ema_overwrite_frequency", "ema_momentum"}
_NEUTRAL: Dict[str, Tuple[Any, ...]] = {
    "use_ema": (False, None), "weight_decay": (None, 0, 0.0), "clipnorm": (None,), "clipvalue": (None,),
    "global_clipnorm": (None,), "loss_scale_factor": (None,), "gradient_accumulation_steps": (None,),
    "decay": (0, 0.0, None), "amsgrad": (False,), "centered": (False,), "momentum": (0, 0.0), "nesterov": (False,),
    "schedule_decay": (0.004,), "initial_accumulator_value": (0.0,),
}  # fmt: skip
_OF_FIRST_STEP = {"initial_accumulator_value"}
"""Settings that only say with which slots training begins; here they are known."""


_KEYWORDS_OF_V2 = {"decay", "clipnorm", "clipvalue", "global_clipnorm"}
"""Settings that ``OptimizerV2`` takes through ``**kwargs``."""


class Continued(NamedTuple):
    """An optimizer for the rebuilt model, or why there is none."""

    optimizer: Any = None
    why_not: str = ""
    manner: str = ""
    """How it computes the same, if it is another one or has other settings."""
    state: Mapping[str, Any] = MappingProxyType({})
    """The state of a record's optimizer, as the target's counts. Weights have the record's names."""


class _Translated(NamedTuple):
    name: str
    settings: Dict[str, Any]
    algorithm: Optional[str]
    """``None`` if both algorithms are the same."""
    factors: Dict[str, float]


def optimizer_for(
    saved: Mapping[str, Any], source: KerasRelease, target: TargetKeras, legacy: bool = True
) -> Continued:
    """The target's optimizer for the one of a record, without its state yet.

    Without ``legacy`` an optimizer that Keras counts as such is the last choice: its state is in no ``.keras`` file.
    """
    name = str(saved["class_name"]).split(">")[-1]
    found = _translated(name, dict(saved.get("config") or {}), source)
    if isinstance(found, str):
        return Continued(why_not=found)
    state, manner, why = _state(saved, found.factors), "", ""
    kind = _class_for(found, target) if legacy or not _needs_legacy(found, target) else None
    if kind is None and _needs_legacy(found, target):
        other = equivalent(found.name, found.settings, saved, target.module.optimizers.schedules)
        if isinstance(other, Equivalent):
            found = found._replace(name=other.name, settings=other.settings, algorithm=None)
            state = {**_state(saved, {}, other.slots, other.zeros), "step": other.step}
            manner = other.manner
        else:
            why = f": {other}"
        kind = _class_for(found, target)
    if kind is None:
        exists = hasattr(target.module.optimizers, found.name)
        return Continued(
            why_not=f"{target.release} computes {found.name} otherwise{why}" if exists else f"{target.release} has none"
        )
    settings, refused = _settings_for(kind, found.settings, target)
    if refused:
        return Continued(why_not=f"its setting {refused} has no counterpart")
    try:
        with target.custom_scope():
            made = kind(**settings)
    except Exception as error:  # noqa: BLE001 (Keras raises any kind)
        return Continued(why_not=f"{type(error).__name__}: {error}")
    return Continued(made, "", manner, {**state, "class_name": type(made).__name__})


def is_legacy(optimizer: Any) -> bool:
    """Whether Keras counts it as such: 2.11 to 2.15 keep the optimizers of before so, and no state in ``.keras``."""
    return ".legacy." in type(optimizer).__module__


def _state(
    saved: Mapping[str, Any], factors: Mapping[str, float], names: Optional[Mapping[str, str]] = None,
    zeros: Tuple[str, ...] = (),
) -> Dict[str, Any]:  # fmt: skip
    slots: Dict[str, Dict[str, Any]] = {}
    for weight, given in (saved.get("slots") or {}).items():
        arrays = {slot: np.asarray(array) for slot, array in given.items()}
        arrays.update((slot, arrays[slot] * factor) for slot, factor in factors.items() if slot in arrays)
        own = {(names or {}).get(slot, slot): array for slot, array in arrays.items()}
        like = next(iter(own.values()), None)
        slots[weight] = {**own, **({} if like is None else {name: np.zeros_like(like) for name in zeros})}
    return {**saved, "slots": slots}


def _translated(name: str, config: Dict[str, Any], source: KerasRelease) -> Any:
    """Keras's name and settings, or why there are none."""
    if name in _OF_TF_TRAIN:
        return _translated_from_tf_train(name, config)
    settings = dict(config)
    if "lr" in settings:
        settings["learning_rate"] = settings.pop("lr")
    if settings.get("epsilon", 0) is None:
        settings["epsilon"] = 1e-7
    first = source.before((1, 13)) or not source.of_tensorflow
    if first and settings.get("clipnorm") is not None:  # Keras's first optimizers clip by the norm of all gradients
        settings["global_clipnorm"] = settings.pop("clipnorm")
    new = source.is_keras_3 or (source.keras >= (2, 11) and ("jit_compile" in config or "use_ema" in config))
    return _Translated(name, settings, _algorithm(name, settings, new), {})


def _translated_from_tf_train(name: str, config: Dict[str, Any]) -> Any:
    keras_name, renamed = _OF_TF_TRAIN[name]
    settings = {renamed.get(key, key): value for key, value in config.items()}
    if "lr" in settings:
        settings["learning_rate"] = settings.pop("lr")
    factors: Dict[str, float] = {}
    if name == "MomentumOptimizer":  # it keeps the sum of gradients, and Keras the steps
        if not isinstance(settings.get("learning_rate"), (int, float)):
            return "its learning rate is a tensor"
        factors["momentum"] = -float(settings["learning_rate"])
    if name == "AdagradOptimizer":
        settings["epsilon"] = 0.0
    return _Translated(keras_name, settings, _algorithm(keras_name, settings, new=True), factors)


def _algorithm(name: str, settings: Mapping[str, Any], new: bool) -> Optional[str]:
    if name not in CHANGED or (name == "Adagrad" and settings.get("epsilon") == 0):
        return None
    if name == "RMSprop" and settings.get("momentum"):
        return _NEW_ALGORITHM  # with momentum, epsilon was always under the root
    return _NEW_ALGORITHM if new else _OLD_ALGORITHM


def _needs_legacy(found: _Translated, target: TargetKeras) -> bool:
    return found.algorithm == _OLD_ALGORITHM and target.release.keras >= (2, 11)


def _class_for(found: _Translated, target: TargetKeras) -> Any:
    optimizers = target.module.optimizers
    keras = target.release.keras
    legacy = getattr(optimizers, "legacy", None) if (2, 11) <= keras < (3,) else None
    if _needs_legacy(found, target):
        return getattr(legacy, found.name, None)
    if found.algorithm == _NEW_ALGORITHM and keras < (2, 11):
        return None
    return getattr(optimizers, found.name, None)


def _settings_for(kind: Any, settings: Dict[str, Any], target: TargetKeras) -> Tuple[Dict[str, Any], str]:
    accepted = _parameters(kind)
    result = dict(settings)
    decay = result.pop("decay", None)
    if decay and ("decay" in accepted or _is_v2(kind)):
        result["decay"] = decay
    elif decay and isinstance(result.get("learning_rate"), (int, float)):
        schedules = target.module.optimizers.schedules
        result["learning_rate"] = schedules.InverseTimeDecay(result["learning_rate"], 1, decay)
    elif decay:
        return {}, "decay"
    rate = result.get("learning_rate")
    if isinstance(rate, dict):
        try:
            result["learning_rate"] = target.module.optimizers.schedules.deserialize(
                {"class_name": str(rate["class_name"]).split(">")[-1], "config": rate["config"]},
                custom_objects=dict(target.custom_objects),
            )
        except Exception:  # noqa: BLE001 (Keras raises any kind)
            return {}, f"learning_rate={rate.get('class_name')}"
    for key in list(result):
        if key in accepted and key != "name":
            continue
        value = result[key]
        if _is_v2(kind) and key in _KEYWORDS_OF_V2 and value is not None:
            continue
        result.pop(key)
        if key in _NO_EFFECT or key in _OF_FIRST_STEP or value in _NEUTRAL.get(key, ()):
            continue
        return {}, f"{key}={value!r}"
    return result, ""


def _is_v2(kind: Any) -> bool:
    return any(one.__name__ in ("OptimizerV2",) for one in kind.__mro__)


def _parameters(kind: Any) -> Set[str]:
    names: Set[str] = set()
    for one in kind.__mro__:
        if "__init__" in vars(one):
            parameters = list(inspect.signature(vars(one)["__init__"]).parameters.values())[1:]
            names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
            if not any(p.kind == p.VAR_KEYWORD for p in parameters):
                break
    return names
