"""The session that a Keras model of graph mode computes in."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Iterator

from tfkernels.errors import TFKernelsError, TraceError


def is_session(value: Any) -> bool:
    """``tf.Session``, ``InteractiveSession``, and the sessions of ``tf.train`` that wrap one."""
    return hasattr(value, "graph") and callable(getattr(value, "run", None))


@contextlib.contextmanager
def initialised(error_class: type[TFKernelsError]) -> Iterator[None]:
    """Raises an ``error_class`` with the remedy if a value that is read meanwhile has not been initialised."""
    try:
        yield
    except sys.modules["tensorflow"].errors.FailedPreconditionError as error:
        cause = str(error).split("\n\t [[")[0].splitlines()[-1].strip(" .")  # new releases say first where
        raise error_class(
            f"{cause}. Initialise the variables before they are read: session.run(tf.global_variables_initializer()); "
            "tables with tf.tables_initializer()"
        ) from error


def keras_graph(variables: list[Any]) -> Any:
    """The graph of a model's ``variables``. Raises ``TraceError`` if the model is of Keras 3, which knows no graphs."""
    v1 = sys.modules["tensorflow"].compat.v1
    if not hasattr(v1.keras.backend, "get_session") or not all(hasattr(variable, "graph") for variable in variables):
        raise TraceError(
            "the model has no values here: TensorFlow builds a graph, and models of Keras 3 work eagerly only. Leave "
            "out tf.compat.v1.disable_v2_behavior() (then restart the kernel) or tf.Graph().as_default(), or name "
            "the tensors of interest with tfkernels.watch(name, tensor) and trace the session"
        )
    return variables[0].graph if variables else v1.get_default_graph()


@contextlib.contextmanager
def keras_session(variables: list[Any]) -> Iterator[Any]:
    """Keras's session on the graph of ``variables``, as default; it initialises those that nobody has set yet.

    That is the default session, if the user has made one (``with session.as_default():``), or Keras's own.
    """
    tensorflow = sys.modules["tensorflow"]
    graph = keras_graph(variables)
    with graph.as_default():
        session = tensorflow.compat.v1.keras.backend.get_session()
        if session.graph is not graph:
            raise TraceError(
                "the default session and the model belong to two different graphs. Enter the model's session first, "
                "with session.as_default():, or set it with tf.keras.backend.set_session(session)"
            )
        yield session
