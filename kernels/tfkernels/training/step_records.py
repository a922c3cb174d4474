"""The steps of a training, one after the other, as a trace: what all ways to write a step have in common."""

import contextlib
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.recorder import transform
from tfkernels.training.batches import Batch
from tfkernels.training.random_draws import HandedOver
from tfkernels.training.trained_state import StateParts, TrainedState
from tfkernels.training.training_trace import PARTS, Keeping, is_training_trace, mark_of, new_trace, whole

NO_GRADIENT = (
    "the step computed no gradient of the weights that can be seen: a trace sees tf.GradientTape and the model's "
    "optimizer in this thread. Give variables= that the step trains, and train without a strategy"
)

Run = Callable[[Batch, Optional[HandedOver]], Dict[str, Dict[str, Any]]]
"""Runs one step. Returns inputs, random numbers, outputs, losses and gradients; the outputs as they are kept."""


def recorded_steps(
    run: Run,
    batches: Iterable[Batch],
    state: TrainedState,
    about: Mapping[str, Any],
    keeping: Keeping,
    masks: Optional[Mapping[str, Any]] = None,
    weights_from: Optional[Mapping[str, Any]] = None,
    keep: bool = False,
) -> Dict[str, Any]:
    for name, given in (("masks", masks), ("weights_from", weights_from)):
        if given is not None and not is_training_trace(given):
            raise TraceError(f"{name}= is a training trace of the other side, got {type(given).__name__}")
    steps: List[Dict[str, Any]] = []
    weights: Dict[str, Any] = {}
    size = None
    with contextlib.ExitStack() as stack:
        stack.callback(state.now())
        parts = StateParts(keeping)
        before = None
        for number, batch in enumerate(batches):
            if weights_from is not None:
                state.set_from(weights_from, number)
            if before is None or weights_from is not None:
                before = state.read()
            if number == 0:
                weights, size = parts.weights(before), batch.size
            handed = None if masks is None else HandedOver(whole(masks, "random", number, "masks"))
            found = run(batch, handed)
            record: Dict[str, Any] = {
                part: arrays if part == "output" else _kept(part, arrays, keeping) for part, arrays in found.items()
            }
            record.update(parts.before(before), learning_rate=before.learning_rate, iteration=before.iteration)
            after = state.read()
            record.update(parts.after(before, after))
            steps.append({key: record[key] for key in (*PARTS, "learning_rate", "iteration") if key in record})
            before = after
            keeping.check()
        if keep:
            stack.pop_all()  # so that only an error puts the values back
    return new_trace({**about, "batch_size": size, "weights_from": mark_of(weights_from)}, weights, steps, keeping)


def _kept(part: str, arrays: Mapping[str, Any], keeping: Keeping) -> Dict[str, Any]:
    always = part == "loss"
    return {
        name: array if always else transform(array, keeping.reduced)
        for name, array in arrays.items()
        if keeping.wants(part, name, always)
    }


def dense(gradient: Any, shape: Sequence[int]) -> Any:
    """The array of a gradient; a sparse one, as of an embedding, becomes the gradient of the whole weight."""
    if not (hasattr(gradient, "indices") and hasattr(gradient, "values")):
        return array_of(gradient)
    rows = array_of(gradient.values)
    found = np.zeros(shape, rows.dtype)
    np.add.at(found, array_of(gradient.indices), rows)
    return found


def gradients_of(
    before: Mapping[str, Any], used: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]
) -> Dict[str, Dict[str, Any]]:
    """Gradients as the optimizer used them and, if these are others, as they were before."""
    raw = {name: dense(gradient, shapes[name]) for name, gradient in before.items()}
    final = {name: raw[name] if gradient is before.get(name) else dense(gradient, shapes[name])
             for name, gradient in used.items()}  # fmt: skip
    order = [name for name in shapes if name in final or name in raw]
    clipped = any(array is not final[name] and not np.array_equal(array, final[name])
                  for name, array in raw.items() if name in final)  # fmt: skip
    found = {"gradient": {name: final[name] if name in final else raw[name] for name in order}}
    if clipped:
        found = {"unclipped_gradient": {name: raw[name] for name in order if name in raw}, **found}
    return found


def array_of(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)
