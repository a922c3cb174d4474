"""The weights of a Keras model, a session or a dict of variables, by name: read and set."""

import contextlib
import sys
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

from tfkernels.errors import WeightsError, WeightsMismatch
from tfkernels.models.keras_package import Keras, is_layer, keras_of
from tfkernels.models.layer_names import named_weights
from tfkernels.models.load_report import LoadReport, examine
from tfkernels.models.sessions import initialised, is_session
from tfkernels.models.tensorflow_api import in_graph_mode, v1

_COMPARED_AT_ONCE = 2**20


def weights(target: Any) -> Dict[str, Any]:
    """The weights of a model as a dict of NumPy arrays by name, in the model's order.

    Those of a Keras model are named after its layers as in :func:`trace`: ``inner/conv1/kernel``,
    ``lstm/recurrent_kernel``. Those of a session have the names of its graph's variables without ``:0``. Variables of
    optimizers, untrained scalars (``global_step``) and moving averages of variables are no weights. A dict of
    variables keeps its names.

    In graph mode the values are those of Keras's session, which initialises what nobody has initialised. Raises
    ``WeightsError`` if there are none yet: the model is not built, or the variables are not initialised.
    """
    return _variables_of(target).read()


def each_weight(target: Any) -> Iterator[Tuple[str, Any]]:
    """The same, one after the other: all at once are as large as the model."""
    return _variables_of(target).each()


def load_weights(
    target: Any, weights: Mapping[str, Any], mapping: Optional[Mapping[str, str]] = None, partial: bool = False
) -> LoadReport:
    """Sets the weights of a Keras model, of a session or of a dict of variables from a dict of arrays by name.

    ``weights`` is what :func:`weights` gave in any release, or any dict with names of variables. A target finds its
    source, in this order: by ``mapping`` (``{target: source}``); by its name; by its name in another spelling
    (``conv1/weights:0`` for ``conv1/kernel``); by the same with scopes in front (``net/conv1/weights``); by its place
    among layers that differ in their numbers only (``dense_4``, ``dense_7`` for ``dense``, ``dense_1``); as the only
    one left of its kind and shape. Nothing is guessed between two candidates. Values take the variable's dtype.

    Returns a report of what came from where. Raises ``WeightsMismatch``, which carries the report, if a weight of the
    target has no source or one of another shape; then nothing is set. ``partial=True`` sets the layers that fit: of a
    layer all weights, or none. The layouts of CuDNN's layers are converted.
    """
    if not isinstance(weights, Mapping):
        raise WeightsError(
            "weights are a dict of arrays by name, as tfkernels.weights(model) gives it; a list, as from "
            "model.get_weights(), has no names, and its order differs between releases"
        )
    variables = _variables_of(target)
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    report, values = examine(
        variables.shapes(), variables.dtypes(), arrays, mapping or {}, one_layer=variables.keras is not None
    )
    if not (report.complete or partial):
        raise WeightsMismatch(report)
    variables.write(values)
    return report


class _Variables(NamedTuple):
    """Variables by name. ``session`` opens the session that holds their values, or ``None`` if they do themselves."""

    by_name: Dict[str, Any]
    session: Callable[[], ContextManager[Any]]
    keras: Optional[Keras] = None

    def read(self) -> Dict[str, Any]:
        with self.session() as session, initialised(WeightsError):
            return dict(zip(self.by_name, self._values(list(self.by_name.values()), session)))

    def each(self) -> Iterator[Tuple[str, Any]]:
        """Names and values, of which only one is in memory at a time."""
        with self.session() as session, initialised(WeightsError):
            for name, variable in self.by_name.items():
                yield name, self._values([variable], session)[0]

    def _values(self, variables: List[Any], session: Any) -> List[Any]:
        if self.keras is not None:
            return self.keras.values(variables)
        return list(session.run(variables)) if session is not None else [variable.numpy() for variable in variables]

    def write(self, values: Mapping[str, Any]) -> None:
        """Sets the variables of these names to arrays of their shapes."""
        dtypes = self.dtypes()
        cast = {name: array.astype(dtypes[name], copy=False) for name, array in values.items()}
        with self.session() as session:
            if session is None:
                for name, value in cast.items():
                    self.by_name[name].assign(value)
            else:
                initialise(session, [(self.by_name[name], value) for name, value in cast.items()])
        others = [name for name, found in self.each() if name in cast and not _same(found, cast[name])]
        if others:
            raise WeightsError(
                f"weights were not loaded: {', '.join(others)} read back other values than were set. Make the "
                "variables again, and load the weights into the new ones"
            )

    def shapes(self) -> Dict[str, Tuple[int, ...]]:
        return shapes_of(self.by_name)

    def dtypes(self) -> "Dict[str, np.dtype[Any]]":
        as_dtype = sys.modules["tensorflow"].as_dtype
        return {
            name: np.dtype(as_dtype(variable.dtype).base_dtype.as_numpy_dtype)
            for name, variable in self.by_name.items()
        }


def shapes_of(variables: Mapping[str, Any]) -> Dict[str, Tuple[int, ...]]:
    """The shapes of variables of TensorFlow or Keras, by name."""
    as_shape = sys.modules["tensorflow"].TensorShape  # whose sizes are no numbers in 1.15
    shapes = {  # Keras 3 has the one, TensorFlow 1.0 the other
        name: variable.get_shape() if hasattr(variable, "get_shape") else variable.shape
        for name, variable in variables.items()
    }
    return {name: tuple(as_shape(shape).as_list()) for name, shape in shapes.items()}


def _variables_of(target: Any) -> _Variables:
    """Raises ``WeightsError`` if ``target`` has no variables, or none yet."""
    if is_layer(target):
        keras = keras_of(target)
        if not keras.has_built(target):
            raise WeightsError(
                f"the model {target.name} has no weights before it is built. Call it once on an input, or call "
                "model.build(input_shape)"
            )
        found = named_weights(target)
        return _Variables(found, lambda: keras.session(list(found.values())), keras)
    if is_session(target):
        found = weights_of_graph(target.graph)
        return _Variables(found, lambda: _opened(target))
    if isinstance(target, Mapping) and all(hasattr(variable, "assign") for variable in target.values()):
        return _Variables(dict(target), lambda: _opened(_default_session() if target and in_graph_mode() else None))
    raise WeightsError(
        f"a {type(target).__name__} has no weights with names. Give a Keras model, a session, or a dict of variables "
        "by name"
    )


@contextlib.contextmanager
def _opened(session: Any) -> Iterator[Any]:
    """The session, which stays open. ``contextlib.nullcontext`` starts with Python 3.7."""
    yield session


def _default_session() -> Any:
    session = v1().get_default_session()
    if session is None:
        raise WeightsError("variables of a graph have values in a session only. Enter it: with session.as_default():")
    return session


def _same(one: Any, other: Any) -> bool:
    """Whether two arrays of one dtype are the same, bit for bit; of an object only its value is known."""
    if one.dtype == object:
        return bool(np.array_equal(one, other))
    left, right = (np.ascontiguousarray(array).reshape(-1).view(np.uint8) for array in (one, other))
    starts = range(0, max(len(left), len(right)), _COMPARED_AT_ONCE)  # a comparison makes an array of its own
    parts = (slice(start, start + _COMPARED_AT_ONCE) for start in starts)
    return all(np.array_equal(left[part], right[part]) for part in parts)


def weights_of_graph(graph: Any) -> Dict[str, Any]:
    """The variables of a graph that are weights, by the names that they have there."""
    with graph.as_default():
        return _without_bookkeeping(v1().global_variables(), v1().trainable_variables())


def _without_bookkeeping(variables: List[Any], trained: List[Any]) -> Dict[str, Any]:
    """A session's variables without those of optimizers: their slots are named after the variable they are for."""
    by_name = {variable.op.name: variable for variable in variables}
    trainable = {variable.op.name for variable in trained}
    endings = tuple(f"/{name}" for name in trainable)

    def is_weight(name: str) -> bool:
        owner = f"/{name.rpartition('/')[0]}"  # of a slot: conv1/kernel/Adam, train/conv1/kernel/Momentum
        return name in trainable or (not owner.endswith(endings) and by_name[name].get_shape().ndims != 0)

    return {name: variable for name, variable in by_name.items() if is_weight(name)}


def initialise(session: Any, values: List[Tuple[Any, Any]]) -> None:
    """Runs the variables' own initialisers on other values: that adds nothing to the graph, which may be finalized."""
    operations: List[Any] = []
    feed: Dict[Any, Any] = {}
    given: Set[int] = set()
    for variable, value in values:
        place = variable.initializer.inputs[1]
        if id(place) in given:  # two variables begin with the same tensor: one after the other
            session.run(operations, feed)
            operations, feed, given = [], {}, set()
        operations.append(variable.initializer)
        feed[place] = value
        given.add(id(place))
    session.run(operations, feed)
