"""``read``: which format a file has, by its content, and its reader."""

import os
import struct
from typing import Any, Callable, Optional

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models import checkpoint_v1, checkpoints, graphs, metagraphs, saved_model
from tfkernels.saved_models.containers import archives, hdf5
from tfkernels.saved_models.containers.table import is_table
from tfkernels.saved_models.keras import archive, h5
from tfkernels.saved_models.keras.configs import Node, tree
from tfkernels.saved_models.saved_file import SavedFile

_ADVICE = "Give an .h5 or .keras file, a SavedModel's folder, a checkpoint or a graph."

_OF_DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error)
"""What Python raises on values of another kind than a file of Keras has."""

Reader = Callable[[str, Optional[Node]], SavedFile]


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
    except MemoryError as error:
        raise UnreadableFile("it needs more memory than there is", name) from error
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error), name) from error
    except _OF_DAMAGE as error:
        cause = f"{type(error).__name__}: {error}"
        raise UnreadableFile(
            f"it is damaged, or has a form that tfkernels does not know ({cause})",
            name,
            "If its own release loads it, this is a fault of tfkernels: please report it.",
        ) from error


def _reader(path: str) -> Reader:
    if os.path.isdir(path):
        return saved_model.read if saved_model.is_folder(path) else checkpoints.read_latest
    if os.path.isfile(f"{path}.index") or (path.endswith(".index") and os.path.isfile(path)):
        return checkpoints.read
    if not os.path.isfile(path):
        raise UnreadableFile("there is no such file or folder")
    with open(path, "rb") as file:
        start = file.read(1 << 10)
        file.seek(max(0, os.path.getsize(path) - 8))
        end = file.read()
    if not start:
        raise UnreadableFile("it is empty")
    return _of_content(path, start, end)


def _of_content(path: str, start: bytes, end: bytes) -> Reader:
    if start.startswith(hdf5.MAGIC):
        return archive.read_weights if archive.is_weights(path) else h5.read
    if start.startswith(archives.MAGIC):
        return archive.read
    if is_table(end):
        return checkpoint_v1.read
    if os.path.basename(path) in saved_model.FILES:
        return saved_model.read
    if ".data-" in os.path.basename(path):
        raise UnreadableFile("it is the data of a checkpoint", advice="Give the checkpoint's .index, or its prefix.")
    if start.lstrip()[:1] in (b"{", b"["):
        raise UnreadableFile("it is JSON, and has no weights", advice="Give the file of the weights.")
    if start.startswith(b"\x80") and b"." in end:
        raise UnreadableFile("it may be a pickle, which runs code when it is loaded", advice=_ADVICE)
    data = metagraphs.read_file(path)
    if metagraphs.is_metagraph(data) or graphs.is_graph(data):
        return graphs.read
    raise UnreadableFile("it is no saved model", advice=_ADVICE)
