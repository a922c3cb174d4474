"""Steps of ``tfkernels convert --model``, as the command asks a process of the target for them.

A process has one model at a time. ``fill`` makes it and sets its weights, ``save`` writes it. In another process
``open_saved`` opens what was written, ``run`` computes with it, and ``weights_of_both`` are to be compared.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from tfkernels.conversion.given_model import fill_model, name_rules
from tfkernels.conversion.given_model.given_files import opened, saved
from tfkernels.conversion.graphs.graph_file import tensorflow
from tfkernels.conversion.optimizer_slots import hashed
from tfkernels.conversion.record.plain_values import plain
from tfkernels.conversion.users_code import model_of
from tfkernels.errors import ConversionError, WeightsMismatch
from tfkernels.models.keras_package import is_layer
from tfkernels.models.weights import weights
from tfkernels.saved_models.read import read


class _Made(NamedTuple):
    """``variables`` are what holds its weights: the model itself, or variables by name."""

    model: Any
    variables: Any


_made: List[_Made] = []


def fill(
    path: str, function: str, rules: Optional[Mapping[str, Any]] = None, ema: bool = False, partial: bool = False
) -> Dict[str, Any]:
    """Makes the model of ``FILE.py:FUNCTION`` and sets its weights from a checkpoint, SavedModel or frozen graph.

    ``rules`` are the contents of the file of ``--map``. The answer has ``complete``, and the names that were found as
    rows and as ``rules``, the text of such a file. If it is not complete and not ``partial``, nothing is set.
    """
    model, _ = model_of(function)
    try:
        result = fill_model.fill(model, path, rules, ema, partial)
    except WeightsMismatch as error:
        text = name_rules.toml(error.report, name_rules.parse(rules or {}))
        return {**_answer(error.report), "rules": text, "optimizer": None, "remarks": [], "inputs": _inputs(model)}
    _made[:] = [_Made(model, fill_model.target_of(model))]
    state = result.optimizer
    return {
        **_answer(result.report),
        "rules": result.rules,
        "optimizer": state
        and {
            "name": state["class_name"],
            "config": plain(model.optimizer.get_config()),
            "why_not": "",
            "manner": "",
            "state": hashed(state),
        },
        "remarks": list(result.remarks),
        "inputs": _inputs(model),
    }


def save(output: str) -> Dict[str, Any]:
    """Writes the model. Says how to load it."""
    return {"choices": [saved(made().model, output)]}


def open_saved(output: str, function: str) -> Dict[str, Any]:
    """Opens what ``save`` wrote, as a user does who has the function. Answers the state of its optimizer."""
    _made[:] = [_Made(*opened(*model_of(function), output))]
    state = fill_model.optimizer_of(made().model)
    return {"optimizer": state and {**hashed(state), "config": {}}}


def weights_of_both(path: str, pairs: Sequence[Sequence[str]], ema: bool = False) -> Dict[str, Any]:
    """The weights of the open model, and those of the old file, both by the model's names.

    ``pairs`` are names of the model with those of the file.
    """
    file = read(path)
    found = {**file.weights, **(file.moving_averages if ema else {})}
    new = weights(made().variables)
    known = [(target, source) for target, source in pairs if source in found]
    return {
        "old": {target: found[source].read() for target, source in known},
        "new": {target: new[target] for target, _ in known},
    }


def run(inputs: Mapping[str, Any]) -> Dict[str, Any]:
    """The outputs of the model by name, or as ``output``, ``output_1``, … ``inputs`` are in the model's order."""
    model = made().model
    arrays = list(inputs.values())
    if is_layer(model):
        outputs = model.predict(arrays[0] if len(arrays) == 1 else arrays, verbose=0)
    else:
        outputs = model(*map(tensorflow().constant, arrays))
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


def made() -> _Made:
    """The model that was filled or opened. Raises ``ConversionError`` if there is none."""
    if not _made:
        raise ConversionError("No model has its weights in this process. Fill it first.")
    return _made[0]
