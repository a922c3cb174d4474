"""Attributes of classes, modules and objects that are others for a while: how a trace watches TensorFlow and Keras."""

import contextlib
import types
from typing import Any, Iterable, Iterator, Tuple


@contextlib.contextmanager
def replaced(replacements: Iterable[Tuple[Any, str, Any]]) -> Iterator[None]:
    """Meanwhile ``owner.name`` is ``value``, for each ``(owner, name, value)``.

    Afterwards all are as they were, also after an error on the way.
    """
    changes = list(replacements)  # made before any is in place
    with contextlib.ExitStack() as stack:
        for owner, name, value in changes:
            inherited = name not in vars(owner) and not isinstance(owner, types.ModuleType)  # some modules wrap another
            original = getattr(owner, name) if name not in vars(owner) else vars(owner)[name]
            setattr(owner, name, value)
            if inherited:
                stack.callback(delattr, owner, name)
            else:
                stack.callback(setattr, owner, name, original)
        yield
