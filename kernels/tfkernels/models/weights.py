"""The weights of a Keras model, a session or a dict of variables, by name: read and set."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, ContextManager

import numpy as np

from tfkernels.errors import WeightsError, WeightsMismatch
from tfkernels.models.layer_names import is_layer, named_weights
from tfkernels.models.load_report import LoadReport
from tfkernels.models.recorder import in_graph_mode
from tfkernels.models.sessions import initialised, is_session, keras_session


def weights(target: Any) -> dict[str, Any]:
    """The weights of a model as a dict of NumPy arrays by name, in the model's order.

    Those of a Keras model are named after its layers as in :func:`trace`: ``inner/conv1/kernel``,
    ``lstm/recurrent_kernel``. Those of a session have the names of its graph's variables without ``:0``. Variables of
    optimizers, untrained scalars (``global_step``) and moving averages of variables are no weights. A dict of
    variables keeps its names.

    In graph mode the values are those of Keras's session, which initialises what nobody has initialised. Raises
    ``WeightsError`` if there are none yet: the model is not built, or the variables are not initialised.
    """
    return _variables_of(target).read()


def load_weights(
    target: Any, weights: Mapping[str, Any], mapping: Mapping[str, str] | None = None, partial: bool = False
) -> LoadReport:
    """Sets the weights of a Keras model, of a session or of a dict of variables from a dict of arrays by name.

    ``weights`` is what :func:`weights` gave in any release, or any dict with names of variables. A target finds its
    source, in this order: by ``mapping`` (``{target: source}``); by its name; by its name in another spelling
    (``conv1/weights:0`` for ``conv1/kernel``); by the same with scopes in front (``net/conv1/weights``); by its place
    among layers that differ in their numbers only (``dense_4``, ``dense_7`` for ``dense``, ``dense_1``); as the only
    one left of its kind and shape. Nothing is guessed between two candidates. Values take the variable's dtype.

    Returns a report of what came from where. Raises ``WeightsMismatch``, which carries the report, if a weight of the
    target has no source or one of another shape; then nothing is set. ``partial=True`` sets what fits.
    """
    if not isinstance(weights, Mapping):
        raise WeightsError(
            "weights are a dict of arrays by name, as tfkernels.weights(model) gives it; a list, as from "
            "model.get_weights(), has no names, and its order differs between releases"
        )
    variables = _variables_of(target)
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    report = LoadReport.of(variables.shapes(), variables.dtypes(), arrays, mapping or {})
    if not (report.complete or partial):
        raise WeightsMismatch(report)
    variables.write({match.target: arrays[match.source] for match in report.matched})
    return report


@dataclass(frozen=True)
class _Variables:
    """Variables by name. ``session`` opens the session that holds their values, or ``None`` if they do themselves."""

    by_name: dict[str, Any]
    session: Callable[[], ContextManager[Any]] = contextlib.nullcontext

    def read(self) -> dict[str, Any]:
        with self.session() as session:
            if session is None:
                return {name: variable.numpy() for name, variable in self.by_name.items()}
            with initialised(WeightsError):
                return dict(zip(self.by_name, session.run(list(self.by_name.values()))))

    def write(self, values: Mapping[str, Any]) -> None:
        """Sets the variables of these names to arrays of their shapes."""
        dtypes = self.dtypes()
        cast = {name: array.astype(dtypes[name], copy=False) for name, array in values.items()}
        with self.session() as session:
            if session is None:
                for name, value in cast.items():
                    self.by_name[name].assign(value)
            else:
                _initialise(session, [(self.by_name[name], value) for name, value in cast.items()])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        shape = sys.modules["tensorflow"].TensorShape  # whose sizes are no numbers in 1.15
        return {name: tuple(shape(variable.shape).as_list()) for name, variable in self.by_name.items()}

    def dtypes(self) -> dict[str, np.dtype[Any]]:
        as_dtype = sys.modules["tensorflow"].as_dtype
        return {
            name: np.dtype(as_dtype(variable.dtype).base_dtype.as_numpy_dtype)
            for name, variable in self.by_name.items()
        }


def _variables_of(target: Any) -> _Variables:
    """Raises ``WeightsError`` if ``target`` has no variables, or none yet."""
    if is_layer(target):
        if not target.built:
            raise WeightsError(
                f"the model {target.name} has no weights before it is built. Call it once on an input, or call "
                "model.build(input_shape)"
            )
        found = named_weights(target)
        return _Variables(found, lambda: keras_session(list(found.values()))) if in_graph_mode() else _Variables(found)
    if is_session(target):
        with target.graph.as_default():
            variables = sys.modules["tensorflow"].compat.v1.global_variables()
        return _Variables(_without_bookkeeping(variables), lambda: contextlib.nullcontext(target))
    if isinstance(target, Mapping) and all(hasattr(variable, "assign") for variable in target.values()):
        return _Variables(dict(target), _default_session) if target and in_graph_mode() else _Variables(dict(target))
    raise WeightsError(
        f"a {type(target).__name__} has no weights with names. Give a Keras model, a session, or a dict of variables "
        "by name"
    )


def _default_session() -> ContextManager[Any]:
    session = sys.modules["tensorflow"].compat.v1.get_default_session()
    if session is None:
        raise WeightsError("variables of a graph have values in a session only. Enter it: with session.as_default():")
    return contextlib.nullcontext(session)


def _without_bookkeeping(variables: list[Any]) -> dict[str, Any]:
    """A session's variables without those of optimizers: their slots are named after the variable they are for."""
    by_name = {variable.op.name: variable for variable in variables}
    trainable = {variable.op.name for variable in variables if variable.trainable}
    endings = tuple(f"/{name}" for name in trainable)

    def is_weight(name: str) -> bool:
        owner = f"/{name.rpartition('/')[0]}"  # of a slot: conv1/kernel/Adam, train/conv1/kernel/Momentum
        return name in trainable or (not owner.endswith(endings) and by_name[name].shape.ndims != 0)

    return {name: variable for name, variable in by_name.items() if is_weight(name)}


def _initialise(session: Any, values: list[tuple[Any, Any]]) -> None:
    """Runs the variables' own initialisers on other values: that adds nothing to the graph, which may be finalized."""
    operations: list[Any] = []
    feed: dict[Any, Any] = {}
    given: set[int] = set()
    for variable, value in values:
        place = variable.initializer.inputs[1]
        if id(place) in given:  # two variables begin with the same tensor: one after the other
            session.run(operations, feed)
            operations, feed, given = [], {}, set()
        operations.append(variable.initializer)
        feed[place] = value
        given.add(id(place))
    session.run(operations, feed)
