"""The values of a trace, by name in the order of computation; and ``watch``, which adds to them."""

import contextlib
import sys
import threading
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Set

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.layer_names import take_name
from tfkernels.models.tensorflow_api import in_graph_mode, nest

COLLECTION = "tfkernels/watched"
"""A graph's collection of watched tensors, as texts ``tensor's name, space, watched name``: so it can be saved too."""

_local = threading.local()


class Recorder:
    """Collects one trace. With a ``graph`` it holds that graph's tensors until :meth:`values` evaluates them.

    Without one, arrays of names that it does not want are left out, and others become what ``kept`` makes of them.
    """

    def __init__(
        self,
        graph: Any = None,
        wants: Optional[Callable[[str], bool]] = None,
        kept: Optional[Callable[[Any], Any]] = None,
    ) -> None:
        self.graph = graph
        self._wants = wants or bool
        self._kept = kept or (lambda array: array)
        self._records: Dict[str, Any] = {}
        self._names: Set[str] = set()

    def takes(self, value: Any) -> bool:
        """Whether every tensor in ``value`` has a value, or will have one in a session on the graph."""
        accepted = []
        transform(value, lambda leaf: accepted.append(self._takes(leaf)))
        return bool(accepted) and all(accepted)

    def add(self, name: str, value: Any) -> str:
        """Keeps ``value``: a tensor, or lists, tuples and dicts of tensors. A name that is taken gets a number."""
        name = take_name(name, self._names)
        if self.graph is not None:
            self._records[name] = value
        elif self._wants(name):
            self._records[name] = transform(value, lambda leaf: self._kept(_array(leaf)))
        return name

    def values(self, evaluate: Optional[Callable[[List[Any]], List[Any]]] = None) -> Dict[str, Any]:
        """The trace. ``evaluate`` computes the values of a graph's tensors, all at once."""
        if evaluate is None:
            return self._records
        tensors: Dict[int, Any] = {}
        transform(self._records, lambda tensor: tensors.setdefault(id(tensor), tensor))
        arrays = dict(zip(tensors, evaluate(list(tensors.values()))))
        values: Dict[str, Any] = transform(self._records, lambda tensor: arrays[id(tensor)])
        return values

    def _takes(self, leaf: Any) -> bool:
        if self.graph is None:
            return isinstance(leaf, (np.ndarray, np.generic)) or hasattr(leaf, "numpy")
        return _is_symbolic(leaf) and leaf.graph is self.graph and self.graph.is_fetchable(leaf)


def active() -> Optional[Recorder]:
    """The recorder of the trace that runs in this thread."""
    return getattr(_local, "recorder", None)


@contextlib.contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    outer = active()
    _local.recorder = recorder
    try:
        yield
    finally:
        _local.recorder = outer


def watch(name: str, tensor: Any) -> Any:
    """Names a value for :func:`trace`, and returns it unchanged: ``hidden = watch("hidden", tf.nn.relu(x))``.

    In a graph the tensor is listed for ``trace(session, feed_dict)``. In eager mode its value is kept while a
    trace runs, and otherwise nothing happens. The second value of a name is called ``hidden:1``.

    Raises ``TraceError`` for what can have no value there, such as a tensor in a function that ``tf.data`` translates.
    """
    if not isinstance(name, str) or not name:
        raise TraceError(f'watch() needs a name and a tensor, watch("hidden", tensor); the name was {name!r}')
    recorder = active()
    graph = graph_of(tensor)
    if recorder is not None:
        value = tensor if graph is None else _readable(tensor)
        if not recorder.takes(value):
            raise _refusal(name, tensor, _WITHOUT_VALUE)
        recorder.add(name, value)
    elif hasattr(graph, "outer_graph"):
        pass  # a tf.function that TensorFlow translates now; during a trace it runs eagerly
    elif graph is not None or in_graph_mode():
        symbolic = _readable(tensor)
        if not _is_symbolic(symbolic):
            raise _refusal(name, tensor, _NO_TENSOR)
        graph.add_to_collection(COLLECTION, f"{symbolic.name} {name}")
    return tensor


def watched(graph: Any) -> Dict[str, Any]:
    """The tensors of a graph that were watched, by name, in that order."""
    taken: Set[str] = set()
    found = {}
    for entry in graph.get_collection(COLLECTION):
        tensor, name = entry.split(" ", 1)
        found[take_name(name, taken)] = graph.get_tensor_by_name(tensor)
    return found


def graph_of(value: Any) -> Any:
    """The graph of a symbolic tensor or variable; ``None`` for what has a value now."""
    return None if hasattr(value, "numpy") and not in_graph_mode() else getattr(value, "graph", None)


def transform(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """The same nesting in plain lists, tuples and dicts, with ``leaf`` applied to every tensor in it.

    Sparse and ragged tensors become lists of the tensors that they consist of.
    """
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    if isinstance(value, (list, tuple)):
        items = [transform(item, leaf) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        return {key: transform(item, leaf) for key, item in value.items()}
    if type(value).__name__ == "SparseTensor":
        return [leaf(part) for part in (value.indices, value.values, value.dense_shape)]
    if type(value).__name__ == "RaggedTensor":
        return [leaf(part) for part in nest().flatten(value, expand_composites=True)]
    return leaf(value)


def _array(value: Any) -> Any:
    return value.numpy() if hasattr(value, "numpy") else np.array(value)


def _readable(tensor: Any) -> Any:
    """For a variable in a graph, its value at the time when it is fetched."""
    return sys.modules["tensorflow"].convert_to_tensor(tensor) if hasattr(tensor, "initializer") else tensor


def _is_symbolic(value: Any) -> bool:
    return hasattr(value, "value_index") and graph_of(value) is not None


def _refusal(name: str, tensor: Any, reason: str) -> TraceError:
    return TraceError(f"watch({name!r}, …) got a {type(tensor).__name__}{reason}")


_NO_TENSOR = (
    ", which is no tensor of a graph. Watch a tensor or a variable: an output of the operation, or the values of the "
    "sparse tensor"
)
_WITHOUT_VALUE = (
    " that has no value here. Code in tf.data, in a compiled function (jit_compile), in a loop of a graph or in the "
    "building of a Keras model is translated, not run. Watch what comes out of it instead"
)
