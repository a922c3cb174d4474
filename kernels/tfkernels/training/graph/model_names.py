"""Names of weights and layers for a Keras model that a session trains: those of the model, not of the graph."""

from typing import Any, Dict

from tfkernels.models.layer_names import named_weights, walk
from tfkernels.training.graph.trained_graph import TrainedGraph


def with_names_of(model: Any, graph: TrainedGraph) -> TrainedGraph:
    """The same graph, in which the weights of ``model`` have the names that ``tfkernels.weights(model)`` gives them."""
    names = {variable.name.split(":")[0]: name for name, variable in named_weights(model).items()}

    def renamed(by_name: Dict[str, Any]) -> Dict[str, Any]:
        return {names.get(name, name): value for name, value in by_name.items()}

    return graph._replace(
        updates=[update._replace(weight=names.get(update.weight, update.weight)) for update in graph.updates],
        weights=renamed(graph.weights),
        trained=[names.get(name, name) for name in graph.trained],
        averages=renamed(graph.averages),
    )


def outputs_of(model: Any) -> Dict[str, Any]:
    """The outputs of a model's layers in its graph, by the names that a trace has. Shared layers have several."""
    found = {}
    for name, layer in walk(model):
        try:
            found[name or "output"] = layer.output
        except (AttributeError, ValueError):  # called several times, or never by itself
            continue
    own = found.pop("output", None)
    return found if own is None else {**found, "output": own}
