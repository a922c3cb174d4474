"""Dropout masks and noise in a graph of TensorFlow 1: the operations that draw them are replaced by numbers of ours."""

import contextlib
import functools
import re
import sys
import weakref
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from tfkernels.errors import WeightsError
from tfkernels.initialization import mask_numbers
from tfkernels.initialization.graph_weights import behind, is_random
from tfkernels.models.layer_names import is_a, walk
from tfkernels.models.tensorflow_api import nest, v1
from tfkernels.models.weights import initialise
from tfkernels.training.random_draws import MASK_COUNTS, REPLACED

_INSIDE = re.compile(r"(^|/)(cond|dropout|random_uniform|RandomUniform|random_normal|RandomStandardNormal)(_\d+)?$")
"""The end of a name that TensorFlow's functions give to the operation."""

_NOISE = "RandomStandardNormal"

_FINALIZED = (
    "same_start cannot replace the dropout masks: the graph is finalized. Call it before the MonitoredSession is made, "
    "or with dropout=False"
)


class Site(NamedTuple):
    """A random operation of a dropout. ``rate`` is a scalar tensor: the share that is dropped, or kept if ``keeps``."""

    operation: Any
    numbers: Any
    """The tensor that the dropout takes: that of the operation, or of an earlier replacement."""
    rate: Any
    """``None`` if it draws noise of the normal distribution."""
    keeps: bool
    layer: str = ""
    """Its name, if it is known from an earlier replacement."""


_Replaced = Dict[str, Tuple[str, str, bool, str]]
_REPLACED: "weakref.WeakKeyDictionary[Any, _Replaced]" = weakref.WeakKeyDictionary()
"""What was replaced in a graph before, as names, by the name of the random operation."""


def sites(graph: Any, outputs: Optional[List[Any]] = None) -> List[Site]:
    """The dropouts and the noise of a graph, or those behind ``outputs``, in the order in which they were made.

    Without ``outputs`` initial values are among them.
    """
    random = (one for one in graph.get_operations() if one.type in ("RandomUniform", _NOISE))
    found = [site for site in map(_site, random) if site is not None]
    if outputs is None:
        return found
    wanted = {operation.name for output in outputs for operation in behind(output)}
    return [site for site in found if site.numbers.op.name in wanted]


def _site(operation: Any) -> Optional[Site]:
    replaced = _REPLACED.get(operation.graph, {}).get(operation.name)
    if replaced is not None:
        numbers, rate = (operation.graph.get_tensor_by_name(name) if name else None for name in replaced[:2])
        return Site(operation, numbers, rate, *replaced[2:])
    if operation.type == _NOISE:
        return Site(operation, operation.outputs[0], None, False)
    tensors = [operation.outputs[0]]
    for kinds in (("Mul",), ("Add", "AddV2")):  # of tf.random_uniform: from 0 to 1
        tensors += [user.outputs[0] for user in tensors[-1].consumers() if user.type in kinds][:1]
    for tensor in tensors:
        for user in tensor.consumers():
            others = [other for other in user.inputs if other is not tensor]
            if user.type == "GreaterEqual" and len(others) == 1:
                return Site(operation, operation.outputs[0], others[0], False)
            if user.type in ("Add", "AddV2") and any(next_.type == "Floor" for next_ in user.outputs[0].consumers()):
                return Site(operation, operation.outputs[0], others[0], True)
    return None


def other_random(graph: Any, initial: Set[str]) -> List[str]:
    """Operations that draw numbers of this release: none of ``sites``, nor of ``initial`` values, by their names.

    Control flow of TensorFlow 2 keeps its branches in functions, which cannot be changed.
    """
    library = graph.as_graph_def().library
    drawing = {function.signature.name for function in library.function if any(map(is_random, function.node_def))}
    known = {site.operation.name for site in sites(graph)} | initial
    return [
        operation.name
        for operation in graph.get_operations()
        if (is_random(operation.node_def) and operation.name not in known)
        or any(value.func.name in drawing for value in operation.node_def.attr.values())
    ]


def layer_of_operation(model: Any) -> Dict[str, str]:
    """The path of the layer that made an operation, by the operation's name, as far as layers know their calls."""
    found: Dict[str, str] = {}
    for path, layer in walk(model):
        if path and not is_a(layer, "Model"):
            nodes: Any = getattr(layer, "_inbound_nodes", None) or getattr(layer, "inbound_nodes", ())
            for node in nodes:
                inputs, outputs = (nest().flatten(getattr(node, f"{side}_tensors")) for side in ("input", "output"))
                for output in outputs:
                    found.update((operation.name, path) for operation in behind(output, inputs))
    return found


def replace(
    session: Any, found: List[Site], layers: Mapping[str, str], scopes: Mapping[str, str], seed: int
) -> List[str]:
    """Replaces the numbers of ``found`` for ``session``, which starts again with its variables.

    ``layers``: names by operations; ``scopes``: by the names of their scopes. Others have the name of their own scope.
    Returns the names.
    """
    if not found:
        return []
    graph = session.graph
    if graph.finalized:
        raise WeightsError(_FINALIZED)
    values = _values(session)
    counts: Dict[str, int] = {}
    counters = []
    with graph.as_default():
        for site in found:
            layer = site.layer or layers.get(site.operation.name) or _layer(site.operation.name, scopes)
            number = counts.get(layer, 0)
            counts[layer] = number + 1
            counter = _counter(graph)
            counters.append(counter)
            source = mask_numbers.stream_of(seed, layer, number)
            again = functools.partial(_drawn_again, source, counter.name, site.rate is None)
            REPLACED.setdefault(graph, {})[layer, number] = again
            with _context_of(graph, site.operation):
                numbers = _numbers(site, source, counter)
            old = site.numbers
            numbers.set_shape(old.shape)
            for user in list(old.consumers()):
                for place, tensor in enumerate(user.inputs):
                    if tensor is old:
                        user._update_input(place, numbers)  # noqa: SLF001 (there is no public way)
            _REPLACED.setdefault(graph, {})[site.operation.name] = (
                numbers.name, "" if site.rate is None else site.rate.name, site.keeps, layer,
            )  # fmt: skip
    start_again(session, values)
    session.run([counter.initializer for counter in counters])
    return list(counts)


def _counter(graph: Any) -> Any:
    tensorflow: Any = sys.modules["tensorflow"]
    with graph.control_dependencies(None), v1().variable_scope("tfkernels_mask_steps", reuse=False):
        return v1().get_variable(
            graph.unique_name("step", mark_as_used=False), [], tensorflow.int64, v1().zeros_initializer(),
            trainable=False, collections=[MASK_COUNTS], use_resource=True,
        )  # fmt: skip


def _numbers(site: Site, source: Any, counter: Any) -> Any:
    tensorflow: Any = sys.modules["tensorflow"]
    rate = site.rate
    if rate is None:
        dropping = tensorflow.constant(True)
    else:
        dropping = tensorflow.less(rate, 1) if site.keeps else tensorflow.greater(rate, 0)
    step = counter.assign_add(tensorflow.cast(dropping, tensorflow.int64))
    step = tensorflow.identity(step) - tensorflow.cast(dropping, tensorflow.int64)
    make = mask_numbers.normal_tensor if rate is None else mask_numbers.tensor
    numbers = make(site.operation.inputs[0], source, step)
    return tensorflow.cast(numbers, site.operation.outputs[0].dtype)


def _drawn_again(source: Any, counter: str, noise: bool, drawn: Any) -> Any:
    """The numbers of a dropout for ``drawn`` numbers, which a training trace made for another call of the layer."""
    tensorflow: Any = sys.modules["tensorflow"]
    count = next(one for one in drawn.graph.get_collection(MASK_COUNTS) if one.name == counter)
    one = tensorflow.constant(1, tensorflow.int64)
    make = mask_numbers.normal_tensor if noise else mask_numbers.tensor
    numbers = make(tensorflow.shape(drawn), source, tensorflow.identity(count.assign_add(one)) - one)
    numbers = tensorflow.cast(tensorflow.reshape(numbers, tensorflow.shape(drawn)), drawn.dtype)
    numbers.set_shape(drawn.get_shape())
    return numbers


@contextlib.contextmanager
def _context_of(graph: Any, operation: Any) -> Iterator[None]:
    """Operations that are made meanwhile run where ``operation`` does: in its branch of a condition, or its loop."""
    with graph.control_dependencies(None), graph.device(operation.device or None):
        before = graph._get_control_flow_context()  # noqa: SLF001 (there is no public way)
        graph._set_control_flow_context(operation._get_control_flow_context())  # noqa: SLF001
        try:
            yield
        finally:
            graph._set_control_flow_context(before)  # noqa: SLF001


def _layer(operation: str, scopes: Mapping[str, str]) -> str:
    """The innermost layer in whose scope an operation is; without layers, the scope itself."""
    found = ""
    for part in operation.split("/"):
        path = scopes.get(part, "")
        if path.startswith(f"{found}/" if found else ""):
            found = path or found
    if found:
        return found
    scope = scope_of(operation)
    return scopes.get(scope, scope)


def scope_of(operation: str) -> str:
    """The name of an operation without the ends that TensorFlow's functions give to it."""
    while _INSIDE.sub("", operation) not in (operation, ""):
        operation = _INSIDE.sub("", operation)
    return operation


def start_again(session: Any, variables: List[Tuple[Any, Any]]) -> None:
    """Gives a session a new beginning with these values of ``variables``.

    TensorFlow reads an operation once: what was changed in it after the first run has no effect in that session.
    """
    graph = session.graph
    with graph.as_default():
        fresh = v1().Session(session.sess_str, graph=graph, config=session._config)  # noqa: SLF001 (see below)
    for name in ("_session", "_current_version"):  # the session is the user's object, so its inside is exchanged
        if hasattr(session, name):  # the second up to 1.14
            inside = getattr(session, name)
            setattr(session, name, getattr(fresh, name))
            setattr(fresh, name, inside)
    fresh.close()
    initialise(session, variables)
    with graph.as_default():
        session.run(v1().tables_initializer())


def _values(session: Any) -> List[Tuple[Any, Any]]:
    """The variables of a session that have values, with these."""
    with session.graph.as_default():
        listed = [*v1().global_variables(), *v1().local_variables(), *session.graph.get_collection(MASK_COUNTS)]
        there = session.run([v1().is_variable_initialized(variable) for variable in listed])
        variables = [variable for variable, known in zip(listed, there) if known]
        return list(zip(variables, session.run(variables)))
