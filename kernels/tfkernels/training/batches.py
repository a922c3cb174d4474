"""The batches that a Keras model or a training loop is given, one a step, and their names in a trace."""

import re
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.layer_names import named_children, take_name
from tfkernels.models.tensorflow_api import in_graph_mode, nest
from tfkernels.training.training_trace import count_of

_AUTOMATIC_INPUT = re.compile(r"(input(_layer)?|keras_tensor)(_\d+)?$")


class Batch(NamedTuple):
    x: Any
    y: Any = None
    sample_weight: Any = None

    @property
    def size(self) -> Optional[int]:
        arrays = nest().flatten(self.x)
        shape = getattr(arrays[0], "shape", None) if arrays else None
        return int(shape[0]) if shape is not None and len(shape) else None


def batches_of(x: Any, y: Any, sample_weight: Any, batch_size: Optional[int], steps: int) -> Iterator[Batch]:
    """One batch a step: all of the data each time, or ``batch_size`` rows after the other, from the start again.

    ``x`` alone can have the batches, as tuples ``(x, y)`` or ``(x, y, sample_weight)``: a list, generator or dataset.
    """
    steps = count_of("steps", steps)
    if in_graph_mode() and (hasattr(x, "make_one_shot_iterator") or hasattr(x, "get_next")):
        raise TraceError(
            "x is of tf.data, and this kernel builds graphs, where it has no values. Give arrays, or a generator of "
            "what session.run(iterator.get_next()) returns"
        )
    if _has_batches(x):
        given = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
        unfit = [name for name, value in given.items() if value is not None]
        if unfit:
            raise TraceError(
                f"{unfit[0]}= is for arrays, and x gives batches one after the other. They are tuples (x, y) or "
                "(x, y, sample_weight), of the size that you want"
            )
        yield from _given_batches(x, steps)
        return
    whole = Batch(x, y, sample_weight)
    if batch_size is None:
        for _ in range(steps):
            yield whole
        return
    batch_size, rows = count_of("batch_size", batch_size), whole.size
    if not rows:
        raise TraceError("batch_size= takes rows of arrays, and x has none. Give arrays of NumPy: x=np.array(...)")
    starts = range(0, rows, batch_size)
    for number in range(steps):
        start = starts[number % len(starts)]
        yield Batch(*(_rows(value, start, start + batch_size) for value in whole))


def inputs_named(model: Any, value: Any) -> Dict[str, Any]:
    """Inputs as a trace names them: ``input``, or of several ``input/NAME``."""
    names = getattr(model, "input_names", None)
    if names is None:
        names = [place.name for place in _flat(getattr(model, "inputs", None))]
    return _named(value, "input", renumbered_inputs(names))


def renumbered_inputs(names: List[str]) -> List[str]:
    """The names of a model's inputs. Automatic ones, which count on in a process, get the same numbers in all."""
    taken: Set[str] = {name for name in names if not _AUTOMATIC_INPUT.match(name)}
    return [take_name("input", taken, "_") if _AUTOMATIC_INPUT.match(name) else name for name in names]


def targets_named(model: Any, batch: Batch) -> Dict[str, Any]:
    """Targets and weights of samples, as a trace names them. Targets are named after the layers of the outputs."""
    ours = {child.name: name for name, child in named_children(model)} if model is not None else {}
    outputs = [ours.get(name, name) for name in getattr(model, "output_names", None) or ()]
    return {**_named(batch.y, "target", outputs), **_named(batch.sample_weight, "sample_weight", outputs)}


def _named(value: Any, part: str, names: List[str]) -> Dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        found = [(str(key), item) for key, item in value.items()]
    else:
        flat = _flat(value) if isinstance(value, (list, tuple)) and not _is_one_array(value) else [value]
        found = list(zip(names if len(names) == len(flat) else map(str, range(len(flat))), flat))
    arrays = [(name, _array(item)) for name, item in found if item is not None]
    return {part: arrays[0][1]} if len(arrays) == 1 else {f"{part}/{name}": array for name, array in arrays}


def _is_one_array(value: Any) -> bool:
    """Whether a list stands for one array: it has numbers, not arrays."""
    flat = nest().flatten(value)
    return bool(flat) and all(isinstance(item, (bool, int, float)) for item in flat)


def _flat(value: Any) -> List[Any]:
    return [] if value is None else list(nest().flatten(value))


def _array(value: Any) -> Any:
    """The array as it is now: a user, or a generator, may write other values into it later."""
    return value.numpy() if hasattr(value, "numpy") else np.array(value)


def _has_batches(x: Any) -> bool:
    if isinstance(x, list) and x and all(isinstance(item, tuple) for item in x):
        return True
    return hasattr(x, "__iter__") and not isinstance(x, (np.ndarray, dict, list, tuple)) and not hasattr(x, "shape")


def _given_batches(x: Iterable[Any], steps: int) -> Iterator[Batch]:
    number = 0
    for given in x:
        yield Batch(*given) if isinstance(given, tuple) else Batch(given)
        number += 1
        if number == steps:
            return
    raise TraceError(f"the data ended after {number} of {steps} steps. Trace fewer steps, or repeat the data")


def _rows(value: Any, start: int, stop: int) -> Any:
    if isinstance(value, list) and _is_one_array(value):
        value = np.asarray(value)
    return None if value is None else nest().map_structure(lambda array: array[start:stop], value)


def without_missing(batch: Batch) -> Tuple[Any, ...]:
    """The arguments of a step that a user wrote: those that were given."""
    return tuple(value for value in batch if value is not None)
