"""Functions of TensorFlow that one release calls otherwise than another. It is imported only where the user did so."""

import contextlib
import importlib
import sys
from typing import Any, Iterator, List

from tfkernels.imports import own_imports
from tfkernels.models.replaced_attributes import replaced


def v1() -> Any:
    """The module with TensorFlow 1's functions: ``tf.compat.v1`` since 1.13, before that ``tf`` itself."""
    tensorflow = sys.modules["tensorflow"]
    return getattr(getattr(tensorflow, "compat", None), "v1", tensorflow)


def version() -> str:
    return str(sys.modules["tensorflow"].__version__)


def nest() -> Any:
    return getattr(v1(), "nest", None) or _module("tensorflow.python.util.nest")


def control_flow() -> Any:
    """The module with ``switch`` and ``merge``, of which a ``tf.cond`` of TensorFlow 1 is made."""
    return _module("tensorflow.python.ops.control_flow_ops")


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


@contextlib.contextmanager
def operations_run_in_graphs(model: Any) -> Iterator[None]:
    """A ``TensorFlowOpLayer`` computes while functions run eagerly: it adds its node to a graph of its own."""
    kinds = {kind for layer in _layers_inside(model) for kind in type(layer).__mro__}
    method = "_defun_call"
    with replaced((kind, method, _in_a_graph) for kind in kinds if method in vars(kind)):
        yield


def _layers_inside(model: Any) -> List[Any]:
    """All layers in ``model``. Its ``submodules`` are an error after some trainings, in 2.0 and in 2.11."""
    if hasattr(model, "_flatten_layers"):  # since 2.4
        return list(model._flatten_layers())  # noqa: SLF001 (there is no other way)
    inside: Any = getattr(model, "layers", None) or getattr(model, "_layers", ())
    return [model, *(layer for child in inside for layer in _layers_inside(child))]


def _in_a_graph(layer: Any, inputs: Any) -> Any:
    tensors = nest().flatten(inputs)
    make = layer._make_op  # noqa: SLF001 (Keras has no public name for it)
    function = sys.modules["tensorflow"].function(lambda *given: make(list(given)), autograph=False)
    return function.get_concrete_function(*tensors)(*tensors)  # a concrete function never runs eagerly


def _module(name: str) -> Any:
    with own_imports():
        return importlib.import_module(name)
