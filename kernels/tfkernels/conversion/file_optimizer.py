"""The optimizer of a saved model for its record. Only one whose settings are known comes along: nothing is guessed.

A whole model has its settings, too. Files of weights, and some ``.keras`` files of Keras 3, have the state alone.
Then the settings are those of the model that a function of the user compiles, or of another file of that model.
"""

import re
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from tfkernels.conversion.record.plain_values import plain
from tfkernels.conversion.target.rebuilt_optimizer import CHANGED
from tfkernels.saved_models.keras.optimizers import settings_in
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer

Optimizer = Optional[Dict[str, Any]]


def with_settings(saved: SavedFile, training: Optional[Mapping[str, Any]], optimizers: Any) -> Optimizer:
    """The optimizer with the settings of a file's compilation; ``why_not`` instead if they are unknown.

    ``optimizers`` is the module of the Keras that wrote the file, for the settings of one that has only a name.
    """
    found = saved.optimizer
    if found is None:
        return None
    settings = settings_in((training or {}).get("compile_config") or training)
    name = str(settings.get("class_name") or "").rpartition(">")[2]
    config = settings.get("config")
    if name and config is None:  # model.compile("adam")
        made = optimizers.get(name)
        name, config = type(made).__name__, {**made.get_config(), **_rate(found)}
    if not name or not config:
        return _left(saved, "and not its settings")
    if found.class_name and found.class_name.lower() != name.lower():
        return _left(saved, f"and the other file the settings of {name}")
    return _with_state(name, plain({**config, **_changed(found, config)}), found)


def of_model(saved: SavedFile, compiled: Optimizer) -> Optimizer:
    """The optimizer of the user's model, ``compiled``, with the state of the file."""
    found = saved.optimizer
    if found is None or not (found.slots or found.others or found.step):
        return None
    if compiled is None:
        return _left(saved, "and not its settings")
    if found.class_name and found.class_name.lower() != compiled["class_name"].lower():
        return _left(saved, f"and the model is compiled with {compiled['class_name']}")
    if found.steps:
        return _left(saved, "which is of several optimizers")
    config = compiled["config"]
    if "decay" in found.config and "jit_compile" in config and compiled["class_name"] in CHANGED:
        return _left(saved, "and the model is compiled with the one of since TensorFlow 2.11, which computes otherwise")
    if found.slots:
        return _with_state(compiled["class_name"], {**config, **_changed(found, config)}, found)
    return compiled if _has_state(compiled, found) else _left(saved, "which Keras did not give to the compiled model")


def by_names_of(weights: Mapping[str, Any], saved: SavedFile, optimizer: Optimizer) -> Optimizer:
    """The same with the model's names of weights.

    1.4 forgets the name of a Sequential inside another model, and Keras 3 those of a custom layer's weights.
    """
    others = [name for name in weights if name not in saved.weights]
    if not optimizer or not optimizer.get("slots") or not others:
        return optimizer
    renamed: Dict[str, str] = {}
    for name in optimizer["slots"]:
        if name not in weights:
            layer, end, value = name.rpartition("/")[0], name.split("/")[-2:], saved.weights[name].read()
            near = [one for one in others if one.split("/")[-2:] == end or one.rpartition("/")[0] == layer]
            same = [one for one in near if np.array_equal(weights[one], value)]
            renamed[name] = same[0] if len(same) == 1 else name
    return {**optimizer, "slots": {renamed.get(name, name): own for name, own in optimizer["slots"].items()}}


def _with_state(name: str, config: Dict[str, Any], found: SavedOptimizer) -> Optimizer:
    return {
        "class_name": name,
        "config": config,
        "step": found.step,
        "scalars": _scalars(found),
        "slots": {name: {slot: weight.read() for slot, weight in own.items()} for name, own in found.slots.items()},
    }


def _left(saved: SavedFile, why: str) -> Optimizer:
    """The optimizer stays behind: what the file has of it, and how to take it along."""
    found = saved.optimizer
    assert found is not None
    parts: List[str] = [
        f"{name}={value:.6g}" for name, value in found.config.items() if isinstance(value, (int, float))
    ]
    if found.slots:
        slots = sorted({slot for own in found.slots.values() for slot in own})
        parts.insert(0, f"{' and '.join(slots)} of {len(found.slots)} weights")
    elif found.others:
        parts.insert(0, f"{len(found.others)} arrays")
    if found.step is not None:
        parts.insert(0, f"step {found.step}")
    if not parts:
        return None
    return {
        "class_name": found.class_name or "optimizer",
        "config": dict(found.config),
        "why_not": (
            f"the file has its state ({', '.join(parts)}), {why}. Add --model FILE.py:FUNCTION with a function that "
            f"builds the model and compiles it with this optimizer; or read the state: "
            f"tfkernels.inspect({saved.path!r}).optimizer"
        ),
    }


def _changed(found: SavedOptimizer, config: Mapping[str, Any]) -> Dict[str, Any]:
    """Settings that the file holds as variables, as Keras would restore them: not over a schedule."""
    return {
        name: value
        for name, value in found.config.items()
        if name in config and isinstance(config[name], (int, float)) and not isinstance(value, bool)
    }


def _rate(found: SavedOptimizer) -> Dict[str, float]:
    """The learning rate that Keras 3 keeps as the second of its variables."""
    rates = [weight for name, weight in found.others.items() if name.endswith("vars/1") and not weight.shape]
    return {"learning_rate": float(rates[0].read())} if rates else {}


def _scalars(found: SavedOptimizer) -> Dict[str, float]:
    """Nadam's product of momenta."""
    names = ("m_cache", "m_schedule", "momentum_cache", "u_product", "_u_product")
    for name, weight in found.others.items():
        if not weight.shape and any(re.search(rf"(^|/){part}(:0)?$", name) for part in names):
            return {"m_cache": float(weight.read())}
    return {}


def _has_state(compiled: Dict[str, Any], found: SavedOptimizer) -> bool:
    """Whether Keras restored the arrays of the file, which have no names there."""
    slots = [np.asarray(array) for own in compiled["slots"].values() for array in own.values()]
    left = [weight.read() for weight in found.others.values() if weight.shape]
    for array in slots:
        place = next((n for n, one in enumerate(left) if one.shape == array.shape and np.array_equal(one, array)), None)
        if place is None:
            return False
        del left[place]
    return not left and found.step in (None, compiled["step"])
