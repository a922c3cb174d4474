"""Which layer of one model is which of another: by name, by the weights that belong together, by class and place."""

from collections import Counter, defaultdict
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from tfkernels.conversion.layer_rules.by_class import class_in_all_releases
from tfkernels.errors import UsageError
from tfkernels.models.match import match

NAME, WEIGHTS, PLACE, GIVEN = "same name", "same weights", "same class and place", "mapping"

Layers = Mapping[str, Any]


class Pair(NamedTuple):
    """Two layers, by their names in their models, and why they are taken for one."""

    a: str
    b: str
    how: str


def pairs(a: Layers, b: Layers, mapping: Mapping[str, str]) -> List[Pair]:
    """In the order of ``a``. Nothing is guessed: a layer with two candidates stays alone."""
    for name, other in mapping.items():
        missing = name if name not in a else other if other not in b else None
        if missing is not None:
            raise UsageError(
                f"compare_models(): the mapping names the layer {missing!r}, which is not there. A mapping is "
                "{'layer in a': 'layer in b'}, with names as tfkernels.describe gives them"
            )
    found = {name: Pair(name, other, GIVEN) for name, other in mapping.items()}
    taken = set(mapping.values())
    for name in a:
        if name in b and name not in found and name not in taken and plain_class(a[name]) == plain_class(b[name]):
            found[name] = Pair(name, name, NAME)
            taken.add(name)
    for name, other in _by_weights(_rest(a, found), _rest(b, taken)):
        found[name] = Pair(name, other, WEIGHTS)
        taken.add(other)
    for name, other in _by_place(a, b, {pair.a: pair.b for pair in found.values()}):
        found[name] = Pair(name, other, PLACE)
        taken.add(other)
    for name in a:  # of another class, under the same name
        if name in b and name not in found and name not in taken:
            found[name] = Pair(name, name, NAME)
            taken.add(name)
    return [found[name] for name in a if name in found]


def _rest(layers: Layers, taken: Any) -> Layers:
    return {name: layer for name, layer in layers.items() if name not in taken}


def plain_class(layer: Mapping[str, Any]) -> str:
    """The class of a layer by the one name that it has for all releases."""
    name = class_in_all_releases(str(layer["class_name"]).split(">")[-1])
    return "Model" if name in ("Model", "Functional") else name


def _by_weights(a: Layers, b: Layers) -> List[Tuple[str, str]]:
    """Layers all of whose weights find theirs in one layer of the other model, as ``load_weights`` finds them."""
    owner_a, owner_b = ({f"{layer}/{weight}": layer for layer in layers for weight in layers[layer]["weights"]}
                        for layers in (a, b))  # fmt: skip
    shapes_a, shapes_b = ({f"{layer}/{weight}": tuple(shape) for layer in layers
                           for weight, shape in layers[layer]["weights"].items()} for layers in (a, b))  # fmt: skip
    partners: Dict[str, Counter] = defaultdict(Counter)  # type: ignore[type-arg]  # Python 3.6 has no Counter[str]
    for found in match(shapes_a, shapes_b, {}):
        if shapes_b[found.source] == found.shape:
            partners[owner_a[found.target]][owner_b[found.source]] += 1
    return [
        (layer, next(iter(others)))
        for layer, others in partners.items()
        if len(others) == 1 and sum(others.values()) == len(a[layer]["weights"])
        and plain_class(a[layer]) == plain_class(b[next(iter(others))])
    ]  # fmt: skip


def _by_place(a: Layers, b: Layers, paired: Mapping[str, str]) -> List[Tuple[str, str]]:
    """Layers of one class between the same two pairs, if there are as many of them in both models."""
    here, there = _gaps(a, {name: name for name in paired}), _gaps(b, {other: name for name, other in paired.items()})
    return [
        couple
        for gap, names in here.items()
        if len(names) == len(there.get(gap, ()))
        for couple in zip(names, there[gap])
    ]


def _gaps(layers: Layers, anchors: Mapping[str, str]) -> Dict[Tuple[str, str, str], List[str]]:
    """Layers without a partner, by their class and the nearest layers with one, which ``anchors`` gives names to."""
    after: Dict[str, str] = {}
    last = ""
    for name in reversed(list(layers)):
        after[name] = last
        last = anchors.get(name, last)
    found: Dict[Tuple[str, str, str], List[str]] = defaultdict(list)
    last = ""
    for name in layers:
        if name in anchors:
            last = anchors[name]
        else:
            found[plain_class(layers[name]), last, after[name]].append(name)
    return found
