"""Losses of Keras models in a graph that belong to the model's first call: they are computed from its own inputs.

Such are tensors of ``model.add_loss`` in old releases, and of activity regularizers in TensorFlow 1.4. Another call of
the model does not make them again, so the inputs of the first one get the same values.
"""

import contextlib
from typing import Any, ContextManager, Dict, Iterable, List

from tfkernels.errors import TraceError
from tfkernels.models.layer_names import walk
from tfkernels.models.replaced_attributes import replaced
from tfkernels.models.tensorflow_api import nest
from tfkernels.training.graph.operations import closure
from tfkernels.training.graph.random_numbers import draws_numbers


def _inputs(model: Any) -> List[Any]:
    return list(nest().flatten(getattr(model, "inputs", None) or []))


def regularizers_left_out(model: Any) -> ContextManager[Any]:
    """Another call of the model adds no losses of activities meanwhile, if those of the first call count for it.

    The Keras of 1.4 would add those of the layers' inputs, in place of their outputs.
    """
    own = {tensor.op for tensor in _inputs(model)}
    if not own:
        return contextlib.ExitStack()
    kept = [
        layer
        for _, layer in walk(model)
        for loss in (getattr(layer, "_per_input_losses", None) or {}).get(None, ())
        if getattr(layer, "_activity_regularizer", None) is not None and own & set(closure([loss.op]))
    ]
    return replaced((layer, "_activity_regularizer", None) for layer in dict.fromkeys(kept))


def add_own_losses(model: Any, around: Any) -> None:
    """Adds the losses that a user added to ``model`` to ``around``, whose layer it is. Some releases do not."""
    listed = {id(loss) for loss in around.losses}
    for loss in getattr(model, "_losses", None) or ():  # without those of layers
        if getattr(loss, "_unconditional_loss", False) and id(loss) not in listed:
            around.add_loss(loss)


def first_call_feed(model: Any, losses: Iterable[Any], x: List[Any], phase: Any) -> Dict[Any, Any]:
    """What the first call of ``model`` has to be fed so that it computes these of the ``losses`` that belong to it.

    ``phase`` is the placeholder that says whether the model trains, or a number. Raises ``TraceError`` if such a loss
    depends on random numbers, which the other call draws anew.
    """
    places = _inputs(model)
    fed: Dict[Any, Any] = {}
    for loss in losses:
        operations = closure([loss.op])
        used = [(place, value) for place, value in zip(places, x) if place.op in operations]
        if used and any(draws_numbers(one) for one in operations):
            raise TraceError(
                f"the model {model.name} has a loss that belongs to its first call, of model.add_loss(tensor) or, in "
                "TensorFlow 1.4, of an activity regularizer, and that depends on a dropout. Trace the session that "
                "trains it: trace_training(session=..., train_op=..., feeds=...)"
            )
        fed.update(used)
        if used and getattr(phase, "op", None) in operations:
            fed[phase] = True
    return fed
