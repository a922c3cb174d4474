"""Outputs of another model's layers in place of those that a model computes, so that each layer shows its own error."""

import sys
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.tensorflow_api import nest, v1

_ATTRIBUTES = ("_keras_mask", "_keras_shape", "_keras_history", "_uses_learning_phase")
"""What Keras writes on a tensor for the layers that get it."""


class OtherOutputs:
    """Gets what each layer computed, and gives what the layers behind it compute with.

    ``fed`` are the placeholders of a graph with their values.
    """

    def __init__(self, trace: Mapping[str, Any], in_graph: bool) -> None:
        self.fed: List[Tuple[Any, Any]] = []
        self._trace = _outputs(trace)
        self._in_graph = in_graph
        self._used = False

    def __call__(self, name: str, outputs: Any) -> Any:
        """``outputs`` as they are, if the other model has no layer of that name, or one with another shape."""
        if name not in self._trace:
            return outputs
        ours, theirs = nest().flatten(outputs), nest().flatten(self._trace[name])
        if len(ours) != len(theirs) or not all(_fits(one, array) for one, array in zip(ours, theirs)):
            return outputs
        self._used = True
        return nest().pack_sequence_as(outputs, [self._replaced(one, array) for one, array in zip(ours, theirs)])

    def of_tensors(self, tensors: Mapping[str, Any]) -> Dict[str, Any]:
        """The other trace's values of a graph's tensors, by name, as far as it has them in their shapes."""
        known = {name: self._trace.get(name) for name in tensors}
        found = {
            name: _array(value, tensors[name])
            for name, value in known.items()
            if value is not None and not isinstance(value, (list, tuple, dict)) and _fits(tensors[name], value)
        }
        self._used = self._used or bool(found)
        return found

    def check(self) -> None:
        """Raises ``TraceError`` if nothing of the other trace was used."""
        if not self._used:
            names = ", ".join(list(self._trace)[:5])
            raise TraceError(
                f"inputs_from: no layer or watched tensor has a name and a shape of the other trace, which has {names}."
                " Trace both sides with the same input, and give equal layers equal names"
            )

    def _replaced(self, tensor: Any, array: Any) -> Any:
        value = _array(array, tensor)
        if self._in_graph:
            new = v1().placeholder(tensor.dtype, tensor.get_shape())
            self.fed.append((new, value))
        else:
            new = sys.modules["tensorflow"].convert_to_tensor(value)
        for name in _ATTRIBUTES:
            if hasattr(tensor, name):
                setattr(new, name, getattr(tensor, name))
        return new


def _array(value: Any, tensor: Any) -> Any:
    """The array in the dtype of ``tensor``."""
    dtype = sys.modules["tensorflow"].as_dtype(tensor.dtype).as_numpy_dtype
    return np.asarray(value).astype(dtype, copy=False)


def _fits(tensor: Any, array: Any) -> bool:
    shape = getattr(tensor, "shape", None)
    sizes = None if shape is None else sys.modules["tensorflow"].TensorShape(shape)
    return sizes is not None and bool(sizes.is_compatible_with(np.shape(array)))


def _outputs(trace: Any) -> Dict[str, Any]:
    """The outputs in a trace of a model, or in the first step of a training trace."""
    if not isinstance(trace, Mapping):
        raise TraceError(f"inputs_from= is a trace of the other model, got {type(trace).__name__}")
    outputs = trace["steps"][0]["output"] if "training_trace" in trace else trace
    reduced = [name for name, value in outputs.items() if isinstance(value, Mapping) and "statistics" in value]
    if reduced:
        raise TraceError(
            f"inputs_from: the other trace has only statistics of {reduced[0]}, which is too large. Make that trace "
            "with largest=None"
        )
    return dict(outputs)
