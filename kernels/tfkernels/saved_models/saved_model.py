"""SavedModel folders: metagraphs with tags and signatures, variables, and Keras's metadata where it has some.

The messages are TensorFlow's ``saved_model.proto`` and ``saved_object_graph.proto``, and Keras's
``saved_metadata.proto``.
"""

import os
from typing import Any, Dict, Optional

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models import checkpoints, metagraphs
from tfkernels.saved_models.containers.hdf5 import parse_json
from tfkernels.saved_models.containers.protobuf import Message
from tfkernels.saved_models.keras import optimizers, versions
from tfkernels.saved_models.keras.configs import Node, tree
from tfkernels.saved_models.keras.facts import facts
from tfkernels.saved_models.saved_file import SavedFile, SavedOptimizer, Signature, WrittenBy

FILE = "saved_model.pb"
_TEXT = "saved_model.pbtxt"
FILES = (FILE, _TEXT)
_METADATA = "keras_metadata.pb"
_EXPORTED = os.path.join("assets", "saved_model.json")
"""The architecture that ``export_saved_model`` of 1.13 to 2.0 and ``save_keras_model`` of 1.12 put beside a graph."""


def is_folder(path: str) -> bool:
    return any(os.path.isfile(os.path.join(path, name)) for name in FILES)


def read(path: str, model: Optional[Node] = None) -> SavedFile:
    """``path`` is the folder, or ``saved_model.pb`` in it."""
    folder = path if os.path.isdir(path) else os.path.dirname(path) or "."
    if not os.path.isfile(os.path.join(folder, FILE)):
        raise UnreadableFile(f"its graph is text ({_TEXT})", advice="Load it in its own release, and save it again.")
    graphs = metagraphs.of_saved_model(metagraphs.read_file(os.path.join(folder, FILE)))
    if not graphs:
        raise UnreadableFile(f"its {FILE} has no graph")
    metadata = _metadata(folder, graphs[0])
    architecture = _architecture(metadata)
    root = tree(architecture) if architecture else None
    prefix = os.path.join(folder, "variables", "variables")
    if os.path.isfile(f"{prefix}.index"):
        saved = checkpoints.read(prefix, model or root)
    else:
        saved = SavedFile(path, "saved-model", WrittenBy(), {}, notes=("it has no variables",))
    training = metadata.get("training_config")
    training = training if isinstance(training, dict) else None
    release = versions.of_release(graphs[0].release, "from the file")
    keras = metadata.get("keras_version")
    return facts(
        saved._replace(
            path=path,
            format="saved-model",
            written_by=versions.with_keras(release, versions.of_keras(str(keras))) if keras else release,
            architecture=architecture,
            optimizer=_with_settings(saved.optimizer, training),
            training_config=training,
            signatures=_signatures(graphs),
            tags=tuple(graph.tags for graph in graphs),
        ),
        root,
    )


def _signatures(graphs: Any) -> Dict[str, Signature]:
    """Of all metagraphs. The same name in several has the tags of the first, and then the name with its tags."""
    found: Dict[str, Signature] = {}
    for graph in graphs:
        for name, signature in graph.signatures.items():
            if found.get(name, signature)._replace(tags=()) == signature._replace(tags=()):
                found.setdefault(name, signature)
            else:
                found[f"{name} ({', '.join(graph.tags)})"] = signature
    return found


def _metadata(folder: str, graph: metagraphs.MetaGraph) -> Dict[str, Any]:
    """Keras's metadata of the model itself: in a file of its own since 2.5, before that in the object's."""
    path = os.path.join(folder, _METADATA)
    if os.path.isfile(path):
        for node in Message(metagraphs.read_file(path)).messages(1):
            if node.text(3) == "root":
                return dict(_plain(parse_json(node.text(5), _METADATA)))
    elif len(graph.objects):
        first = next(iter(Message(graph.objects).all_bytes(1)), memoryview(b""))
        user_object = Message(first).message(4)
        if user_object.text(1).startswith("_tf_keras_") and len(user_object.data(3)):
            return dict(_plain(parse_json(user_object.text(3), "Keras's metadata")))
    exported = os.path.join(folder, _EXPORTED)
    if os.path.isfile(exported):
        model = parse_json(bytes(metagraphs.read_file(exported)), _EXPORTED)
        return {"model_config": model, "keras_version": model.get("keras_version")}
    return {}


def _plain(value: Any) -> Any:
    """Tuples and shapes, which the metadata marks, as the lists that they are in other files. Its depth was checked."""
    if isinstance(value, dict):
        if value.get("class_name") in ("__tuple__", "TensorShape") and isinstance(value.get("items"), list):
            return _plain(value["items"])
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _architecture(metadata: Dict[str, Any]) -> Optional[Dict[str, Any]]:
    config = metadata.get("config")
    if isinstance(config, dict) and config.get("layers") and isinstance(metadata.get("class_name"), str):
        return {"class_name": metadata["class_name"], "config": config}
    inner = metadata.get("model_config")  # of 2.0 to 2.3
    return inner if isinstance(inner, dict) and isinstance(inner.get("class_name"), str) else None


def _with_settings(optimizer: Optional[SavedOptimizer], training: Optional[Dict[str, Any]]) -> Optional[SavedOptimizer]:
    """What was compiled knows the class and all settings; the variables know the rate that was reached."""
    settings = optimizers.settings_in(training)
    if not settings:
        return optimizer
    named = str(settings.get("class_name") or "").rpartition(">")[2] or None
    config = settings.get("config")
    config = config if isinstance(config, dict) else {}
    if optimizer is None:
        return SavedOptimizer(named, config, {}, None, {})
    return optimizer._replace(class_name=named, config={**config, **_reached(optimizer, config)})


def _reached(optimizer: SavedOptimizer, config: Dict[str, Any]) -> Dict[str, Any]:
    found = optimizer.config.get("learning_rate")
    return {"learning_rate": found} if isinstance(config.get("learning_rate"), float) and found is not None else {}
