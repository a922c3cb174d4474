"""TensorFlow's checkpoints of version 2: by names of variables, as TF 1 writes them, or by objects, as TF 2 does."""

from typing import Optional

from tfkernels.saved_models import graph_names, object_names
from tfkernels.saved_models.containers.tensor_bundle import TensorBundle, latest_in
from tfkernels.saved_models.keras.configs import Node
from tfkernels.saved_models.saved_file import SavedFile


def read_latest(folder: str, model: Optional[Node] = None) -> SavedFile:
    return read(latest_in(folder), model)


def read(path: str, model: Optional[Node] = None) -> SavedFile:
    """``path`` is the prefix of a checkpoint, or its index."""
    prefix = path[: -len(".index")] if path.endswith(".index") else path
    bundle = TensorBundle(prefix)
    by_objects = object_names.KEY in bundle.keys
    saved = object_names.read(bundle, model) if by_objects else graph_names.read(bundle.weights(), prefix)
    missing = tuple(f"{name} is missing: its weights cannot be read" for name in bundle.missing)
    return saved._replace(path=path, notes=saved.notes + missing)
