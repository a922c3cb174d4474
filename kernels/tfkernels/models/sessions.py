"""Sessions of TensorFlow 1."""

import contextlib
import re
import sys
from typing import Any, Iterator, Optional, Type

from tfkernels.errors import TFKernelsError


def is_session(value: Any) -> bool:
    """``tf.Session``, ``InteractiveSession``, and the sessions of ``tf.train`` that wrap one."""
    return hasattr(value, "graph") and callable(getattr(value, "run", None))


def without_hooks(session: Any) -> Any:
    """The session that a ``MonitoredSession`` wraps: its runs are no steps, and call no hooks."""
    return session._tf_sess() if hasattr(session, "_tf_sess") else session  # noqa: SLF001 (not public everywhere)


def unfed_placeholder(error: Exception) -> Optional[str]:
    """The name of the placeholder that had no value, if this is the error of a run."""
    unfed = re.search(r"You must feed a value for placeholder tensor '(.*?)'", str(error))
    return unfed.group(1) if unfed else None


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
