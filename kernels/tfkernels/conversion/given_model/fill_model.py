"""Weights of a checkpoint for a model that the user gives, and the state of its optimizer.

Runs in the target. The model is a Keras model, a ``tf.Module``, or a dict of variables by name; the names of the
checkpoint need not be its names.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.conversion.given_model import name_rules
from tfkernels.conversion.given_model.name_rules import NameRules
from tfkernels.conversion.graphs import graph_file, graph_optimizer
from tfkernels.conversion.graphs.optimizer_settings import differences, settings_of
from tfkernels.conversion.optimizer_slots import set_state
from tfkernels.conversion.record.optimizer_state import state_of
from tfkernels.errors import ConversionError, WeightsMismatch
from tfkernels.models.keras_package import is_layer
from tfkernels.models.layer_names import named_weights
from tfkernels.models.load_report import LoadReport
from tfkernels.models.weights import load_weights, weights
from tfkernels.saved_models.read import read
from tfkernels.saved_models.saved_file import SavedFile


class Filled(NamedTuple):
    """``optimizer`` is the state for the model's weights as a record has it, or ``None``; ``remarks`` say why."""

    report: LoadReport
    rules: str
    optimizer: Optional[Dict[str, Any]]
    remarks: Tuple[str, ...]


def fill(
    model: Any,
    path: str,
    rules: Optional[Mapping[str, Any]] = None,
    ema: bool = False,
    partial: bool = False,
) -> Filled:
    """Sets the weights of ``model``, and its optimizer, from the checkpoint, SavedModel or frozen graph ``path``.

    ``rules`` are those of ``name_rules``. With ``ema`` a weight gets its moving average.
    Raises ``WeightsMismatch``, with the report, if a weight of the model finds none; then nothing is set.
    """
    saved = read(path)
    given = name_rules.parse(rules or {})
    values = _values(saved, ema)
    report = _load(target_of(model), values, given, partial)
    optimizer, remarks = graph_optimizer.state(saved, report.matched, getattr(model, "optimizer", None))
    if optimizer is not None:
        variables, trained = trained_of(model)
        remarks += (*set_state(model.optimizer, optimizer, variables, trained), *_other_settings(model, path))
    return Filled(report, name_rules.toml(report, given), optimizer, remarks)


def optimizer_of(model: Any) -> Optional[Dict[str, Any]]:
    """The state of the model's optimizer, as a record has it; ``None`` if it has none."""
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        return None
    variables, trained = trained_of(model)
    return state_of(optimizer, variables, trained, lambda read: [np.asarray(one) for one in read])


def trained_of(model: Any) -> Tuple[Dict[str, Any], List[Any]]:
    """All variables by name, and those that its optimizer trains."""
    variables = named_weights(model) if is_layer(model) else variables_of(model)
    known = {id(variable) for variable in variables.values()}
    trained = model.trainable_weights if is_layer(model) else model.trainable_variables
    return variables, [variable for variable in trained if id(variable) in known]


def _other_settings(model: Any, path: str) -> Tuple[str, ...]:
    """What is different in the settings of the model's optimizer, if the old graph tells its own."""
    try:
        graph_def = graph_file.read(path).graph_def
    except ConversionError:  # a checkpoint without its graph
        return ()
    said = differences(settings_of(graph_def, graph_file.tensorflow().make_ndarray), model.optimizer.get_config())
    return (said,) if said else ()


def target_of(model: Any) -> Any:
    """What ``weights`` and ``load_weights`` take for the model."""
    return model if is_layer(model) or isinstance(model, Mapping) else variables_of(model)


def variables_of(module: Any) -> Dict[str, Any]:
    """The variables of a ``tf.Module`` by the way to them, as checkpoints of objects name them: ``encoder/w``."""
    if not hasattr(module, "_flatten"):
        raise ConversionError(
            f"Cannot use a {type(module).__name__} as model: --model gives a Keras model, a tf.Module, or a dict of "
            "variables by name."
        )
    found: Dict[str, Any] = {}
    seen: Dict[int, str] = {}
    for way, variable in module._flatten(predicate=_is_variable, with_path=True):  # noqa: SLF001
        if id(variable) not in seen:
            seen[id(variable)] = "/".join(str(part) for part in way)
            found[seen[id(variable)]] = variable
    return found


def _is_variable(one: Any) -> bool:
    """Optimizers of Keras 3 have ``assign``, too."""
    return hasattr(one, "assign") and hasattr(one, "shape")


def _values(saved: SavedFile, ema: bool) -> Dict[str, Any]:
    found = dict(saved.weights)
    if ema:
        if not saved.moving_averages:
            raise ConversionError(
                f"Cannot take moving averages: {saved.path} has none. Leave out --ema, or run: tfkernels inspect "
                f"{saved.path}"
            )
        found.update(saved.moving_averages)
    return {name: weight.read() for name, weight in found.items()}


def _load(target: Any, values: Mapping[str, Any], rules: NameRules, partial: bool) -> LoadReport:
    """The report has the checkpoint's names, also where rules have others."""
    source_of = name_rules.renamed(rules, values)
    name_of = {source: name for name, source in source_of.items()}
    arrays = {name: values[source] for name, source in source_of.items()}
    mapping = {one: name_of.get(source, source) for one, source in rules.weights.items()}
    if rules.keep:
        current = weights(target)
        for name in name_rules.kept(rules, current):
            arrays[f"{_KEPT}{name}"] = current[name]
            mapping[name] = f"{_KEPT}{name}"
    try:
        report = load_weights(target, arrays, mapping, partial)
    except WeightsMismatch as error:
        raise WeightsMismatch(_in_own_names(error.report, source_of)) from None
    return _in_own_names(report, source_of)


_KEPT = "keep: "


def _in_own_names(report: LoadReport, source_of: Mapping[str, str]) -> LoadReport:
    def pairs(given: Any) -> Tuple[Any, ...]:
        return tuple(
            one._replace(source=source_of.get(one.source, one.source))
            for one in given
            if not one.source.startswith(_KEPT)
        )

    missing = [
        one._replace(candidates=tuple(source_of.get(name, name) for name in one.candidates)) for one in report.missing
    ]
    unused = tuple(source_of.get(name, name) for name in report.unused if not name.startswith(_KEPT))
    return report._replace(
        matched=pairs(report.matched),
        held=pairs(report.held),
        mismatched=pairs(report.mismatched),
        missing=tuple(missing),
        unused=unused,
    )
