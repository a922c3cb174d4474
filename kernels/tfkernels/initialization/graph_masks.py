"""Dropout masks in a graph of TensorFlow 1: the operations that draw them are replaced by numbers of ours."""

import contextlib
import re
import sys
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional

from tfkernels.errors import WeightsError
from tfkernels.initialization import mask_numbers
from tfkernels.initialization.graph_weights import behind
from tfkernels.models.tensorflow_api import v1
from tfkernels.models.weights import initialise

STEPS = "tfkernels/mask_steps"
"""The collection of the variables that count how often a mask was drawn."""

_INSIDE = re.compile(r"(^|/)(cond|dropout|random_uniform|RandomUniform)(_\d+)?$")
"""The end of a name that TensorFlow's functions give to the operation."""

_FINALIZED = (
    "same_start cannot replace the dropout masks: the graph is finalized. Call it before the MonitoredSession is made, "
    "or with dropout=False"
)


class Site(NamedTuple):
    """A random operation of a dropout, and the scalar tensor with the share that it drops or, if ``keeps``, keeps."""

    operation: Any
    rate: Any
    keeps: bool


def sites(graph: Any, outputs: Optional[List[Any]] = None) -> List[Site]:
    """The dropouts of a graph, or those behind ``outputs``, in the order in which they were made."""
    if outputs is None:
        operations = graph.get_operations()
    else:
        wanted = {operation.name for output in outputs for operation in behind(output)}
        operations = [operation for operation in graph.get_operations() if operation.name in wanted]
    found = (_site(operation) for operation in operations if operation.type == "RandomUniform")
    return [site for site in found if site is not None]


def _site(operation: Any) -> Optional[Site]:
    tensors = [operation.outputs[0]]
    for kinds in (("Mul",), ("Add", "AddV2")):  # of tf.random_uniform: from 0 to 1
        tensors += [user.outputs[0] for user in tensors[-1].consumers() if user.type in kinds][:1]
    for tensor in tensors:
        for user in tensor.consumers():
            others = [other for other in user.inputs if other is not tensor]
            if user.type == "GreaterEqual" and len(others) == 1:
                return Site(operation, others[0], False)
            if user.type in ("Add", "AddV2") and any(next_.type == "Floor" for next_ in user.outputs[0].consumers()):
                return Site(operation, others[0], True)
    return None


def replace(session: Any, found: List[Site], names: Mapping[str, str], seed: int) -> List[str]:
    """Replaces the numbers of ``found`` for ``session``, which starts again with its variables.

    ``names``: layers by the names of their scopes; a scope that is not there has its own name. Returns the names.
    """
    if not found:
        return []
    graph = session.graph
    if graph.finalized:
        raise WeightsError(_FINALIZED)
    counts: Dict[str, int] = {}
    counters = []
    with graph.as_default():
        for site in found:
            layer = _layer(site.operation.name, names)
            number = counts.get(layer, 0)
            counts[layer] = number + 1
            counter = _counter(graph)
            counters.append(counter)
            with _context_of(graph, site.operation):
                numbers = _numbers(site, mask_numbers.stream_of(seed, layer, number), counter)
            old = site.operation.outputs[0]
            numbers.set_shape(old.shape)
            for user in list(old.consumers()):
                for place, tensor in enumerate(user.inputs):
                    if tensor is old:
                        user._update_input(place, numbers)  # noqa: SLF001 (there is no public way)
    start_again(session)
    session.run([counter.initializer for counter in counters])
    return list(counts)


def _counter(graph: Any) -> Any:
    tensorflow: Any = sys.modules["tensorflow"]
    with graph.control_dependencies(None), v1().variable_scope("tfkernels_mask_steps", reuse=False):
        return v1().get_variable(
            graph.unique_name("step", mark_as_used=False), [], tensorflow.int64, v1().zeros_initializer(),
            trainable=False, collections=[STEPS], use_resource=True,
        )  # fmt: skip


def _numbers(site: Site, source: Any, counter: Any) -> Any:
    tensorflow: Any = sys.modules["tensorflow"]
    rate = site.rate
    dropping = tensorflow.less(rate, 1) if site.keeps else tensorflow.greater(rate, 0)
    step = counter.assign_add(tensorflow.cast(dropping, tensorflow.int64))
    step = tensorflow.identity(step) - tensorflow.cast(dropping, tensorflow.int64)
    numbers = mask_numbers.tensor(site.operation.inputs[0], source, step)
    return tensorflow.cast(numbers, site.operation.outputs[0].dtype)


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


def _layer(operation: str, names: Mapping[str, str]) -> str:
    """The innermost layer in whose scope an operation is; without layers, the scope itself."""
    found = ""
    for part in operation.split("/"):
        path = names.get(part, "")
        if path.startswith(f"{found}/" if found else ""):
            found = path or found
    if found:
        return found
    scope = operation
    while _INSIDE.sub("", scope) not in (scope, ""):
        scope = _INSIDE.sub("", scope)
    return scope


def start_again(session: Any) -> None:
    """Gives a session a new beginning, with the values that its variables have.

    TensorFlow reads an operation once: what was changed in it after the first run has no effect in that session.
    """
    graph = session.graph
    with graph.as_default():
        listed = [*v1().global_variables(), *v1().local_variables()]
        there = session.run([v1().is_variable_initialized(variable) for variable in listed])
        variables = [variable for variable, known in zip(listed, there) if known]
        values = session.run(variables)
        fresh = v1().Session(session.sess_str, graph=graph, config=session._config)  # noqa: SLF001 (see below)
    for name in ("_session", "_current_version"):  # the session is the user's object, so its inside is exchanged
        if hasattr(session, name):  # the second up to 1.14
            inside = getattr(session, name)
            setattr(session, name, getattr(fresh, name))
            setattr(fresh, name, inside)
    fresh.close()
    initialise(session, list(zip(variables, values)))
    with graph.as_default():
        session.run(v1().tables_initializer())
