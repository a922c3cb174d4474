"""``read``: which format a file has, by its content, and its reader."""

import os
from typing import Any, Callable, Optional

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models import hdf5
from tfkernels.saved_models.keras_configs import Node, tree
from tfkernels.saved_models.saved_file import SavedFile


def read(path: "str | os.PathLike[str]", architecture: Any = None) -> SavedFile:
    """What a saved model contains, without executing anything of it. Arrays are read when they are asked for.

    ``path`` is a file, a SavedModel's folder, or the name of a checkpoint with or without ``.index``. ``architecture``
    names the weights of files that have none themselves: ``{"class_name": …, "config": …}``. Raises ``UnreadableFile``
    if it is no model, is damaged, or asks for more than a model needs.
    """
    return read_for(path, tree(architecture) if architecture else None)


def read_for(path: "str | os.PathLike[str]", model: Optional[Node]) -> SavedFile:
    """The same for weights of a model whose tree is known."""
    name = os.path.expanduser(os.fspath(path))
    try:
        return _reader(name)(name, model)
    except UnreadableFile as error:
        raise error.of(name) from error.__cause__
    except RecursionError:
        raise UnreadableFile("it is nested too deep", name) from None
    except (OSError, MemoryError) as error:
        raise UnreadableFile(str(error) or "it needs more memory than there is", name) from error


Reader = Callable[[str, Optional[Node]], SavedFile]


def _reader(path: str) -> Reader:
    from tfkernels.saved_models import checkpoints

    if os.path.isdir(path):
        return checkpoints.read_latest
    if os.path.isfile(f"{path}.index") or (path.endswith(".index") and os.path.isfile(path)):
        return checkpoints.read
    if not os.path.isfile(path):
        raise UnreadableFile("there is no such file or folder")
    with open(path, "rb") as file:
        start = file.read(16)
    if not start:
        raise UnreadableFile("it is empty")
    if start.startswith(hdf5.MAGIC):
        from tfkernels.saved_models import keras_h5

        return keras_h5.read
    raise UnreadableFile(
        "it is no saved model", advice="Give an .h5 or .keras file, a SavedModel's folder, a checkpoint or a graph."
    )
