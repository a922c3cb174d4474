"""Functions of TensorFlow that one release calls otherwise than another. It is imported only where the user did so."""

import contextlib
import importlib
import sys
from typing import Any, Iterator

from tfkernels.imports import own_imports


def v1() -> Any:
    """The module with TensorFlow 1's functions: ``tf.compat.v1`` since 1.13, before that ``tf`` itself."""
    tensorflow = sys.modules["tensorflow"]
    return getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)


def nest() -> Any:
    return getattr(v1(), "nest", None) or _module("tensorflow.python.util.nest")


def in_graph_mode() -> bool:
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return False
    if hasattr(tensorflow, "executing_eagerly"):  # since 1.7
        return not tensorflow.executing_eagerly()
    context = sys.modules.get("tensorflow.python.eager.context")  # since 1.4
    return context is None or bool(context.in_graph_mode())


@contextlib.contextmanager
def functions_run_eagerly() -> Iterator[None]:
    """A ``tf.function`` computes values meanwhile instead of building a graph."""
    config: Any = getattr(sys.modules.get("tensorflow"), "config", None)
    if hasattr(config, "functions_run_eagerly"):  # since 2.3
        switch, before = config.run_functions_eagerly, config.functions_run_eagerly()
    elif hasattr(config, "experimental_run_functions_eagerly"):
        def_function = _module("tensorflow.python.eager.def_function")
        switch, before = config.experimental_run_functions_eagerly, def_function.RUN_FUNCTIONS_EAGERLY
    else:  # no TensorFlow, or one without tf.function
        yield
        return
    switch(True)
    try:
        yield
    finally:
        switch(before)


def _module(name: str) -> Any:
    with own_imports():
        return importlib.import_module(name)
