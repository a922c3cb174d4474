"""Weights of checkpoints by objects, by our names: Keras's ``save_weights``, ``tf.train.Checkpoint``, ``tf.Module``.

The layers of a functional model stand under numbers, and their own names only in those of their variables. Objects that
are no model of Keras give their weights the names of their attributes: ``net/w1``.
"""

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Pattern, Set, Tuple

from tfkernels.models.layer_names import join
from tfkernels.saved_models.containers.hdf5 import parse_json
from tfkernels.saved_models.containers.object_graph import KEY, Object, ObjectGraph
from tfkernels.saved_models.containers.tensor_bundle import TensorBundle
from tfkernels.saved_models.keras import optimizers
from tfkernels.saved_models.keras.configs import Node, layers_of_names, tree, tree_of_names
from tfkernels.saved_models.keras.facts import facts
from tfkernels.saved_models.keras.optimizers import State, canonical_slot
from tfkernels.saved_models.keras.weight_names import canonical_names
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer, Weight, WrittenBy

_NUMBERED = re.compile(r"layer_with_weights-(\d+)")
_PLACE = re.compile(r"layer-(\d+)")
_BOOKKEEPING = {"save_counter", "keras_api", "loss", "metrics", "signatures", "_optimizer_step"}
_CONFIGURATION = ".ATTRIBUTES/OBJECT_CONFIG_JSON"
_STEPS = ("iter", "_iterations", "iterations")
_SETTINGS = ("learning_rate", "_learning_rate", "beta_1", "beta_2", "decay", "momentum", "rho", "epsilon")


def read(bundle: TensorBundle, model: Optional[Node] = None) -> SavedFile:
    graph = ObjectGraph(memoryview(bundle.read(KEY).item()))
    architecture = _architecture(bundle)
    root = tree(architecture) if architecture else None
    model = model or root
    names = _names(graph, model)
    known = set(bundle.keys)
    present = {name: graph[number] for name, number in names.items() if graph[number].key in known}
    weights = {name: bundle.weight(one.key).renamed(name, one.full_name) for name, one in present.items()}
    used = {one.key for one in present.values()}
    optimizer, state = _optimizer(graph, bundle, names, weights, model)
    left = [key for key in bundle.keys if key not in used | state | {KEY} and not key.endswith(_CONFIGURATION)]
    rest = {key: bundle.weight(key) for key in left}
    saved = SavedFile(
        bundle.prefix,
        "checkpoint-v2",
        _written_by(graph),
        weights,
        optimizer=optimizer,
        step=optimizer.step if optimizer else None,
        others={_plain(key): value.renamed(_plain(key)) for key, value in rest.items()},
        architecture=architecture,
    )
    return facts(saved, root)


def _architecture(bundle: TensorBundle) -> Optional[Dict[str, Any]]:
    """The configuration of the model, which only releases around 1.12 write into a checkpoint."""
    if f"/{_CONFIGURATION}" not in bundle.keys:
        return None
    found = parse_json(bytes(bundle.read(f"/{_CONFIGURATION}").item()), "the configuration in it")
    inner = found.get("config")
    return (
        found if isinstance(inner, dict) and inner.get("layers") and isinstance(found.get("class_name"), str) else None
    )


def _plain(key: str) -> str:
    return key.replace("/.ATTRIBUTES/VARIABLE_VALUE", "")


def _written_by(graph: ObjectGraph) -> WrittenBy:
    children = {name for one in graph.objects for name in one.children}
    numbered = any(_NUMBERED.fullmatch(name) for name in children)
    if "_iterations" in children:
        package = "tf.keras" if numbered else None
        return WrittenBy(None, package, ("2.11", ""), ("its optimizer counts in _iterations, as since 2.11",))
    if numbered:
        return WrittenBy(None, "tf.keras", ("1.9", "2.15"), ("layers have numbers, as in Keras 2 of TensorFlow",))
    return WrittenBy(None, None, ("1.9", ""), ("variables have places in objects, as since TensorFlow 1.9",))


def _names(graph: ObjectGraph, model: Optional[Node]) -> Dict[str, int]:
    """The number of each weight's object by our name."""
    skipped = _optimizers(graph) | {slot.variable for slot in graph.slots}
    for one in graph.objects:
        skipped |= {child for name, child in one.children.items() if name in _BOOKKEEPING}
    found: Dict[str, int] = {}
    root = next((path_object for path_object in graph.below(0, skipped) if _is_model(path_object[1])), None)
    inside: Set[int] = set()
    if root is not None:
        layers = _layers(graph, root[1], model, skipped)
        for layer, names in zip(layers, canonical_names([(layer.node, layer.full_names) for layer in layers])):
            found.update(zip(names, layer.numbers))
            inside |= set(layer.numbers)
    if "variables" in graph[0].children and "_all_variables" in graph[0].children:
        skipped |= {graph[0].children["_all_variables"]}  # the exports of Keras 3 have all of them twice
    rest = [
        (path, one)
        for path, one in graph.below(0, skipped)
        if one.key and one.number not in inside and not one.full_name.endswith("seed_generator_state")
    ]
    listed = [one for path, one in rest if path[-1].isdigit() and "/" in one.full_name]
    if listed and len(listed) == len(rest):  # a model that was exported: a list of variables
        return {**found, **_by_scope(listed, model)}
    for path, one in rest:
        found.setdefault("/".join(path), one.number)
    return found


def _by_scope(variables: List[Object], model: Optional[Node]) -> Dict[str, int]:
    """Names from those that variables had in their program, which begin with the layer's or the model's."""
    names = _without_root([one.full_name for one in variables])
    scopes = list(dict.fromkeys(name.split("/")[0] for name in names))
    nodes = model.children if model else tree_of_names(scopes).children
    layers = layers_of_names(scopes, model) if model else {node.name: node for node in nodes}
    root = model or Node("", "", "", {}, (), (), None, True)
    groups = [(layers.get(scope, root._replace(children=tuple(nodes) if model else ())), scope) for scope in scopes]
    held = [[pair for pair in zip(names, variables) if pair[0].split("/")[0] == scope] for _, scope in groups]
    named = canonical_names([(node, [name for name, _ in own]) for (node, _), own in zip(groups, held)])
    return {name: one.number for found, own in zip(named, held) for name, (_, one) in zip(found, own)}


def _without_root(names: List[str]) -> List[str]:
    """Names without the model's own, where all of them begin with it and then with a layer's."""
    roots = {name.split("/")[0] for name in names}
    if len(roots) > 1 or any(name.count("/") < 2 for name in names) or len({name.split("/")[1] for name in names}) < 2:
        return names
    return [name.partition("/")[2] for name in names]


def _is_model(one: Object) -> bool:
    return any(_NUMBERED.fullmatch(name) for name in one.children)


def _optimizers(graph: ObjectGraph) -> Set[int]:
    """The objects that are optimizers, by what they hold."""
    found = {one.number for one in graph.objects if one.slots}
    for one in graph.objects:
        if any(name in one.children for name in _STEPS) and not _is_model(one):
            found.add(one.number)
        found |= {child for name, child in one.children.items() if name in ("optimizer", "_optimizer")}
    return found


class _Layer(NamedTuple):
    """A layer with the variables in it, in the order of its attributes."""

    node: Node
    full_names: List[str]
    numbers: List[int]


def _layers(graph: ObjectGraph, model: Object, tree: Optional[Node], skipped: Set[int]) -> List[_Layer]:
    """The layers with weights of a model, those of models inside it included."""
    numbered = sorted(
        (int(match[1]), child)
        for name, child in model.children.items()
        for match in [_NUMBERED.fullmatch(name)]
        if match
    )
    places = {
        child: int(match[1]) for name, child in model.children.items() for match in [_PLACE.fullmatch(name)] if match
    }
    found: List[Tuple[Object, List[Tuple[Tuple[str, ...], Object]]]] = []
    for _, child in numbered:
        variables = [(path, one) for path, one in graph.below(child, skipped) if one.key]
        found.append((graph[child], variables))
    nodes = _nodes(tree, found, places)
    layers = []
    for (one, variables), node in zip(found, nodes):
        if _is_model(one):
            layers += _layers(graph, one, node if node.children else None, skipped)
        else:
            names = [_full_name(path, variable) for path, variable in variables]
            layers.append(_Layer(node, names, [variable.number for _, variable in variables]))
    return layers


def _numbers(model: Object, pattern: "Pattern[str]") -> Dict[int, int]:
    """The number that the pattern finds in an attribute's name, by the object there."""
    matches = ((child, pattern.fullmatch(name)) for name, child in model.children.items())
    return {child: int(match[1]) for child, match in matches if match}


def _full_name(path: Tuple[str, ...], variable: Object) -> str:
    name = variable.full_name
    return name if name and not re.fullmatch(r"(.*/)?Variable(_\d+)?", name) else "/".join(path[-1:])


def _nodes(
    tree: Optional[Node], layers: List[Tuple[Object, List[Tuple[Tuple[str, ...], Object]]]], places: Mapping[int, int]
) -> List[Node]:
    """The node of each layer: by its number in the model, else by the scope of its variables."""
    if tree is not None:
        every = list(tree.children)
        inputs = [node for node in every if node.class_name != "InputLayer"]
        for nodes in (every, inputs, [tree, *inputs]):  # up to 2.2 a Sequential counts an input that it does not list
            if len(nodes) == len(places):
                return [nodes[places[one.number]] for one, _ in layers if one.number in places]
    names = []
    for number, (_, variables) in enumerate(layers):
        scopes = [variable.full_name.split("/")[0] for _, variable in variables if "/" in variable.full_name]
        names.append(scopes[0] if scopes else f"layer_with_weights-{number}")
    around = tree.path if tree is not None else ""
    return [node._replace(path=join(around, node.path)) for node in tree_of_names(names).children]


def _optimizer(
    graph: ObjectGraph,
    bundle: TensorBundle,
    names: Mapping[str, int],
    weights: Mapping[str, Weight],
    model: Optional[Node],
) -> Tuple[Optional[SavedOptimizer], Set[str]]:
    """The optimizer, and the keys of its variables."""
    known = set(bundle.keys)
    by_number = {number: name for name, number in names.items() if name in weights}
    optimizers = [graph[number] for number in sorted(_optimizers(graph))]
    optimizers = [one for one in optimizers if any(inner.key for _, inner in graph.below(one.number))]
    if not optimizers:
        return None, set()
    own = {graph[slot.variable].key for slot in graph.slots}
    own |= {one.key for each in optimizers for _, one in graph.below(each.number) if one.key in known}
    found = [_one_optimizer(graph, bundle, each, by_number, weights, model) for each in optimizers]
    return _together(found), own


def _together(found: List[SavedOptimizer]) -> SavedOptimizer:
    """One for all of a file. Each trained other weights."""
    first, *others = found
    with_slots = [one for one in found if one.slots]
    if not others or len(with_slots) < 2:
        return next(iter(with_slots), first)
    steps = {name: one.step for one in with_slots for name in one.slots if one.step is not None}
    differ = len({one.step for one in with_slots}) > 1
    return SavedOptimizer(
        with_slots[0].class_name if len({one.class_name for one in with_slots}) == 1 else None,
        with_slots[0].config if all(one.config == with_slots[0].config for one in with_slots) else {},
        {name: slots for one in with_slots for name, slots in one.slots.items()},
        None if differ else with_slots[0].step,
        {name: weight for one in found for name, weight in one.others.items()},
        steps if differ else {},
    )


def _one_optimizer(
    graph: ObjectGraph, bundle: TensorBundle, optimizer: Object, by_number: Mapping[int, str],
    weights: Mapping[str, Weight], model: Optional[Node],
) -> SavedOptimizer:  # fmt: skip
    known = set(bundle.keys)
    if any(name in optimizer.children for name in ("_variables", "_trainable_variables")):
        return _of_keras_2_11(graph, bundle, optimizer, weights, model)
    slots: Dict[str, Dict[str, Weight]] = {}
    algorithm = ""
    for slot in optimizer.slots:
        variable, name = graph[slot.variable], by_number.get(slot.weight)
        if name and variable.key in known:
            algorithm = algorithm or _algorithm_of(variable.full_name, graph[slot.weight].full_name)
            kind = canonical_slot(algorithm, slot.name)
            slots.setdefault(name, {})[kind] = bundle.weight(variable.key).renamed(f"{name}/{kind}", variable.full_name)
    held = {name: graph[child] for name, child in optimizer.children.items() if graph[child].key in known}
    step = next((int(bundle.read(held[name].key).item()) for name in _STEPS if name in held), None)
    config = {name.lstrip("_"): float(bundle.read(held[name].key)) for name in _SETTINGS if name in held}
    others = {
        name: bundle.weight(one.key) for name, one in held.items() if name not in _STEPS and name not in _SETTINGS
    }
    ordered = {name: slots[name] for name in weights if name in slots}
    return SavedOptimizer(algorithm or None, config, ordered, step, others)


def _algorithm_of(slot: str, weight: str) -> str:
    """``Adam`` of ``training/Adam/dense/kernel/m``, the slot of ``dense/kernel``."""
    before = slot[: slot.find(f"/{weight}")] if f"/{weight}" in slot else ""
    return re.sub(r"_\d+$", "", before.rpartition("/")[2])


def _of_keras_2_11(
    graph: ObjectGraph, bundle: TensorBundle, optimizer: Object, weights: Mapping[str, Weight], model: Optional[Node]
) -> SavedOptimizer:
    """Optimizers since 2.11 hold a list of variables, and their names say which slot of which weight each is."""
    lists = [name for name in ("_variables", "_trainable_variables") if name in optimizer.children]
    held = [graph[child] for child in graph[optimizer.children[lists[0]]].children.values()]
    held += [graph[optimizer.children[name]] for name in _STEPS if name in optimizer.children]
    known = set(bundle.keys)
    held = [one for one in {one.number: one for one in held}.values() if one.key in known]
    arrays = [bundle.weight(one.key).renamed(one.full_name, one.full_name) for one in held]
    named = [one.full_name.split("/")[0] for one in held if one.full_name.count("/") > 1]
    plain = [optimizers.class_of_name(one.full_name.split("/")[0]) for one in held if "/" in one.full_name]
    settings: Dict[str, Any] = {"class_name": next(iter([*named, *filter(None, plain)]), None), "config": {}}
    if "_learning_rate" in optimizer.children and graph[optimizer.children["_learning_rate"]].key in known:
        rate = bundle.read(graph[optimizer.children["_learning_rate"]].key)
        settings["config"] = {"learning_rate": float(rate)}
    root = model or tree_of_names([])
    variables = {name: (weight.source, weight) for name, weight in weights.items()}
    return optimizers.assign(
        settings, State([one.full_name for one in held], arrays, True, in_order=False), root, variables
    )


__all__ = ["KEY", "read"]
