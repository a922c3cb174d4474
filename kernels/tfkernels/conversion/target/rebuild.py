"""Rebuilds a recorded model with the Keras of this process: architecture, weights, and how it was compiled.

What the target cannot do exactly is refused with the layer's name, and never guessed.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from tfkernels.conversion.layer_rules.keras_release import KerasRelease, release_of
from tfkernels.conversion.layer_rules.report import Report
from tfkernels.conversion.optimizer_slots import set_state
from tfkernels.conversion.record.lambda_operations import without_lambdas
from tfkernels.conversion.target.build_model import Part, build
from tfkernels.conversion.target.rebuilt_compile import compile_settings
from tfkernels.conversion.target.rebuilt_optimizer import optimizer_for
from tfkernels.conversion.target.rebuilt_weights import set_weights, weight_names, with_time_first
from tfkernels.conversion.target.target_keras import TargetKeras, target_keras
from tfkernels.errors import ConversionError
from tfkernels.models.layer_names import named_weights


class Rebuilt(NamedTuple):
    """A rebuilt model, and what there is to say about it."""

    model: Any
    changes: List[str]
    """Settings that are written otherwise, each with the reason why the layer computes the same."""
    notes: List[str]
    """What did not come along, and what the user should know."""
    optimizer: Optional[Dict[str, Any]]
    """What became of the optimizer: its old ``name``; ``why_not``, if it is not the model's; ``manner``, if it is the
    same in another way; ``config``, its old settings; and ``state``, which it should have by the new model's names.
    """
    transposed: List[str]
    """Layers that give the batch first, and gave the time first."""


def rebuild(
    record: Mapping[str, Any], custom_objects: Optional[Mapping[str, Any]] = None, keras: Any = None,
    legacy: bool = True,
) -> Rebuilt:  # fmt: skip
    """The model of a record (``model_record``) with the Keras of this process, and its weights.

    ``custom_objects`` are the user's classes and functions by name; a Lambda finds its function by its own name or by
    the layer's. ``keras`` is the target if it is not ``tf.keras``. Without ``legacy`` the model gets one of Keras's
    ``legacy`` optimizers only if no other one computes the same. Raises ``ConversionError`` with the layer that the
    target cannot have exactly, and the reason.
    """
    target = target_keras(custom_objects, keras)
    if record.get("lambdas"):
        record = without_lambdas(record, target.custom_objects)
    source = release_of(record.get("written_by") or {})
    report = Report()
    inputs: List[Dict[str, Any]] = list(record.get("inputs") or ())
    shape = inputs[0].get("shape") if len(inputs) == 1 else None
    built = build(record["config"], source, target, report, shape)
    _freeze(built, record, report)
    set_weights(built, record["weights"])
    notes: List[str] = []
    optimizer = _compile(built, record, source, target, notes, legacy)
    return Rebuilt(built.layer, [str(change) for change in report.changes], notes, optimizer, with_time_first(built))


def _freeze(built: Part, record: Mapping[str, Any], report: Report) -> None:
    """Layers whose weights were all frozen. The configuration does not say it if a model around them was frozen."""
    if record.get("trainable_weights") is None:
        return
    trained = set(record["trainable_weights"])
    names = weight_names(built, record["weights"])
    variables = named_weights(built.layer)
    old_of = {id(variables[new]): old for new, old in names.items()}
    layers: List[Any] = []
    _leaves(built, layers)
    for layer in layers:
        own = [old_of.get(id(variable)) for variable in layer.trainable_weights]
        if own and not any(name in trained for name in own):
            layer.trainable = False
            report.of(layer.name, type(layer).__name__).changed("trainable=False", "the model around it was frozen")


def _leaves(part: Part, found: List[Any]) -> None:
    if not part.parts:
        found.append(part.layer)
    for one in part.parts:
        _leaves(one, found)


def _compile(
    built: Part, record: Mapping[str, Any], source: KerasRelease, target: TargetKeras, notes: List[str], legacy: bool
) -> Optional[Dict[str, Any]]:
    """Compiles the model as it was. Returns what became of the optimizer."""
    saved, model = record.get("optimizer"), built.layer
    compiled = compile_settings(record.get("compile") or {}, len(getattr(model, "outputs", None) or [0]), target)
    notes += compiled.notes
    if not saved:
        return None
    answer = {"name": str(saved["class_name"]).split(">")[-1], "config": dict(saved.get("config") or {})}
    if saved.get("why_not"):
        return {**answer, "why_not": str(saved["why_not"])}
    found = optimizer_for(saved, source, target, legacy)
    if found.optimizer is None:
        return {**answer, "why_not": found.why_not}
    try:
        model.compile(optimizer=found.optimizer, **compiled.settings)
    except Exception as error:  # noqa: BLE001 (Keras raises any kind)
        return {**answer, "why_not": f"the model cannot be compiled: {type(error).__name__}: {error}"}
    if "loss" not in compiled.settings:
        notes.append("The model has no loss. Give it one, and keep the optimizer: model.compile(model.optimizer, loss)")
    variables = named_weights(model)
    new_names = {old: new for new, old in weight_names(built, record["weights"]).items()}
    state = {**found.state, "slots": {new_names.get(old, old): own for old, own in found.state["slots"].items()}}
    if state["slots"] or state.get("step"):
        try:
            notes += set_state(model.optimizer, state, variables, list(model.trainable_weights))
        except ConversionError as error:
            notes.append(str(error))
    return {**answer, "why_not": "", "manner": found.manner, "state": state}
