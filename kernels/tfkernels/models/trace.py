"""The values inside a model, a session or a function, in the order of computation."""

import contextlib
import inspect
import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import numpy as np

from tfkernels.errors import TraceError
from tfkernels.models.keras_package import Keras, is_layer, keras_of
from tfkernels.models.layer_calls import layers_recorded
from tfkernels.models.layer_names import is_a, walk
from tfkernels.models.other_outputs import OtherOutputs
from tfkernels.models.recorder import Recorder, recording, watched
from tfkernels.models.sessions import initialised, is_session, unfed_placeholder
from tfkernels.models.tensorflow_api import functions_run_eagerly, in_graph_mode, nest, operations_run_in_graphs


def trace(
    target: Any, *inputs: Any, training: bool = False, feed_dict: Any = None, inputs_from: Any = None
) -> Dict[str, Any]:
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

    ``trace(model, x, inputs_from=other)`` gives every layer the input that the layer had in another model's trace, or
    in the first step of its training trace. So each layer shows its own error only. A layer that the other trace
    lacks, or has with another shape, passes on its own output. ``trace(session, feed_dict, inputs_from=other)`` does
    the same for watched tensors, in one run for each.

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
        keras = keras_of(target)
        _check_arguments(target, keras, inputs)
        prepared = tuple(prepared_inputs(target, keras, value) for value in inputs)
        other = None if inputs_from is None else OtherOutputs(inputs_from, keras.builds_graphs)
        values = (_trace_in_graph if keras.builds_graphs else _trace_eagerly)(target, keras, prepared, training, other)
        if other is not None:
            other.check()
        return values
    if inputs_from is not None and not is_session(target):
        raise TraceError("inputs_from= is for Keras models and sessions. A function computes all of its values at once")
    if training:
        raise TraceError(
            "training=True is for Keras models. A session trains if its feed_dict says so, and a function if you give "
            "it an argument of its own: trace(lambda: function(x, training=True))"
        )
    if is_session(target):
        return _trace_session(target, *inputs, inputs_from=inputs_from)
    if callable(target):
        return _trace_function(target, inputs)
    raise TraceError(
        f"trace() needs a Keras model, a session or a function, got {type(target).__name__}. Examples: "
        "trace(model, x), trace(session, feed_dict), trace(function, x)"
    )


def _check_arguments(model: Any, keras: Keras, inputs: Tuple[Any, ...]) -> None:
    """Raises ``TraceError`` if some of ``inputs`` would be taken for the options that follow the inputs in Keras."""
    if not inputs:
        raise TraceError("a model needs an input to be traced: trace(model, x) with an array, or a list or dict")
    try:
        taken = inspect.signature(model.call).bind_partial(*inputs).arguments
        unfit = "training" in taken or (keras.calls_directly and "mask" in taken)
    except TypeError:
        unfit = True
    if unfit:
        raise TraceError(
            f"the model {model.name} does not take {len(inputs)} arguments as inputs. Several inputs are one list or "
            "dict, trace(model, [x1, x2]), and training is an option, trace(model, x, training=True)"
        )


def _trace_eagerly(
    model: Any, keras: Keras, inputs: Tuple[Any, ...], training: bool, other: Optional[OtherOutputs]
) -> Dict[str, Any]:
    tensors = nest().map_structure(sys.modules["tensorflow"].convert_to_tensor, inputs)
    recorder = Recorder()
    with functions_run_eagerly(), operations_run_in_graphs(model):
        if not keras.has_built(model):
            _call(model, keras, tensors, False)  # makes the variables, whose state is kept from here on
        with _state_kept(model, training), recording(recorder), layers_recorded(model, recorder, replacement=other):
            _call(model, keras, tensors, training)
    return recorder.values()


def _trace_in_graph(
    model: Any, keras: Keras, inputs: Tuple[Any, ...], training: bool, other: Optional[OtherOutputs]
) -> Dict[str, Any]:
    """Calls the model once more in its graph, on new placeholders, and evaluates all outputs in one run."""
    graph = keras.graph(list(model.weights) if keras.has_built(model) else [])
    if graph.finalized:
        raise TraceError(
            "the model's graph is finalized, and a trace of a model adds operations to it. Name tensors with "
            "tfkernels.watch(name, tensor) while the graph is built, and trace the session"
        )
    recorder = Recorder(graph)
    with graph.as_default():
        places = nest().map_structure(lambda array: _placeholder(model, keras, array), inputs)
        with lists_kept(model, graph), recording(recorder), layers_recorded(model, recorder, replacement=other):
            phase = _call(model, keras, places, training)
    fed = [*zip(nest().flatten(places), nest().flatten(inputs)), *phase, *(other.fed if other is not None else ())]

    def evaluate(tensors: List[Any]) -> List[Any]:
        if session is not None:
            values: List[Any] = session.run(tensors, dict(fed))
        else:
            values = keras.backend.function([place for place, _ in fed], tensors)([value for _, value in fed])
        return values

    with keras.session(list(model.weights)) as session:
        return recorder.values(evaluate)


def _placeholder(model: Any, keras: Keras, array: Any) -> Any:
    """Layers of old models do something else if they know the size of a batch, which is wrong in some releases."""
    known = not keras.calls_directly or getattr(model, "stateful", False)
    shape = array.shape if known or not array.ndim else (None, *array.shape[1:])
    return keras.backend.placeholder(shape, dtype=sys.modules["tensorflow"].as_dtype(array.dtype).name)


def _call(model: Any, keras: Keras, inputs: Tuple[Any, ...], training: bool) -> List[Tuple[Any, int]]:
    """Calls the model, and returns what its graph must be fed to know whether it trains."""
    function, options = model, {"training": training}
    if keras.calls_directly:
        options = options if "training" in inspect.signature(model.call).parameters else {}
        # __call__ would leave the inputs in the model, and a model of users has no shape for it
        subclassed = is_a(model, "Model") and not is_a(model, "Sequential") and keras.name == "keras"
        function = model.call if subclassed or keras.has_built(model) else model
    with keras.learning_phase(training) as phase, arguments_kept(model):
        function(*inputs, **options)
    return phase


def _trace_session(session: Any, *feed_dicts: Any, inputs_from: Any = None) -> Dict[str, Any]:
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
            if inputs_from is not None:
                return _each_by_itself(session, tensors, dict(feed_dicts[0] or {}) if feed_dicts else {}, inputs_from)
            values: Dict[str, Any] = session.run(tensors, *feed_dicts)
    except sys.modules["tensorflow"].errors.InvalidArgumentError as error:
        unfed = unfed_placeholder(error)
        if not unfed:
            raise
        raise TraceError(
            f"the placeholder {unfed!r} has no value: feed_dict must have what every watched tensor needs "
            f"({', '.join(tensors)}). If some are from an earlier run of the cell that builds the graph, begin that "
            "cell with tf.reset_default_graph()"
        ) from error
    return {name: values[name] for name in tensors}  # session.run sorts the keys in some releases


def _each_by_itself(session: Any, tensors: Dict[str, Any], feed: Dict[Any, Any], trace: Any) -> Dict[str, Any]:
    """The value of each tensor, computed from those that the other trace has of all others."""
    other = OtherOutputs(trace, in_graph=True)
    feedable = {name: tensor for name, tensor in tensors.items() if session.graph.is_feedable(tensor)}
    theirs = [(feedable[name], value) for name, value in other.of_tensors(feedable).items()]
    other.check()
    return {
        name: session.run(tensor, {**feed, **{place: value for place, value in theirs if place.name != tensor.name}})
        for name, tensor in tensors.items()
    }


def _trace_function(function: Any, inputs: Tuple[Any, ...]) -> Dict[str, Any]:
    if in_graph_mode():
        raise TraceError(
            "a function is traced while it runs eagerly, and this kernel builds graphs. Call the function once to "
            "build its graph, and trace the session: tfkernels.trace(session, feed_dict)"
        )
    recorder = Recorder()
    with functions_run_eagerly(), recording(recorder):
        function(*inputs)
    values = recorder.values()
    if not values:
        raise TraceError(
            f"{getattr(function, '__name__', 'the function')} watched nothing. Name values in it: "
            'hidden = tfkernels.watch("hidden", hidden)'
        )
    return values


def prepared_inputs(model: Any, keras: Keras, inputs: Any) -> Any:
    """Arrays of the dtypes that the model takes, as ``model.predict`` makes them; a list where old releases want it."""
    dtypes = _input_dtypes(model)
    network = getattr(model, "_is_graph_network", keras.calls_directly)
    if isinstance(inputs, dict) and network and set(inputs) == set(dtypes):
        inputs = [inputs[name] for name in dtypes]  # before 2.2, Keras took a dict's values in the order of its keys
    if isinstance(inputs, dict):
        return {name: _array(keras, value, dtypes.get(name)) for name, value in inputs.items()}
    flat = nest().flatten(inputs)
    by_place = list(dtypes.values()) if len(dtypes) == len(flat) else [None] * len(flat)
    return nest().pack_sequence_as(inputs, [_array(keras, *pair) for pair in zip(flat, by_place)])


def _input_dtypes(model: Any) -> Dict[str, Any]:
    """The dtypes of a model's inputs, by name and in order, as far as it has declared them."""
    try:
        places = model.inputs or ()
    except (AttributeError, ValueError):
        return {}
    names = getattr(model, "input_names", None) or [place.name for place in places]
    as_dtype = sys.modules["tensorflow"].as_dtype
    return {name: np.dtype(as_dtype(place.dtype).as_numpy_dtype) for name, place in zip(names, places)}


def _array(keras: Keras, value: Any, dtype: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        raise TraceError("inputs are arrays, and a list stands for several inputs: write np.array([...]) for one array")
    array = np.asarray(value)
    if dtype is None and array.dtype.kind == "f":
        dtype = keras.backend.floatx()
    return array if dtype is None else array.astype(dtype, copy=False)


@contextlib.contextmanager
def _state_kept(model: Any, training: bool) -> Iterator[None]:
    """Puts back what a call changes: moving averages and the like in training, and the states of stateful layers."""
    if training:
        trained = {id(variable) for variable in model.trainable_weights}
        changing = [variable for variable in getattr(model, "variables", model.weights) if id(variable) not in trained]
    else:
        stateful = [layer for _, layer in walk(model) if getattr(layer, "stateful", False)]
        states = nest().flatten([getattr(layer, "states", None) for layer in stateful])
        changing = [state for state in states if hasattr(state, "assign")]
    values = [variable.numpy() for variable in changing]
    try:
        yield
    finally:
        for variable, value in zip(changing, values):
            variable.assign(value)


@contextlib.contextmanager
def lists_kept(model: Any, graph: Any) -> Iterator[None]:
    """In graph mode each call leaves losses and updates in layers or graph, which training would then evaluate."""
    lists = [getattr(layer, name, None) for _, layer in walk(model) for name in ("_losses", "_updates")]
    lists += [graph.get_collection_ref(name) for name in ("update_ops", "losses", "regularization_losses")]
    before = {id(entries): (entries, len(entries)) for entries in lists if isinstance(entries, list)}
    names = ("_per_input_losses", "_per_input_updates")  # Keras's first models add up these, too
    by_input = [getattr(layer, name, None) for _, layer in walk(model) for name in names]
    copies = [(entries, {key: list(value) for key, value in entries.items()}) for entries in by_input if entries]
    copies += [(entries, {}) for entries in by_input if entries == {}]
    try:
        yield
    finally:
        for entries, length in before.values():
            del entries[length:]
        for entries, kept in copies:
            entries.clear()
            entries.update(kept)


@contextlib.contextmanager
def arguments_kept(model: Any) -> Iterator[None]:
    """Old models write masks and ``training`` of a call among the arguments that a layer was given for good."""
    names = ("_inbound_nodes", "inbound_nodes")
    nodes = [node for _, layer in walk(model) for name in names for node in getattr(layer, name, ())]
    arguments = [getattr(node, "arguments", None) for node in nodes]
    before = [(given, dict(given)) for given in arguments if isinstance(given, dict)]
    try:
        yield
    finally:
        for given, kept in before:
            given.clear()
            given.update(kept)
