"""The session that a Keras model of graph mode computes in."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Iterator

from tfkernels.errors import TraceError


def is_session(value: Any) -> bool:
    """``tf.Session``, ``InteractiveSession``, and the sessions of ``tf.train`` that wrap one."""
    return hasattr(value, "graph") and callable(getattr(value, "run", None))


@contextlib.contextmanager
def keras_session(variables: list[Any]) -> Iterator[Any]:
    """Keras's session on the graph of ``variables``, as default; it initialises those that nobody has set yet.

    That is the default session, if the user has made one (``with session.as_default():``), or Keras's own.
    """
    tensorflow = sys.modules["tensorflow"]
    graph = variables[0].graph if variables else tensorflow.compat.v1.get_default_graph()
    with graph.as_default():
        session = tensorflow.compat.v1.keras.backend.get_session()
        if session.graph is not graph:
            raise TraceError(
                "the default session and the model belong to two different graphs. Enter the model's session first, "
                "with session.as_default():, or set it with tf.keras.backend.set_session(session)"
            )
        yield session
