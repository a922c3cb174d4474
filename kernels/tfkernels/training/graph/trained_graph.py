"""What a graph has for training, as far as a trace asks for it: found once, before the first step."""

from typing import Any, Dict, Iterable, List, NamedTuple, Optional

from tfkernels.errors import TraceError
from tfkernels.models.recorder import watched
from tfkernels.models.tensorflow_api import nest, v1
from tfkernels.models.weights import weights_of_graph
from tfkernels.training.graph.layer_outputs import layer_outputs
from tfkernels.training.graph.loss_terms import LossTerms, loss_of_gradients, terms_of
from tfkernels.training.graph.operations import closure
from tfkernels.training.graph.random_numbers import Draws, draws_of
from tfkernels.training.graph.sources import Sources, sources_of
from tfkernels.training.graph.updates import WeightUpdate, is_average, updates_of
from tfkernels.training.random_draws import MASK_COUNTS


class TrainedGraph(NamedTuple):
    """The parts of a graph that trains. Weights have the names that ``tfkernels.weights(session)`` gives them."""

    training: List[Any]
    """The operations that a session runs to train."""
    loss: Any
    terms: LossTerms
    sources: Sources
    draws: Draws
    outputs: Dict[str, Any]
    updates: List[WeightUpdate]
    weights: Dict[str, Any]
    trained: List[str]
    """Names of weights that are trained, or could be."""
    averages: Dict[str, Any]
    """The variable with the moving average of a weight, by the weight's name."""
    global_step: Optional[Any]
    variables: Dict[str, Any]
    """All variables of the graph, by name."""
    about: Dict[str, Any]
    """What the graph has and ``train_op`` or ``loss`` leave out."""

    @property
    def statistics(self) -> List[str]:
        return [name for name in self.weights if name not in set(self.trained)]

    @property
    def slots(self) -> Dict[str, Any]:
        """The variables of slots by our names, such as ``dense/kernel/m``."""
        return {
            f"{update.weight}/{slot}": self.variables[variable]
            for update in self.updates
            for slot, variable in update.slots.items()
            if variable in self.variables
        }


def trained_graph(graph: Any, loss: Any, train_op: Any, outputs: Any) -> TrainedGraph:
    """Finds in ``graph`` what is not given. Raises ``TraceError`` if it is not there."""
    with graph.as_default():
        listed = [*v1().global_variables(), *v1().local_variables(), *v1().get_collection(MASK_COUNTS)]
        variables = {one.op.name: one for one in listed}
        trainable = [one.op.name for one in v1().trainable_variables()]
    training = [element(graph, one, "train_op") for one in _train_ops(graph, train_op)]
    training = [getattr(one, "op", one) for one in training]
    updates = updates_of(training, trainable)
    if not updates:
        names = ", ".join(operation.name for operation in training)
        raise TraceError(
            f"Cannot trace the training: train_op ({names}) changes no weight. Give the operation that your session "
            "runs to train, such as optimizer.minimize(loss)"
        )
    gradients = [update.gradient.values for update in updates if update.gradient is not None]
    loss = element(graph, loss, "loss") if loss is not None else loss_of_gradients(gradients)
    if loss is None:
        raise TraceError("Cannot trace the training: the graph does not tell its loss. Give it with loss=")
    loss = getattr(loss, "outputs", [loss])[0]
    weights = {**weights_of_graph(graph)}
    weights.update({one.weight: variables[one.weight] for one in updates if one.weight in variables})
    known = set(trainable) | {update.weight for update in updates}
    terms = terms_of(loss)
    return TrainedGraph(
        training,
        loss,
        terms,
        sources_of(terms.data),
        draws_of(loss),
        _outputs(graph, outputs, loss, [name for name in weights if name in known]),
        updates,
        weights,
        [name for name in weights if name in known],
        _averages(variables, weights),
        next((variable for name, variable in variables.items() if name.rpartition("/")[2] == "global_step"), None),
        variables,
        _left_out(graph, training, loss),
    )


def element(graph: Any, value: Any, option: str) -> Any:
    """The tensor or operation of ``graph`` that ``value`` is, or names."""
    try:
        return graph.as_graph_element(value)
    except (KeyError, ValueError, TypeError) as error:
        raise TraceError(f"{option}: {error}. Give a tensor or operation of the session's graph") from error


def _train_ops(graph: Any, train_op: Any) -> List[Any]:
    given = [one for one in nest().flatten(train_op) if one is not None]
    if given:
        return given
    found = list(dict.fromkeys(graph.get_collection("train_op")))
    if len(found) != 1:
        names = f": {', '.join(one.name for one in found)}" if found else ""
        raise TraceError(
            f"Cannot trace the training: the graph has {len(found)} training operations{names}. Give the one that your "
            "session runs, train_op="
        )
    return found


def _outputs(graph: Any, given: Any, loss: Any, weights: List[str]) -> Dict[str, Any]:
    if given is None:
        return {**(watched(graph) or layer_outputs(loss, weights))}
    if not isinstance(given, dict):
        tensors = [element(graph, one, "outputs") for one in nest().flatten(given)]
        given = {tensor.op.name: tensor for tensor in tensors}
    found = {name: nest().map_structure(lambda one: element(graph, one, "outputs"), value)
             for name, value in given.items()}  # fmt: skip
    lost = [name for name, value in found.items() for one in nest().flatten(value) if not graph.is_fetchable(one)]
    if lost:
        raise TraceError(
            f"{', '.join(lost)}: inside a tf.while_loop or tf.cond, where a session cannot fetch it. Give what the "
            "loop or the condition returns"
        )
    return found


def _averages(variables: Dict[str, Any], weights: Iterable[str]) -> Dict[str, Any]:
    longest_first = sorted(weights, key=len, reverse=True)
    found: Dict[str, Any] = {}
    for name, variable in variables.items():
        owner, _, ending = name.rpartition("/")
        if is_average(ending):
            weight: Optional[str] = next((one for one in longest_first if f"/{owner}".endswith(f"/{one}")), None)
            if weight is not None:
                found.setdefault(weight, variable)
    return found


def _left_out(graph: Any, training: List[Any], loss: Any) -> Dict[str, Any]:
    """What the graph's collections hold for training, and how much of it this training runs and adds."""
    run, summed = closure(training), closure([loss.op])
    updates = [getattr(one, "op", one) for one in graph.get_collection("update_ops")]
    losses = graph.get_collection("regularization_losses")
    return {
        "update_ops": {
            "run": sum(one in run for one in updates),
            "left_out": [one.name for one in updates if one not in run],
        },
        "regularization_losses": {
            "in_loss": sum(one.op in summed for one in losses),
            "left_out": [one.op.name for one in losses if one.op not in summed],
        },
    }
