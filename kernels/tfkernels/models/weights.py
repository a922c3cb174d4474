"""The weights of a Keras model, a session or a dict of variables, by name: read and set."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, ContextManager, Iterator

import numpy as np

from tfkernels.errors import WeightsError
from tfkernels.models.layers import is_layer, named_weights
from tfkernels.models.sessions import initialised, is_session, keras_session


@dataclass(frozen=True)
class Variables:
    """Variables by name, and the session that holds their values (``None`` inside: they hold them themselves)."""

    by_name: dict[str, Any]
    session: Callable[[], ContextManager[Any]]

    def read(self) -> dict[str, Any]:
        with self.session() as session:
            if session is None:
                return {name: variable.numpy() for name, variable in self.by_name.items()}
            with initialised(WeightsError):
                return dict(zip(self.by_name, session.run(list(self.by_name.values()))))

    def write(self, values: Mapping[str, Any]) -> None:
        """Sets the variables of these names. Shapes and dtypes were checked before."""
        with self.session() as session:
            if session is None:
                for name, value in values.items():
                    self.by_name[name].assign(value)
            else:
                _initialise(session, {self.by_name[name]: value for name, value in values.items()}.items())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        shape = sys.modules["tensorflow"].TensorShape  # whose sizes are no numbers in 1.15
        return {name: tuple(shape(variable.shape).as_list()) for name, variable in self.by_name.items()}

    def dtype(self, name: str) -> np.dtype[Any]:
        dtype = sys.modules["tensorflow"].as_dtype(self.by_name[name].dtype).base_dtype
        found: np.dtype[Any] = np.dtype(dtype.as_numpy_dtype)
        return found


def variables_of(target: Any) -> Variables:
    """What ``target`` consists of. Raises ``WeightsError`` if that is nothing, or not known yet."""
    if is_layer(target):
        if not target.built:
            raise WeightsError(
                f"the model {target.name} has no weights before it is built: call it once on an input, or say "
                "model.build(input_shape)"
            )
        found = named_weights(target)
        return Variables(found, lambda: _model_session(list(found.values())))
    if is_session(target):
        with target.graph.as_default():
            variables = sys.modules["tensorflow"].compat.v1.global_variables()
        return Variables(_without_bookkeeping(variables), lambda: contextlib.nullcontext(target))
    if isinstance(target, Mapping) and all(hasattr(variable, "assign") for variable in target.values()):
        return Variables(dict(target), lambda: _default_session(list(target.values())))
    raise WeightsError(
        f"a {type(target).__name__} has no weights that can be named. Give a Keras model, a session, or a dict of "
        "variables by name"
    )


def weights(target: Any) -> dict[str, Any]:
    """The weights of a model as a dict of NumPy arrays by name, in the model's order.

    Of a Keras model they are named after their layers as in :func:`trace`: ``inner/conv1/kernel``,
    ``lstm/recurrent_kernel``. Of a session they have the names of its graph's variables without ``:0``; optimizers'
    variables and untrained scalars (``global_step``) are no weights, nor are the copies that an
    ``ExponentialMovingAverage`` keeps.
    A dict of variables keeps its names.

    Raises ``WeightsError`` if there are none yet: the model is not built, or the variables are not initialised. In
    graph mode the values are those of the session that Keras uses, which initialises what nobody has initialised.
    """
    return variables_of(target).read()


def _without_bookkeeping(variables: list[Any]) -> dict[str, Any]:
    """A session's variables without those of optimizers: their slots are named after the variable they are for."""
    by_name = {variable.op.name: variable for variable in variables}
    trainable = {variable.op.name for variable in variables if variable.trainable}
    endings = tuple(f"/{name}" for name in trainable)

    def is_weight(name: str) -> bool:
        if name in trainable:
            return True
        owner = f"/{name.rpartition('/')[0]}"  # of a slot: conv1/kernel/Adam, train/conv1/kernel/Momentum
        return not owner.endswith(endings) and by_name[name].shape.ndims != 0

    return {name: variable for name, variable in by_name.items() if is_weight(name)}


def _initialise(session: Any, values: Any) -> None:
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


@contextlib.contextmanager
def _model_session(variables: list[Any]) -> Iterator[Any]:
    if sys.modules["tensorflow"].executing_eagerly():
        yield None
    else:
        with keras_session(variables) as session:
            yield session


@contextlib.contextmanager
def _default_session(variables: list[Any]) -> Iterator[Any]:
    tensorflow = sys.modules["tensorflow"]
    if tensorflow.executing_eagerly() or not variables:
        yield None
        return
    session = tensorflow.compat.v1.get_default_session()
    if session is None:
        raise WeightsError("variables of a graph have values in a session only: enter it, with session.as_default():")
    yield session
