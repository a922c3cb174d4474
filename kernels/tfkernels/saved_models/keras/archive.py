"""Keras archives (``.keras``), and weights by objects in HDF5 (``.weights.h5``): since TensorFlow 2.12."""

from typing import Any, Dict, Mapping, Optional

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers.archives import Archive
from tfkernels.saved_models.containers.hdf5 import Hdf5, file_size, parse_json
from tfkernels.saved_models.keras import store, versions
from tfkernels.saved_models.keras.configs import Node, tree
from tfkernels.saved_models.keras.facts import facts
from tfkernels.saved_models.saved_file import SavedFile, WrittenBy

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


def read(path: str, model: Optional[Node] = None) -> SavedFile:
    archive = Archive(path)
    config = archive.text(_CONFIG)
    if config is None:
        raise UnreadableFile(f"it is an archive, but none of Keras: it has no {_CONFIG}")
    architecture = parse_json(config, _CONFIG)
    metadata: Dict[str, Any] = parse_json(archive.text(_METADATA) or b"{}", _METADATA)
    training = architecture.get("compile_config")
    training = training if isinstance(training, dict) else None
    root = model or tree(architecture)
    if _WEIGHTS in archive.parts:
        with Hdf5(lambda: archive.open(_WEIGHTS), archive.parts[_WEIGHTS].file_size) as hdf5:
            stored, notes = store.read(hdf5, root, training), []
    else:
        stored, notes = store.Stored({}, None, {}), [f"it has no {_WEIGHTS}"]
    version = metadata.get("keras_version")
    written_by = versions.of_keras(str(version) if version else None, architecture)
    saved = _file(path, "keras-archive", written_by, stored, architecture, training)
    return facts(saved._replace(notes=tuple(notes)), root)


def is_weights(path: str) -> bool:
    """Whether an HDF5 file has its weights by objects; else it has them by layers."""
    with Hdf5(path, file_size(path)) as hdf5:
        return store.is_by_objects(hdf5)


def read_weights(path: str, model: Optional[Node] = None) -> SavedFile:
    with Hdf5(path, file_size(path)) as hdf5:
        old = "_layer_checkpoint_dependencies" in hdf5.file
        stored = store.read(hdf5, model, None)
    lines = ("2.12", "2.13") if old else ("2.13", "")
    written_by = WrittenBy(None, None, lines, ("weights stand under the attributes of objects",))
    return _file(path, "keras-archive-weights", written_by, stored, None, None)


def _file(
    path: str,
    fmt: str,
    written_by: WrittenBy,
    stored: store.Stored,
    architecture: Optional[Mapping[str, Any]],
    training: Optional[Mapping[str, Any]],
) -> SavedFile:
    return SavedFile(
        path,
        fmt,
        written_by,
        stored.weights,
        architecture=architecture,
        optimizer=stored.optimizer,
        training_config=training,
        step=stored.optimizer.step if stored.optimizer else None,
        others=stored.others,
    )
