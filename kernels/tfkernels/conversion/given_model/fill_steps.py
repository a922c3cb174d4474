"""Steps of ``tfkernels convert --model``, as the command asks a process of the target for them.

A process has one model at a time. ``fill`` makes it and sets its weights, ``save`` writes it, ``run`` computes.
"""

import os
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from tfkernels.conversion.given_model import fill_model, name_rules
from tfkernels.conversion.given_model.model_function import model_of
from tfkernels.conversion.graphs.graph_file import tensorflow
from tfkernels.errors import ConversionError, WeightsMismatch
from tfkernels.models.keras_package import is_layer


class _Filled(NamedTuple):
    model: Any
    result: fill_model.Filled


_filled: List[_Filled] = []


def fill(
    path: str, function: str, rules: Optional[Mapping[str, Any]] = None, ema: bool = False, partial: bool = False
) -> Dict[str, Any]:
    """Makes the model of ``FILE.py:FUNCTION`` and sets its weights from a checkpoint, SavedModel or frozen graph.

    ``rules`` are the contents of the file of ``--map``. The answer has ``complete``, and the names that were found as
    rows and as ``rules``, the text of such a file. If it is not complete and not ``partial``, nothing is set.
    """
    model = model_of(function)
    try:
        result = fill_model.fill(model, path, rules, ema, partial)
    except WeightsMismatch as error:
        text = name_rules.toml(error.report, name_rules.parse(rules or {}))
        return {**_answer(error.report), "rules": text, "optimizer": None, "remarks": [], "inputs": _inputs(model)}
    _filled[:] = [_Filled(model, result)]
    state = result.optimizer
    return {
        **_answer(result.report),
        "rules": result.rules,
        "optimizer": state and {**{key: state[key] for key in ("class_name", "step")}, "weights": len(state["slots"])},
        "remarks": list(result.remarks),
        "inputs": _inputs(model),
    }


def save(output: str) -> Dict[str, Any]:
    """Writes the model: ``.weights.h5``, what Keras saves by its ending, else a SavedModel. Says how to load it."""
    model = made().model
    if is_layer(model):
        if output.endswith((".weights.h5", ".ckpt")):
            model.save_weights(output)
            return {"choices": [f"model = build(); model.load_weights({output!r})"]}
        if os.path.splitext(output)[1] in (".keras", ".h5", ".hdf5"):
            model.save(output)
            return {"choices": [f"model = keras.models.load_model({output!r})"]}
        (model.export if hasattr(model, "export") else model.save)(output)
        return {"choices": [f"model = tf.saved_model.load({output!r})"]}
    tf = tensorflow()
    variables = model if isinstance(model, Mapping) else None
    if variables is not None or output.endswith(".ckpt"):
        tf.train.Checkpoint(**(variables or {"model": model})).write(output)
        return {"choices": [f"tf.train.Checkpoint(model=model).read({output!r})"]}
    tf.saved_model.save(model, output)
    return {"choices": [f"model = tf.saved_model.load({output!r})"]}


def run(inputs: Mapping[str, Any]) -> Dict[str, Any]:
    """The outputs of the model by name, or as ``output``, ``output_1``, … ``inputs`` are in the model's order."""
    model = made().model
    arrays = list(inputs.values())
    given = arrays[0] if len(arrays) == 1 else arrays
    if is_layer(model):
        outputs = model.predict(given, verbose=0)
    else:
        tf = tensorflow()
        outputs = model(*(tf.constant(array) for array in arrays))
    if isinstance(outputs, Mapping):
        return {str(name): _array(value) for name, value in outputs.items()}
    several = outputs if isinstance(outputs, (list, tuple)) else [outputs]
    return {f"output_{number}" if number else "output": _array(value) for number, value in enumerate(several)}


def _array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else value


def _answer(report: Any) -> Dict[str, Any]:
    return {
        "complete": report.complete,
        "text": repr(report),
        "matched": [
            {"target": one.target, "source": one.source, "shape": list(one.shape), "how": one.how}
            for one in report.matched
        ],
        "missing": [one.target for one in report.missing],
    }


def _inputs(model: Any) -> List[Dict[str, Any]]:
    """The inputs of a Keras model that has declared them; of other models nothing is known."""
    places = (getattr(model, "inputs", None) or []) if is_layer(model) else []
    names = getattr(model, "input_names", None) or [place.name.split(":")[0] for place in places]
    return [
        {"name": name, "shape": list(place.shape), "dtype": getattr(place.dtype, "name", place.dtype)}
        for name, place in zip(names, places)
    ]


def made() -> _Filled:
    """The model that was filled, and how. Raises ``ConversionError`` if there is none."""
    if not _filled:
        raise ConversionError("No model has its weights in this process. Fill it first.")
    return _filled[0]
