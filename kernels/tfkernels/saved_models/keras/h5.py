"""Keras models and weights in HDF5: Keras 2.0 to 3, as a package and in TensorFlow."""

from typing import Any, Dict, List, Mapping, Optional, Tuple

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.hdf5 import Hdf5, file_size
from tfkernels.saved_models.keras import optimizers, versions
from tfkernels.saved_models.keras.configs import Node, layers_of_names, tree, tree_of_names
from tfkernels.saved_models.keras.facts import facts
from tfkernels.saved_models.keras.weight_names import canonical_names
from tfkernels.saved_models.saved_file import SavedFile, Weight

_TOP_LEVEL = "top_level_model_weights"


def read(path: str, model: Optional[Node] = None) -> SavedFile:
    """``model`` is the tree of a model that the weights are for, for files without a configuration."""
    with Hdf5(path, file_size(path)) as hdf5:
        architecture = hdf5.json(hdf5.file, "model_config")
        training = hdf5.json(hdf5.file, "training_config")
        group = _weights_group(hdf5)
        version = hdf5.text(group, "keras_version") or hdf5.text(hdf5.file, "keras_version")
        names = hdf5.texts(group, "layer_names")
        if names is None:
            raise UnreadableFile("it is an HDF5 file, but none of Keras: it names no layers")
        root = tree(architecture) if architecture else model or tree_of_names(names)
        weights, variables = _weights(hdf5, group, names, root)
        optimizer = optimizers.from_h5(hdf5, training, root, variables)
    written_by = versions.of_keras(version, architecture, [variable for variable, _ in variables.values()])
    return facts(
        SavedFile(
            path,
            "keras-h5" if architecture else "keras-h5-weights",
            written_by,
            weights,
            architecture=architecture,
            optimizer=optimizer,
            training_config=training,
            step=optimizer.step if optimizer else None,
        ),
        root if architecture else None,
    )


def _weights_group(hdf5: Hdf5) -> Any:
    inner = hdf5.child(hdf5.file, "model_weights")
    return hdf5.file if inner is None or "layer_names" in hdf5.file.attrs else inner


def _weights(
    hdf5: Hdf5, group: Any, names: List[str], root: Node
) -> Tuple[Dict[str, Weight], Dict[str, Tuple[str, Weight]]]:
    """The weights, and the same with the names of their variables."""
    unknown = {node.name: node for node in tree_of_names(names).children}
    nodes = {**unknown, **layers_of_names(names, root)}
    groups, datasets = [], []
    for name in [*names, _TOP_LEVEL]:
        layer = hdf5.child(group, name) if name else None
        variables = hdf5.texts(layer, "weight_names") if layer is not None else None
        if not variables:
            continue
        for variable in variables:
            dataset = hdf5.child(layer, variable)
            if dataset is None or not hasattr(dataset, "shape"):
                raise UnreadableFile(f"the weight {variable[:200]!r} of layer {name[:200]!r} is missing")
            datasets.append((dataset, variable))
        node = root._replace(children=()) if name == _TOP_LEVEL else nodes[name]
        groups.append((node, variables))
    canonical = [name for found in canonical_names(groups) for name in found]
    order = _places(root)
    pairs = sorted(zip(canonical, datasets), key=lambda pair: _place(pair[0], order))
    weights = {name: hdf5.weight(dataset, name, variable) for name, (dataset, variable) in pairs}
    return weights, {name: (variable, weights[name]) for name, (_, variable) in pairs}


def _places(root: Node) -> Mapping[str, int]:
    """The order of layers in their model, by path."""
    found: Dict[str, int] = {}
    for node in root.walk():
        if node.path:
            found.setdefault(node.path, len(found))
    return found


def _place(name: str, order: Mapping[str, int]) -> int:
    """Of the layer of a weight, or of the nearest one around it that is known."""
    path = name
    while path:
        path = path.rpartition("/")[0]
        if path in order:
            return order[path]
    return len(order)
