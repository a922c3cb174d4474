"""A training step whose values are fetched before it changes the weights that they depend on.

In a session nothing orders the fetch of a loss and the update of weights: the loss can be computed, in part, with
the weights of the next step. So the operations that change variables are copied, and the copies wait for the values.
All other operations are the graph's own: each runs once, and draws the numbers that it would have drawn.
"""

import contextlib
import weakref
from typing import Any, Dict, Iterator, List, Tuple

from tfkernels.errors import TraceError
from tfkernels.models.tensorflow_api import v1
from tfkernels.training.graph.operations import changed, closure, direct_needs

SCOPE = "tfkernels_trace"

_made: "weakref.WeakKeyDictionary[Any, Dict[Tuple[str, ...], List[Any]]]" = weakref.WeakKeyDictionary()


def ordered(graph: Any, training: List[Any], values: List[Any], earlier: List[Any]) -> List[Any]:
    """Operations that do what ``training`` does, after all ``values`` were computed; both are of the graph.

    ``earlier`` are tensors from which the update is computed: what changes variables before them is not delayed.
    Asked for the same again, it adds nothing to the graph.
    """
    key = tuple(" ".join(one.name for one in group) for group in (training, values, earlier))
    made = _made.setdefault(graph, {})
    if key not in made:
        made[key] = _copy(graph, training, values, earlier)
    return made[key]


@contextlib.contextmanager
def open_for_additions(graph: Any) -> Iterator[None]:
    """A finalized graph takes operations meanwhile. A ``MonitoredSession`` finalizes its graph before users get it."""
    finalized = graph.finalized
    if finalized:
        graph._unsafe_unfinalize()  # noqa: SLF001 (TensorFlow's own scaffolds use it; there is no public way)
    try:
        yield
    finally:
        if finalized:
            graph.finalize()


def _copy(graph: Any, training: List[Any], values: List[Any], earlier: List[Any]) -> List[Any]:
    before = closure([tensor.op for tensor in (*values, *earlier)])
    delayed: Dict[Any, None] = {}
    for operation in closure(training):
        if operation not in before and (changed(operation) or any(need in delayed for need in direct_needs(operation))):
            delayed[operation] = None
    for operation in delayed:
        if operation.type in ("Enter", "RefEnter", "Exit", "NextIteration", "RefNextIteration"):
            raise TraceError(
                f"train_op changes variables in a tf.while_loop ({operation.name}), and a trace needs one session run "
                "for each update. Give the train_op that the loop repeats"
            )
    copies: Dict[Any, Any] = {}
    with open_for_additions(graph), graph.as_default(), graph.control_dependencies(None), v1().name_scope(SCOPE):
        with graph.control_dependencies([tensor.op for tensor in values]):
            computed = v1().no_op(name="computed")
        for operation in delayed:
            waits = [copies.get(one, one) for one in operation.control_inputs]
            copies[operation] = _again(graph, operation, copies, waits + ([computed] if changed(operation) else []))
    return [copies.get(operation, operation) for operation in training]


def _again(graph: Any, operation: Any, copies: Dict[Any, Any], waits: List[Any]) -> Any:
    inputs = [
        copies[tensor.op].outputs[tensor.value_index] if tensor.op in copies else tensor for tensor in operation.inputs
    ]
    definition = operation.node_def
    with graph.control_dependencies(waits), graph.device(operation.device):
        return graph.create_op(
            operation.type,
            inputs,
            [tensor.dtype for tensor in operation.outputs],
            input_types=[tensor.dtype if _keeps_reference(operation, place) else tensor.dtype.base_dtype
                         for place, tensor in enumerate(operation.inputs)],
            name=operation.name.rpartition("/")[2],
            attrs={name: definition.attr[name] for name in definition.attr},
            op_def=operation.op_def,
        )  # fmt: skip


def _keeps_reference(operation: Any, place: int) -> bool:
    """Whether the input at ``place`` is a reference to a variable, and no value read from it."""
    declared = operation.op_def.input_arg
    if len(declared) != len(operation.inputs):
        return False
    return bool(declared[place].is_ref)
