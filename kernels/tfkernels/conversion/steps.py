"""Steps of a conversion, as the command ``tfkernels convert`` asks a process of one release for them. Python 3.6+.

One process loads the old file, another one rebuilds and saves the model, a third one opens the new file. A process has
one model at a time. Nothing but :func:`answer` is called from outside. The steps of graphs are in ``graphs.steps``, and
those of a model of the user's in ``fill_steps``.
"""

import importlib
import sys
import time
import traceback
from typing import Any, Dict, List, Optional

from tfkernels.errors import ConversionError, TFKernelsError
from tfkernels.imports import own_imports
from tfkernels.models.trace import trace

WEIGHTS_ONLY = (".weights.h5", ".ckpt")
"""How the name of a file ends that gets the weights alone."""

_model: List[Any] = []


def answer(step: str, arguments: Dict[str, Any]) -> Dict[str, Any]:
    """The result of a step, or why it failed: ``{"result": …}`` or ``{"failed": {…}}``; and its seconds."""
    began = time.time()
    try:
        answered: Dict[str, Any] = {"result": _function(step)(**arguments)}
    except Exception as error:  # noqa: BLE001 (anything can go wrong in code of Keras; the command explains it)
        answered = {"failed": _failure(error)}
    answered["seconds"] = time.time() - began
    return answered


def _function(step: str) -> Any:
    """``graphs.run_graph`` and ``fill.fill`` are functions of the other modules of steps."""
    place, _, name = step.rpartition(".")
    if not place:
        return _STEPS[step]
    return getattr(_module(_MODULES[place]), name)


def _module(name: str) -> Any:
    """Imported when it is needed: a process takes few steps."""
    with own_imports():
        return importlib.import_module(f"tfkernels.conversion.{name}")


_MODULES = {"graphs": "graphs.steps", "fill": "given_model.fill_steps"}


def _failure(error: Exception) -> Dict[str, Any]:
    known = isinstance(error, TFKernelsError)
    return {
        "kind": type(error).__name__,
        "message": str(error),
        "known": known,
        "layer": getattr(error, "layer", "") or "",
        "advice": getattr(error, "advice", "") or "",
        "traceback": "" if known else traceback.format_exc(),
    }


def _load(path: str, model: Optional[str], custom_objects: Optional[str], trust: bool) -> Dict[str, Any]:
    _forget()
    loaded = _module("load_old").load(path, model, custom_objects, trust)
    _model[:] = [loaded.model]
    return {"record": loaded.record, "notes": loaded.notes}


def _rebuild(record: Dict[str, Any], path: str, custom_objects: Optional[str]) -> Dict[str, Any]:
    """Makes the model of a record, which is to be saved as ``path``. Its arrays are not needed afterwards."""
    _forget()
    objects = _module("users_code").custom_objects_in(custom_objects)
    rebuilt = _module("target.rebuild").rebuild(record, objects, legacy=not path.endswith(".keras"))
    _model[:] = [rebuilt.model]
    return {
        "changes": list(rebuilt.changes),
        "notes": list(rebuilt.notes),
        "optimizer": _hashed(rebuilt.optimizer),
        "transposed": rebuilt.transposed,
    }


def _save(path: str) -> Dict[str, Any]:
    """Saves the rebuilt model as ``path``, or its weights."""
    model = _model[0]
    with _module("target.keras_files").through_disk():
        if path.endswith(WEIGHTS_ONLY):
            model.save_weights(path)
        else:
            model.save(path)
    return {"notes": _module("target.state_beside").save(model, path)}


def _open(path: str, record: Dict[str, Any], custom_objects: Optional[str]) -> Dict[str, Any]:
    """Opens the new file as its user will. Weights alone are loaded into a model that is rebuilt for it."""
    _forget()
    objects = _module("users_code").custom_objects_in(custom_objects)
    keras = _module("load_old").keras_here()
    if path.endswith(WEIGHTS_ONLY):
        initial = {**record, "weights": {name: array * 0 for name, array in record["weights"].items()}}
        rebuilt = _module("target.rebuild").rebuild(initial, objects)
        model = rebuilt.model
        _begin_anew(model, (rebuilt.optimizer or {}).get("state"))
        model.load_weights(path)
    else:
        with _module("load_old").custom_scope(keras, objects), _module("target.keras_files").through_disk():
            model = keras.models.load_model(path)
        _module("target.state_beside").load(model, path)
    _model[:] = [model]
    return {"optimizer": _optimizer(model)}


def _begin_anew(model: Any, state: Optional[Dict[str, Any]]) -> None:
    """Zeros for the state of its optimizer, so that only the file can bring it."""
    if state:
        with own_imports():
            from tfkernels.conversion.optimizer_slots import set_state
            from tfkernels.models.layer_names import named_weights

        slots = {name: {slot: array * 0 for slot, array in own.items()} for name, own in state["slots"].items()}
        set_state(model.optimizer, {"slots": slots, "step": 0}, named_weights(model), list(model.trainable_weights))


def _optimizer(model: Any) -> Optional[Dict[str, Any]]:
    """The state of its optimizer, as a record has it, with hashes."""
    with own_imports():
        from tfkernels.conversion.record.optimizer_state import optimizer_state
        from tfkernels.models.keras_package import keras_of
        from tfkernels.models.layer_names import named_weights

    state = optimizer_state(model, keras_of(model), named_weights(model))
    return state and dict(_module("optimizer_slots").hashed(state))


def _hashed(brought: Optional[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    state = (brought or {}).get("state")
    return {**(brought or {}), "state": _module("optimizer_slots").hashed(state)} if state else brought


def _run(inputs: Dict[str, Any]) -> Dict[str, Any]:
    """The outputs of all layers, and last the model's own."""
    if not _model:
        raise ConversionError("No model is loaded in this process. Load it first.")
    arrays = list(inputs.values())
    return trace(_model[0], arrays[0] if len(arrays) == 1 else arrays)


def _forget() -> None:
    """Frees the model before, if the process is used for several files."""
    if _model:
        del _model[:]
        tensorflow = sys.modules["tensorflow"]
        tensorflow.keras.backend.clear_session()


_STEPS: Dict[str, Any] = {
    "load": _load,
    "rebuild": _rebuild,
    "save": _save,
    "open": _open,
    "run": _run,
}
