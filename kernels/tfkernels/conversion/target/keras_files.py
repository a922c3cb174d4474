"""Keras's own way to save and load ``.keras`` files with little memory.

Keras 3 puts all weights of a ``.keras`` file into memory if there is twice as much, and otherwise goes through a file.
"""

import contextlib
import importlib
from typing import Any, Iterator

from tfkernels.imports import own_imports


@contextlib.contextmanager
def through_disk() -> Iterator[None]:
    """Keras takes the way through a file meanwhile. Releases that know only one way take that."""
    try:
        with own_imports():
            library: Any = importlib.import_module("keras.src.saving.saving_lib")
    except ImportError:
        library = None
    before = getattr(library, "is_memory_sufficient", None)
    if before is None:
        yield
        return
    library.is_memory_sufficient = lambda _model: False
    try:
        yield
    finally:
        library.is_memory_sufficient = before
