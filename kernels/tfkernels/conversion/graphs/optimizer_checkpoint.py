"""The optimizer that trained a graph, as a checkpoint in the new SavedModel: Keras's of the same algorithm.

It is in the folder ``assets.extra``, which TensorFlow leaves alone, so that it moves with the SavedModel.
"""

import importlib
import os
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

import numpy as np

from tfkernels.conversion.graphs import graph_file, restored_values
from tfkernels.conversion.graphs.graph_file import GraphFile, tensorflow
from tfkernels.conversion.graphs.graph_optimizer import KERAS_CLASSES, state
from tfkernels.conversion.graphs.optimizer_settings import settings_of
from tfkernels.conversion.optimizer_slots import hashed, make_slots, set_state
from tfkernels.conversion.record.optimizer_state import state_of
from tfkernels.errors import ConversionError
from tfkernels.imports import own_imports
from tfkernels.models.match import Match
from tfkernels.saved_models.read import read
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer

_FOLDER = ("assets.extra", "optimizer")

_SETTINGS = {
    "Adam": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    "Adamax": ("learning_rate", "beta_1", "beta_2", "epsilon"),
    "SGD": ("learning_rate", "momentum", "nesterov"),
    "RMSprop": ("learning_rate", "rho", "momentum", "epsilon", "centered"),
    "Adagrad": ("learning_rate", "epsilon"),
    "Adadelta": ("learning_rate", "rho", "epsilon"),
}
"""What must be known of each, so that nothing is guessed. Ftrl is not there: Keras's has more settings."""


class Kept(NamedTuple):
    """What became of the optimizer, as ``Rebuilt.optimizer`` says it, what there is to say, and how to load it."""

    brought: Dict[str, Any]
    remarks: Tuple[str, ...] = ()
    choices: Tuple[str, ...] = ()


def save(file: GraphFile, variables: Mapping[str, Any], trained: List[Any], output: str) -> Kept:
    """Writes the optimizer of ``file`` for ``variables``, by the graph's names, into the SavedModel ``output``.

    ``trained`` are the variables in the order of the SavedModel's. ``brought`` is empty if the file has no optimizer.
    """
    saved = read(file.checkpoint) if file.checkpoint is not None else None
    found = saved.optimizer if saved is not None else None
    if saved is None or found is None or not found.slots:
        return Kept({})
    name = found.class_name or "optimizer"
    if not trained:
        return Kept(_behind(name, "TensorFlow 2 cannot train this graph"))
    settings = _settings(file, found)
    if isinstance(settings, str):
        return Kept(_behind(name, settings))
    kind = KERAS_CLASSES.get(name, name)
    optimizer = _made(kind, settings)
    own, remarks = state(saved, _pairs(file, saved, variables), optimizer)
    if own is None:
        return Kept(_behind(name, "; ".join(remarks).rpartition(": ")[2]))
    try:
        remarks += set_state(optimizer, own, variables, trained)
    except ConversionError as error:
        return Kept(_behind(name, str(error)))
    tensorflow().train.Checkpoint(optimizer=optimizer).write(os.path.join(output, *_FOLDER))
    brought = {"name": kind, "config": settings, "why_not": "", "manner": "", "state": hashed(own)}
    return Kept(brought, remarks, (_code(kind, settings, optimizer, output),))


def opened(kind: str, settings: Mapping[str, Any], output: str) -> Dict[str, Any]:
    """The state of the optimizer that ``save`` wrote, read as a user reads it."""
    tf = tensorflow()
    loaded = tf.saved_model.load(output)
    trained = list(loaded.trainable_variables)
    optimizer = _made(kind, settings)
    make_slots(optimizer, trained)
    tf.train.Checkpoint(optimizer=optimizer).read(os.path.join(output, *_FOLDER)).assert_existing_objects_matched()
    names = {one.name.split(":")[0]: one for one in trained}
    found = state_of(optimizer, names, trained, lambda read: [one.numpy() for one in read])
    return {**hashed(found), "config": {}}


def _behind(name: str, why: str) -> Dict[str, Any]:
    advice = "To continue with an optimizer of yours, add --model FILE.py:FUNCTION with a model that has it"
    return {"name": name, "why_not": f"{why}. {advice}"}


def _settings(file: GraphFile, found: SavedOptimizer) -> Any:
    """All settings, or why not: constants of the graph that trained, and what the file itself has."""
    kind = KERAS_CLASSES.get(found.class_name or "", found.class_name or "")
    if kind not in _SETTINGS:
        return "Keras has none that computes the same"
    known = {**_of_graphs(file), **found.config}
    if known.get("decay"):
        return "its learning rate decays, which the graph computes"
    if known.get("nesterov") and "nesterov" not in _SETTINGS[kind]:
        return f"it is {kind} with Nesterov's momentum, and Keras has none that computes the same"
    lost = [name for name in _SETTINGS[kind] if not isinstance(known.get(name), (int, float))]
    if lost:
        return f"the graph does not tell its {' and '.join(lost)}"
    flags = ("nesterov", "centered")
    return {name: bool(known[name]) if name in flags else _short(known[name]) for name in _SETTINGS[kind]}


def _short(value: float) -> float:
    """0.01 for 0.009999999776: both are the same as a ``float32``."""
    return float(str(np.float32(value)))


def _of_graphs(file: GraphFile) -> Dict[str, Any]:
    """Of a SavedModel with several graphs, only one may train."""
    make_ndarray = tensorflow().make_ndarray
    found = settings_of(file.graph_def, make_ndarray)
    for tags in file.all_tags if not found else ():
        found = found or settings_of(graph_file.read(file.path, tags).graph_def, make_ndarray)
    return found


def _pairs(file: GraphFile, saved: SavedFile, variables: Mapping[str, Any]) -> List[Match]:
    """The variables with their names in ``saved``. Parts of a variable have none: their slots are divided, too."""
    names = {weight.source: name for name, weight in saved.weights.items()}
    keys = {**{name: restored_values.Key(name) for name in variables}, **restored_values.restore_keys(file.nodes)}
    found = [(name, names.get(keys[name].name)) for name in variables]
    return [Match(name, source, "name", tuple(variables[name].shape)) for name, source in found if source]


def _made(kind: str, settings: Mapping[str, Any]) -> Any:
    with own_imports():
        optimizers = importlib.import_module("tensorflow").keras.optimizers
    return getattr(optimizers, kind)(**settings)


def _code(kind: str, settings: Mapping[str, Any], optimizer: Any, output: str) -> str:
    given = ", ".join(f"{name}={value!r}" for name, value in settings.items())
    built = "optimizer.build(model.trainable_variables); " if hasattr(optimizer, "build") else ""
    path = os.path.join(output, *_FOLDER)
    return (
        f"optimizer = tf.keras.optimizers.{kind}({given}); {built}"
        f"tf.train.Checkpoint(optimizer=optimizer).read({path!r})"
    )
