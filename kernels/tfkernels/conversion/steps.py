"""Steps of a conversion, as the command ``tfkernels convert`` asks a process of one release for them. Python 3.6+.

One process loads the old file, another one rebuilds and saves the model, a third one opens the new file. A process has
one model at a time. Nothing but :func:`answer` is called from outside.
"""

import time
import traceback
from typing import Any, Dict, List

from tfkernels.errors import TFKernelsError
from tfkernels.models.trace import trace
from tfkernels.models.weights import load_weights, weights

_model: List[Any] = []


def answer(step: str, arguments: Dict[str, Any]) -> Dict[str, Any]:
    """The result of a step, or why it failed: ``{"result": …}`` or ``{"failed": {…}}``; and its seconds."""
    began = time.time()
    try:
        answered: Dict[str, Any] = {"result": _STEPS[step](**arguments)}
    except Exception as error:  # noqa: BLE001 (anything can go wrong in code of Keras; the command explains it)
        answered = {"failed": _failure(error)}
    answered["seconds"] = time.time() - began
    return answered


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


def _load(path: str, **_: Any) -> Dict[str, Any]:
    from tensorflow import keras

    _model[:] = [keras.models.load_model(path, compile=False)]
    return {}


def _record() -> Dict[str, Any]:
    """Stands in for ``model_record.record``: a Sequential of plain layers."""
    model = _model[0]
    inputs = [{"name": place.name, "shape": place.shape.as_list(), "dtype": "float32"} for place in model.inputs]
    layers = [{"class_name": type(layer).__name__, "config": layer.get_config()} for layer in model.layers]
    return {"config": {"class_name": "Sequential", "config": layers}, "weights": weights(model), "inputs": inputs}


def _rebuild(record: Dict[str, Any], path: str, **_: Any) -> Dict[str, Any]:
    """Stands in for ``rebuild``."""
    from tensorflow import keras

    known = ("name", "units", "activation", "rate", "epsilon", "momentum")
    model = keras.Sequential([keras.Input(record["inputs"][0]["shape"][1:])])
    for layer in record["config"]["config"]:
        settings = {name: value for name, value in layer["config"].items() if name in known}
        model.add(getattr(keras.layers, layer["class_name"])(**settings))
    load_weights(model, record["weights"])
    model.save(path)
    return {"optimizer": "", "changes": []}


def _open(path: str, **_: Any) -> Dict[str, Any]:
    from tensorflow import keras

    _model[:] = [keras.models.load_model(path)]
    return {}


def _run(inputs: Dict[str, Any]) -> Dict[str, Any]:
    arrays = list(inputs.values())
    return trace(_model[0], arrays[0] if len(arrays) == 1 else arrays)


_STEPS: Dict[str, Any] = {"load": _load, "record": _record, "rebuild": _rebuild, "open": _open, "run": _run}
