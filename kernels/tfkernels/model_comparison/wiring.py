"""Which layers each layer of a model gets its inputs from, by our names: read from the configuration of the model."""

from typing import AbstractSet, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from tfkernels.conversion.layer_rules.model_graph import (
    Call,
    LayerCalls,
    ModelGraph,
    Tensor,
    is_functional,
    model_graph,
)
from tfkernels.models.layer_names import is_a, join, named_children, walk

Calls = List[List[str]]
"""For each call of a layer the names of those that it is called on: ``conv1``, at its second call ``conv1:1``, its
second output ``lstm[1]``. Inputs of a model are ``input``, ``input:1``, …"""

INPUT = "input"

_OF_ANY_ORDER = ("Add", "Multiply", "Average", "Maximum", "Minimum")


def wiring(model: Any) -> Dict[str, Calls]:
    """The calls of each layer by its path, as far as the models around them can say it. A subclass cannot."""
    found: Dict[str, Calls] = {}
    for path, layer in walk(model):
        if is_a(layer, "Sequential"):
            names = [join(path, name) for name, _ in named_children(layer)]
            found.update({name: [[before]] for before, name in zip([join(path, INPUT), *names], names)})
        elif is_a(layer, "Model"):
            found.update(_of_functional(layer, path))
    return found


def _of_functional(model: Any, path: str) -> Dict[str, Calls]:
    try:
        node = {"class_name": type(model).__name__, "config": model.get_config()}
        graph = model_graph(node) if is_functional(node) else None
    except Exception:  # noqa: BLE001 (the code of users, in layers whose configuration cannot be had)
        graph = None
    if graph is None:
        return {}
    names = {child.name: join(path, name) for name, child in named_children(model)}
    sources = _Sources(graph, names, path)
    return {names[one.name]: [sources.of_call(call) for call in one.calls] for one in graph.layers if one.name in names}


class _Sources:
    """Looks through operations, which are layers in some releases only."""

    def __init__(self, graph: ModelGraph, names: Mapping[str, str], path: str) -> None:
        self._layers: Dict[str, LayerCalls] = {layer.name: layer for layer in graph.layers}
        self._inputs = [tensor.layer for tensor in _tensors(graph.inputs)]
        self._names = names
        self._path = path
        self._of_operations: Dict[Tuple[str, int], List[str]] = {}  # each once, as an operation may use two of them

    def of_call(self, call: Call) -> List[str]:
        return [name for tensor in _tensors([call.args, call.kwargs]) for name in self._of(tensor)]

    def _of(self, tensor: Tensor) -> List[str]:
        if tensor.layer in self._inputs:
            place = self._inputs.index(tensor.layer)
            return [join(self._path, f"{INPUT}:{place}" if place else INPUT)]
        name = self._names.get(tensor.layer)
        if name is None:
            key = (tensor.layer, tensor.call)
            if key not in self._of_operations:
                calls = self._layers[tensor.layer].calls
                sources = self.of_call(calls[tensor.call]) if tensor.call < len(calls) else []
                self._of_operations[key] = list(dict.fromkeys(sources))
            return self._of_operations[key]
        call = f":{tensor.call}" if tensor.call else ""
        return [f"{name}{call}{f'[{tensor.place}]' if tensor.place else ''}"]


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _tensors(one)


class Wired(NamedTuple):
    """Inputs of a layer in two models, as text, where they differ."""

    a: str
    b: str


def differing(
    a: Mapping[str, Any], b: Mapping[str, Any], layer: str, other: str, partners: Mapping[str, str]
) -> Optional[Wired]:
    """The inputs of ``layer`` in the layers ``a`` and of ``other`` in ``b``, if they differ.

    ``partners`` are names in ``b`` by names in ``a``. Layers without a partner are looked through. What is behind a
    model without a partner is not known, and no difference.
    """
    one, two = a[layer].get("inputs"), b[other].get("inputs")
    if one is None or two is None:
        return None
    behind_a, behind_b = _Behind(a, set(partners)), _Behind(b, set(partners.values()))
    ours = [behind_a.all_of(call) for call in one]
    theirs = [behind_b.all_of(call) for call in two]
    if None in ours or None in theirs:
        return None
    ours = [[_renamed(name, partners) for name in call or ()] for call in ours]
    if a[layer]["class_name"] in _OF_ANY_ORDER:
        ours, theirs = [sorted(call or ()) for call in ours], [sorted(call or ()) for call in theirs]
    return None if ours == theirs else Wired(_text(one), _text(two))


class _Behind:
    """Looks through layers without a partner. Each is looked through once: paths double at every residual block."""

    def __init__(self, layers: Mapping[str, Any], paired: AbstractSet[str]) -> None:
        self._layers = layers
        self._paired = paired
        self._models = {name.rpartition("/")[0] for name, layer in layers.items() if layer.get("inputs") is not None}
        self._known: Dict[str, Optional[List[str]]] = {}

    def all_of(self, names: Sequence[str]) -> Optional[List[str]]:
        found: List[str] = []
        for name in names:
            sources = self._of(name)
            if sources is None:
                return None
            found += sources
        return found

    def _of(self, name: str) -> Optional[List[str]]:
        if name not in self._known:
            self._known[name] = None  # of a circle nothing is known
            before = self._one_layer(name)
            sources = before if before is None or before == [name] else self.all_of(before)
            self._known[name] = None if sources is None else list(dict.fromkeys(sources))
        return self._known[name]

    def _one_layer(self, name: str) -> Optional[List[str]]:
        """What a layer without a partner gets, or the name itself; ``None`` if it is not known."""
        base, number = _base(name), _number(name)
        owner, _, last = base.rpartition("/")
        if base in self._layers:
            calls = self._layers[base].get("inputs")
            if base in self._paired or calls is None:
                return [name]
            return calls[number] if base not in self._models and number < len(calls) else None
        if last == INPUT and owner in self._layers and owner not in self._paired:
            calls = self._layers[owner].get("inputs") or []
            return [calls[0][number]] if len(calls) == 1 and number < len(calls[0]) else None
        return [name]


def _renamed(name: str, partners: Mapping[str, str]) -> str:
    base = _base(name)
    owner, _, last = base.rpartition("/")
    if last == INPUT and base not in partners:  # of a model inside
        return join(partners.get(owner, owner), INPUT) + name[len(base) :]
    return partners.get(base, base) + name[len(base) :]


def _base(name: str) -> str:
    """The name of the layer, without the number of a call and the place of an output."""
    return name.split("[")[0].split(":")[0]


def _number(name: str) -> int:
    """The number of the call, or of the model's input."""
    return int(name.split("[")[0].partition(":")[2] or 0)


def _text(calls: Calls) -> str:
    return "; ".join(", ".join(call) for call in calls)
