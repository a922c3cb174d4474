"""The values inside a model, a session or a function, in the order of computation."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from typing import Any, Iterator

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.imports import own_imports
from tfkernels.models.layer_calls import layers_recorded
from tfkernels.models.layer_names import is_layer, walk
from tfkernels.models.recorder import Recorder, in_graph_mode, recording, watched
from tfkernels.models.sessions import initialised, is_session, keras_graph, keras_session


def trace(target: Any, *inputs: Any, training: bool = False, feed_dict: Any = None) -> dict[str, Any]:
    """The values inside a model, a session or a function: a dict of NumPy arrays, in the order of computation.

    * ``trace(model, x)``: the outputs of a Keras model's layers, and last its own, named ``output``. ``x`` is an array,
      or a list or dict of arrays; floating inputs are converted as ``model.predict`` does. Several arguments go to
      the ``call`` of a subclassed model one by one. The model runs in inference mode unless ``training=True``.
    * ``trace(session, feed_dict)``: the tensors that :func:`watch` named in the session's graph, in one run.
      ``feed_dict`` may be given by that name too, as to ``session.run``.
    * ``trace(function, *inputs)``: what ``watch`` names while the function runs eagerly.

    A layer is named as in its model, in an inner model ``inner/conv1``, and at its second call ``conv1:1``. Automatic
    names are numbered anew within each model (``dense``, ``dense_1``, …), so that they are equal in two releases; so
    is any name that looks automatic, such as a ``Dense`` called ``dense_5``. Inputs, and operations that are no
    layers, are left out; Keras's own layers are one value each, without their cells. A layer with several outputs
    gives a list (or tuple, or dict) of arrays.

    Variables keep their values, moving averages too. A ``tf.function`` runs eagerly meanwhile. In graph mode each
    trace adds a copy of the model to its graph; it runs in the session that Keras uses, or in yours after
    ``with session.as_default():``.

    Raises ``TraceError`` if the target cannot be traced, or if nothing was watched.
    """
    if feed_dict is not None:
        if inputs or not is_session(target):
            raise TraceError("feed_dict is all that a session takes, and for sessions only: trace(session, feed_dict)")
        inputs = (feed_dict,)
    if is_layer(target):
        _check_arguments(target, inputs)
        eager = sys.modules["tensorflow"].executing_eagerly()
        prepared = tuple(_prepare(target, value) for value in inputs)
        return (_trace_eagerly if eager else _trace_in_graph)(target, prepared, training)
    if training:
        raise TraceError(
            "training=True is for Keras models. A session trains if its feed_dict says so, and a function if you give "
            "it an argument of its own: trace(lambda: function(x, training=True))"
        )
    if is_session(target):
        return _trace_session(target, *inputs)
    if callable(target):
        return _trace_function(target, inputs)
    raise TraceError(
        f"trace() needs a Keras model, a session or a function, got {type(target).__name__}. Examples: "
        "trace(model, x), trace(session, feed_dict), trace(function, x)"
    )


def _check_arguments(model: Any, inputs: tuple[Any, ...]) -> None:
    """Raises ``TraceError`` if some of ``inputs`` would be taken for the options that follow the inputs in Keras."""
    if not inputs:
        raise TraceError("a model needs an input to be traced: trace(model, x) with an array, or a list or dict")
    try:
        unfit = "training" in inspect.signature(model.call).bind_partial(*inputs).arguments
    except TypeError:
        unfit = True
    if unfit:
        raise TraceError(
            f"the model {model.name} does not take {len(inputs)} arguments as inputs. Several inputs are one list or "
            "dict, trace(model, [x1, x2]), and training is an option, trace(model, x, training=True)"
        )


def _trace_eagerly(model: Any, inputs: tuple[Any, ...], training: bool) -> dict[str, Any]:
    tensorflow = sys.modules["tensorflow"]
    tensors = tensorflow.nest.map_structure(tensorflow.convert_to_tensor, inputs)
    recorder = Recorder()
    with _functions_run_eagerly():
        if not model.built:
            model(*tensors, training=False)  # makes the variables, whose state is kept from here on
        with _state_kept(model, training), recording(recorder), layers_recorded(model, recorder):
            model(*tensors, training=training)
    return recorder.values()


def _trace_in_graph(model: Any, inputs: tuple[Any, ...], training: bool) -> dict[str, Any]:
    """Calls the model once more in its graph, on new placeholders, and evaluates all outputs in one run."""
    tensorflow = sys.modules["tensorflow"]
    placeholder = tensorflow.compat.v1.placeholder
    graph = keras_graph(list(model.weights) if model.built else [])
    if graph.finalized:
        raise TraceError(
            "the model's graph is finalized, and a trace of a model adds operations to it. Name tensors with "
            "tfkernels.watch(name, tensor) while the graph is built, and trace the session"
        )
    recorder = Recorder(graph)
    with graph.as_default():
        places = tensorflow.nest.map_structure(lambda array: placeholder(array.dtype, array.shape), inputs)
        with _lists_kept(model), recording(recorder), layers_recorded(model, recorder):
            model(*places, training=training)
    feed = dict(zip(tensorflow.nest.flatten(places), tensorflow.nest.flatten(inputs)))
    with keras_session(list(model.weights)) as session:
        return recorder.values(lambda tensors: session.run(tensors, feed))


def _trace_session(session: Any, *feed_dicts: Any) -> dict[str, Any]:
    if len(feed_dicts) > 1 or not all(feed is None or isinstance(feed, Mapping) for feed in feed_dicts):
        raise TraceError("a session takes one dict of values by placeholder: trace(session, {x: array, y: 1})")
    tensors = watched(session.graph)
    if not tensors:
        raise TraceError(
            "nothing is watched in the session's graph. Name tensors where the graph is built: "
            'hidden = tfkernels.watch("hidden", hidden)'
        )
    lost = [name for name, tensor in tensors.items() if not session.graph.is_fetchable(tensor)]
    if lost:
        raise TraceError(
            f"{', '.join(lost)}: watched inside a tf.while_loop or tf.cond, where a session cannot fetch it. Watch "
            "what the loop or the condition returns"
        )
    try:
        with initialised(TraceError):
            values: dict[str, Any] = session.run(tensors, *feed_dicts)
    except sys.modules["tensorflow"].errors.InvalidArgumentError as error:
        unfed = re.search(r"You must feed a value for placeholder tensor '(.*?)'", str(error))
        if not unfed:
            raise
        raise TraceError(
            f"the placeholder {unfed[1]!r} has no value: feed_dict must have what every watched tensor needs "
            f"({', '.join(tensors)}). If some are from an earlier run of the cell that builds the graph, begin that "
            "cell with tf.reset_default_graph()"
        ) from error
    return {name: values[name] for name in tensors}  # session.run sorts the keys in some releases


def _trace_function(function: Any, inputs: tuple[Any, ...]) -> dict[str, Any]:
    if in_graph_mode():
        raise TraceError(
            "a function is traced while it runs eagerly, and this kernel builds graphs. Call the function once to "
            "build its graph, and trace the session: tfkernels.trace(session, feed_dict)"
        )
    recorder = Recorder()
    with _functions_run_eagerly(), recording(recorder):
        function(*inputs)
    values = recorder.values()
    if not values:
        raise TraceError(
            f"{getattr(function, '__name__', 'the function')} watched nothing. Name values in it: "
            'hidden = tfkernels.watch("hidden", hidden)'
        )
    return values


def _prepare(model: Any, inputs: Any) -> Any:
    """Arrays of the dtypes that the model takes, as ``model.predict`` makes them; a list where old releases want it."""
    nest = sys.modules["tensorflow"].nest
    dtypes = _input_dtypes(model)
    if isinstance(inputs, dict) and getattr(model, "_is_graph_network", False) and set(inputs) == set(dtypes):
        inputs = [inputs[name] for name in dtypes]  # before 2.2, Keras took a dict's values in the order of its keys
    if isinstance(inputs, dict):
        return {name: _array(value, dtypes.get(name)) for name, value in inputs.items()}
    flat = nest.flatten(inputs)
    by_place = list(dtypes.values()) if len(dtypes) == len(flat) else [None] * len(flat)
    return nest.pack_sequence_as(inputs, [_array(*pair) for pair in zip(flat, by_place)])


def _input_dtypes(model: Any) -> dict[str, Any]:
    """The dtypes of a model's inputs, by name and in order, as far as it has declared them."""
    try:
        places = model.inputs or ()
    except (AttributeError, ValueError):
        return {}
    names = getattr(model, "input_names", None) or [place.name for place in places]
    as_dtype = sys.modules["tensorflow"].as_dtype
    return {name: np.dtype(as_dtype(place.dtype).as_numpy_dtype) for name, place in zip(names, places)}


def _array(value: Any, dtype: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        raise TraceError("inputs are arrays, and a list stands for several inputs: write np.array([...]) for one array")
    array = np.asarray(value)
    if dtype is None and array.dtype.kind == "f":
        dtype = sys.modules["tensorflow"].keras.backend.floatx()
    return array if dtype is None else array.astype(dtype, copy=False)


@contextlib.contextmanager
def _functions_run_eagerly() -> Iterator[None]:
    """A ``tf.function`` computes values meanwhile instead of building a graph."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        yield
        return
    config = tensorflow.config
    if hasattr(config, "functions_run_eagerly"):  # since 2.3
        switch, before = config.run_functions_eagerly, config.functions_run_eagerly()
    else:
        with own_imports():
            def_function = importlib.import_module("tensorflow.python.eager.def_function")
        switch, before = config.experimental_run_functions_eagerly, def_function.RUN_FUNCTIONS_EAGERLY
    switch(True)
    try:
        yield
    finally:
        switch(before)


@contextlib.contextmanager
def _state_kept(model: Any, training: bool) -> Iterator[None]:
    """Puts back what a call changes: moving averages and the like in training, and the states of stateful layers."""
    if training:
        variables = [*getattr(model, "variables", model.weights)]
        changing = [variable for variable in variables if not variable.trainable]
    else:
        stateful = [layer for _, layer in walk(model) if getattr(layer, "stateful", False)]
        states = sys.modules["tensorflow"].nest.flatten([getattr(layer, "states", None) for layer in stateful])
        changing = [state for state in states if hasattr(state, "assign")]
    values = [variable.numpy() for variable in changing]
    try:
        yield
    finally:
        for variable, value in zip(changing, values):
            variable.assign(value)


@contextlib.contextmanager
def _lists_kept(model: Any) -> Iterator[None]:
    """In graph mode each call leaves losses and updates in the layers, which training would then evaluate."""
    lists = [getattr(layer, name, None) for _, layer in walk(model) for name in ("_losses", "_updates")]
    before = {id(entries): (entries, len(entries)) for entries in lists if isinstance(entries, list)}
    try:
        yield
    finally:
        for entries, length in before.values():
            del entries[length:]
