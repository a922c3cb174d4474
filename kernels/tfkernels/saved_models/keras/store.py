"""Weights of Keras by objects, as ``.keras`` archives and ``.weights.h5`` files hold them since TensorFlow 2.12.

A layer's weights have numbers, and its place is a path of attributes: ``layers/dense_1/vars/0``. Layers side by side
are told apart by their classes and order. The names come from the model's configuration, else from what each class has.
"""

from collections import Counter
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from tfkernels.models.layer_names import join, renumbered, take_name
from tfkernels.saved_models.containers.hdf5 import Hdf5
from tfkernels.saved_models.keras import optimizers
from tfkernels.saved_models.keras.classes import class_of_name, own_weights, snake_cases
from tfkernels.saved_models.keras.configs import Node, tree_of_names
from tfkernels.saved_models.keras.optimizers import State
from tfkernels.saved_models.limits import MOST_DEPTH, check_length
from tfkernels.saved_models.saved_file import SavedOptimizer, Weight

CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
_NO_WEIGHTS = ("optimizer", "_optimizer", "metrics", "_metrics", "loss", "seed_generator", "_seed_generator")
_PARTS = {
    "forward_layer": "forward",
    "backward_layer": "backward",
    "cell": "",
    "_query_dense": "query",
    "_key_dense": "key",
    "_value_dense": "value",
    "_output_dense": "attention_output",
    "query_dense": "query",
    "key_dense": "key",
    "value_dense": "value",
    "output_dense": "attention_output",
}
"""Attributes of Keras's own layers that hold layers, and our names of these."""


_DIRECTIONS = ("forward", "backward")  # of recurrent layers, which all have the same names of weights


class Stored(NamedTuple):
    weights: Dict[str, Weight]
    optimizer: Optional[SavedOptimizer]
    others: Dict[str, Weight]


def is_by_objects(hdf5: Hdf5) -> bool:
    """Whether an HDF5 file is of this form."""
    return any(name in hdf5.file for name in (*CONTAINERS, "vars"))


def read(hdf5: Hdf5, root: Optional[Node], training: Optional[Mapping[str, Any]]) -> Stored:
    """``root`` is the tree of the model, if there is one."""
    reader = _Reader(hdf5)
    reader.layer(hdf5.file, root or Node("", "", "", {}, (), (), None, True), "", 0)
    weights = reader.in_order(root)
    others = {}
    for path, dataset in hdf5.walk(hdf5.file):
        if path not in reader.used and not path.startswith(("optimizer/", "_optimizer/")):
            others[path] = hdf5.weight(dataset, path, path)
    return Stored(weights, _optimizer(hdf5, root, training, weights), others)


def _optimizer(
    hdf5: Hdf5, root: Optional[Node], training: Optional[Mapping[str, Any]], weights: Mapping[str, Weight]
) -> Optional[SavedOptimizer]:
    settings = optimizers.settings_in(training)
    group = next((found for found in (hdf5.child(hdf5.file, name) for name in _NO_WEIGHTS[:2]) if found), None)
    inner = hdf5.child(group, "inner_optimizer") if group is not None else None  # of one that scales the loss
    arrays = [hdf5.weight(one, name, name) for name, one in _variables(hdf5, inner if inner is not None else group)]
    if not (settings or arrays):
        return None
    if not settings and group is not None:  # Keras 3 names the optimizer, which is its class in other letters
        held = hdf5.child(group, "vars")
        settings = {"class_name": optimizers.class_of_name(hdf5.text(held, "name") if held is not None else None)}
    variables = {name: (name, weight) for name, weight in weights.items()}
    return optimizers.assign(settings, State([], arrays, True, root is not None), root or tree_of_names([]), variables)


def _variables(hdf5: Hdf5, group: Any) -> List[Tuple[str, Any]]:
    """The variables of an object itself, by number."""
    held = hdf5.child(group, "vars") if group is not None else None
    if held is None or not hasattr(held, "keys"):
        return []
    found = [(name, hdf5.child(held, name)) for name in held if name.isdigit() or not name]
    found.sort(key=lambda pair: int(pair[0]))
    return [(f"{held.name.strip('/')}/{name}", one) for name, one in found if hasattr(one, "shape")]


class _Reader:
    """Goes through the objects of a file and the layers of a model side by side."""

    def __init__(self, hdf5: Hdf5) -> None:
        self.hdf5 = hdf5
        self.weights: Dict[str, Weight] = {}
        self.used: Set[str] = set()
        self.taken: Set[str] = set()

    def layer(self, group: Any, node: Node, path: str, depth: int) -> None:
        check_length(depth, MOST_DEPTH, "the depth of its layers")
        self._own(group, node, path)
        left = [name for name in group if name != "vars" and hasattr(self.hdf5.child(group, name), "keys")]
        for name in left:
            inner = self.hdf5.child(group, name)
            if name in CONTAINERS or (name in ("cells", "_cells") and node.children):
                self._container(inner, node, path, depth)
            elif (depth == 0 and name in _NO_WEIGHTS) or name in _NO_WEIGHTS[4:]:
                continue
            elif name in ("cell", "_cell") and not node.children:
                self.layer(inner, node, path, depth + 1)
            elif name == "layer" and len(node.children) == 1:
                self.layer(inner, node.children[0], node.children[0].path, depth + 1)
            else:
                self._attribute(name, inner, node, path, depth)

    def _attribute(self, name: str, group: Any, node: Node, path: str, depth: int) -> None:
        part = _PARTS.get(name)
        found = next((child for child in node.children if part is not None and child.path == join(path, part)), None)
        if found is not None:
            self.layer(group, found, found.path, depth + 1)
            return
        if part is None and "vars" not in group and not any(kind in group for kind in CONTAINERS):
            self._container(group, node._replace(children=()), path, depth)  # a list or dict of layers
            return
        given = self._given_name(group) or name
        kind = "EinsumDense" if part in ("query", "key", "value", "attention_output") else class_of_name(given)
        own = part if part is not None else renumbered([(given, kind)])[0]
        inner = join(path, own) if own else path
        settings = {"bias_axes": "e"} if kind == "EinsumDense" else {}
        weights = own_weights("LSTM" if part in _DIRECTIONS else kind, settings) if kind or part else None
        self.layer(group, Node(inner, given, kind, settings, (), (), weights, True), inner, depth + 1)

    def _container(self, group: Any, node: Node, path: str, depth: int) -> None:
        """Layers side by side: the second Dense is ``dense_1``."""
        names = list(group)
        by_key = _by_key(node) if node.children else {}
        unknown = [name for name in sorted(names, key=_natural) if name not in by_key]
        given = [self._given_name(self.hdf5.child(group, name)) or name for name in unknown]
        kinds = [class_of_name(name) for name in unknown]
        for name, own, kind, canonical in zip(unknown, given, kinds, renumbered(zip(given, kinds))):
            inner = join(path, canonical)
            weights = own_weights(kind, {}) if kind else None
            by_key[name] = Node(inner, own, kind, {}, (), (), weights, True)
        for name in names:
            one = self.hdf5.child(group, name)
            if hasattr(one, "keys"):
                self.layer(one, by_key[name], by_key[name].path, depth + 1)

    def _given_name(self, group: Any) -> str:
        """The name of a layer, which Keras writes beside its weights since 3.7."""
        held = self.hdf5.child(group, "vars") if hasattr(group, "keys") else None
        return (self.hdf5.text(held, "name") or "") if held is not None else ""

    def _own(self, group: Any, node: Node, path: str) -> None:
        variables = _variables(self.hdf5, group)
        names = _names(node, len(variables))
        for number, (source, dataset) in enumerate(variables):
            name = take_name(join(path, names[number] if names else str(number)), self.taken, "_")
            self.weights[name] = self.hdf5.weight(dataset, name, source)
            self.used.add(source)

    def in_order(self, root: Optional[Node]) -> Dict[str, Weight]:
        if root is None:
            return self.weights
        order: Dict[str, int] = {}
        for node in root.walk():
            order.setdefault(node.path, len(order))
        names = sorted(self.weights, key=lambda name: order.get(name.rpartition("/")[0], len(order)))
        return {name: self.weights[name] for name in names}


def _names(node: Node, count: int) -> Optional[Tuple[str, ...]]:
    """What a layer's weights are called, if their number fits. Only a last one, the bias, can be missing."""
    if node.weights is None or len(node.weights) < count:
        return None
    names = tuple(name for name in node.weights)
    if len(names) == count or (not node.config and names[-1] == "bias" and len(names) == count + 1):
        return names[:count]
    return None


def _by_key(node: Node) -> Dict[str, Node]:
    """The layers of a model by their keys in a container, in the spelling of Keras 2 and 3."""
    found: Dict[str, Node] = {}
    for spelling in (0, -1):
        used: Counter[str] = Counter()
        for child in node.children:
            stem = snake_cases(child.class_name)[spelling]
            found.setdefault(f"{stem}_{used[stem]}" if used[stem] else stem, child)
            used[stem] += 1
    return found


def _natural(name: str) -> Tuple[str, int]:
    stem, _, number = name.rpartition("_")
    return (stem, int(number)) if stem and number.isdigit() else (name, 0)
