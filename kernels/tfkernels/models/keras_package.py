"""The Keras that a model comes from. One process can have several, each with a session and a learning phase of its own.

They are ``tf.keras``, ``tf_keras``, ``tf.contrib.keras`` and the package ``keras``. State is asked of the model's own.
"""

import contextlib
import re
import sys
from typing import Any, Iterator, List, NamedTuple, Tuple

from tfkernels.errors import TraceError
from tfkernels.models.tensorflow_api import in_graph_mode, v1

_PACKAGES = {"keras", "tf_keras", "tensorflow", "tensorflow_core"}
_NETWORKS_CALL_LAYERS = {"keras": (2, 4), "tensorflow": (1, 14)}
"""The releases since which models use ``__call__`` of their layers. Older ones use ``call``, and a learning phase."""

_KERAS_3_IN_A_GRAPH = (
    "the model has no values here: TensorFlow builds a graph, and models of Keras 3 work eagerly only. Leave out "
    "tf.compat.v1.disable_v2_behavior() (then restart the kernel) or tf.Graph().as_default(), or name the tensors of "
    "interest with tfkernels.watch(name, tensor) and trace the session"
)


class Keras(NamedTuple):
    """The package of a model: its name, release and module ``backend``."""

    name: str
    version: Tuple[int, ...]
    backend: Any

    @property
    def calls_directly(self) -> bool:
        """Whether its models use the method ``call`` of their layers, and know no argument ``training`` for it."""
        return self.version < _NETWORKS_CALL_LAYERS.get(self.name, (0,))

    @property
    def builds_graphs(self) -> bool:
        """Whether its models compute in a graph now. The package ``keras`` up to 2.3 does so in TensorFlow 2, too."""
        return in_graph_mode() or (self.name == "keras" and self.calls_directly)

    def has_built(self, layer: Any) -> bool:
        """Whether its variables are there. Some old models say so themselves only when they are used."""
        return bool(layer.built or (self.calls_directly and layer.weights))

    def graph(self, variables: List[Any]) -> Any:
        """The graph of a model with these ``variables``. Raises ``TraceError`` if the model can have none."""
        if not in_graph_mode():
            return self.backend.symbolic(v1().get_default_graph)()
        if not hasattr(self.backend, "get_session"):
            raise TraceError(_KERAS_3_IN_A_GRAPH)
        if not all(hasattr(variable, "graph") for variable in variables):
            raise TraceError(
                "the model was built eagerly, and has no values in a graph. Leave tf.Graph().as_default() first"
            )
        return variables[0].graph if variables else v1().get_default_graph()

    @contextlib.contextmanager
    def session(self, variables: List[Any]) -> Iterator[Any]:
        """Keras's session on the graph of ``variables``, as default; it initialises those that nobody has set yet.

        That is the default session, if the user has made one (``with session.as_default():``), or Keras's own.
        ``None`` if the variables hold their values themselves.
        """
        if not in_graph_mode():
            yield None
            return
        graph = self.graph(variables)
        with graph.as_default():
            session = self.backend.get_session()
            if session.graph is not graph:
                raise TraceError(
                    "the default session and the model belong to two different graphs. Enter the model's session "
                    "first, with session.as_default():, or set it with keras.backend.set_session(session)"
                )
            yield session

    def values(self, variables: List[Any]) -> List[Any]:
        """The values that a model has in these ``variables``."""
        if hasattr(self.backend, "batch_get_value"):
            found: List[Any] = self.backend.batch_get_value(variables)
            return found
        return [variable.numpy() for variable in variables]

    @contextlib.contextmanager
    def learning_phase(self, training: bool) -> Iterator[List[Tuple[Any, int]]]:
        """What layers ask that no argument tells whether they train. Gives what a graph has to be fed for it."""
        asked = self.builds_graphs or (self.name.startswith("tensorflow") and self.version < (2, 3))
        phase = self.backend.learning_phase() if asked else training
        if not isinstance(phase, int):
            yield [(phase, int(training))]
            return
        if phase == training:
            yield []
            return
        self.backend.set_learning_phase(int(training))
        try:
            yield []
        finally:
            self.backend.set_learning_phase(phase)


def keras_of(layer: Any) -> Keras:
    """Raises ``TraceError`` if this Keras computes with another library than TensorFlow."""
    backend, name = _backend(layer)
    library = backend.backend()
    if library != "tensorflow":
        raise TraceError(
            f"Cannot read the model {layer.name}: it computes with {library}, not with TensorFlow. Restart the kernel, "
            "and run this before keras is imported: import os; os.environ['KERAS_BACKEND'] = 'tensorflow'"
        )
    version = getattr(sys.modules[name], "__version__", "")
    return Keras(name, tuple(int(number) for number in re.findall(r"\d+", version)[:2]), backend)


def layer_classes(value: Any) -> List[type]:
    """Keras's classes ``Layer`` that ``value`` is an instance of. ``tf.layers`` and graph mode add theirs to one."""
    return [kind for kind in type(value).__mro__ if kind.__name__ == "Layer" and is_of_keras(kind)]


def is_layer(value: Any) -> bool:
    """A layer or a model. The layers of ``tf.layers`` are Keras's since TensorFlow 1.9."""
    return _backend(value) is not None


def is_of_keras(kind: type) -> bool:
    return kind.__module__.split(".")[0] in _PACKAGES


def _backend(layer: Any) -> Any:
    """The module ``backend`` beside or above those of the layer's classes, and the name of the whole package."""
    for kind in layer_classes(layer):
        parts = kind.__module__.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = sys.modules.get(".".join([*parts[:length], "backend"]))
            if module is not None:
                return module, parts[0]
    return None
