"""Sessions of TensorFlow 1."""

import contextlib
import sys
from typing import Any, Iterator, Type

from tfkernels.errors import TFKernelsError


def is_session(value: Any) -> bool:
    """``tf.Session``, ``InteractiveSession``, and the sessions of ``tf.train`` that wrap one."""
    return hasattr(value, "graph") and callable(getattr(value, "run", None))


@contextlib.contextmanager
def initialised(error_class: Type[TFKernelsError]) -> Iterator[None]:
    """Raises an ``error_class`` with the remedy if a value that is read meanwhile has not been initialised."""
    try:
        yield
    except sys.modules["tensorflow"].errors.FailedPreconditionError as error:
        cause = str(error).split("\n\t [[")[0].splitlines()[-1].strip(" .")  # new releases say first where
        raise error_class(
            f"{cause}. Initialise the variables before they are read: session.run(tf.global_variables_initializer()); "
            "tables with tf.tables_initializer()"
        ) from error
