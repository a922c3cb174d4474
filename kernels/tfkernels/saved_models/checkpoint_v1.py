"""Checkpoints of version 1: one sorted table with all tensors, or one for each of several files.

The messages are TensorFlow's ``saved_tensor_slice.proto``.
"""

import glob
import mmap
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models import graph_names
from tfkernels.saved_models.containers import dtypes
from tfkernels.saved_models.containers.protobuf import Message
from tfkernels.saved_models.containers.slices import Slice, decode_key, extents
from tfkernels.saved_models.containers.table import Handle, block_at, located
from tfkernels.saved_models.containers.tensors import Tensor, shape_of
from tfkernels.saved_models.keras.configs import Node
from tfkernels.saved_models.limits import check_expansion, count_of
from tfkernels.saved_models.saved_file import SavedFile, Shape, Weight

_SHARD = re.compile(r"(.*)-\d{5}-of-(\d{5})")


_Place = Tuple[str, Handle, bytes]
"""A file, a block in it, and a key in that."""


class _Meta(NamedTuple):
    shape: Shape
    dtype: str
    slices: Tuple[Slice, ...]


def read(path: str, model: Optional[Node] = None) -> SavedFile:  # noqa: ARG001 (as all readers)
    files = _files(path)
    metas: Dict[str, _Meta] = {}
    parts: Dict[str, Dict[Slice, _Place]] = {}
    total = sum(os.path.getsize(file) for file in files)
    for file in files:
        for block, key, value in located(_mapped(file)):
            if key:
                name, part = decode_key(key)
                parts.setdefault(name, {})[part] = (file, block, key)
                continue
            for one in Message(value).message(1).messages(1):
                found = _meta(one)
                known = metas.get(one.text(1))
                metas[one.text(1)] = found._replace(slices=known.slices + found.slices) if known else found
    claimed = sum(count_of(meta.shape) for meta in metas.values())
    check_expansion(4 * claimed, total, "its tensors")
    weights = {
        name: Weight(name, meta.shape, meta.dtype, _reader(path, name, meta, parts.get(name, {})))
        for name, meta in metas.items()
    }
    return graph_names.read(weights, path, "checkpoint-v1")


def _files(path: str) -> List[str]:
    shard = _SHARD.fullmatch(path)
    if shard is None:
        return [path]
    found = sorted(glob.glob(f"{glob.escape(shard[1])}-?????-of-{shard[2]}"))
    if len(found) != int(shard[2]):
        raise UnreadableFile(f"{int(shard[2]) - len(found)} of its {int(shard[2])} files are missing")
    return found


def _meta(one: Message) -> _Meta:
    slices = tuple(
        tuple((extent.integer(1), extent.integer(2, -1)) for extent in part.messages(1)) for part in one.messages(4)
    )
    return _Meta(shape_of(one.message(2)), dtypes.name_of(one.integer(3)), slices)


def _mapped(file: str) -> memoryview:
    """The file's content, of which only what is used comes into memory. It closes with its last part."""
    with open(file, "rb") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def _reader(path: str, name: str, meta: _Meta, parts: Dict[Slice, _Place]) -> Any:
    def read_all() -> "np.ndarray[Any, Any]":
        try:
            return _read(name, meta, parts)
        except UnreadableFile as error:
            raise error.of(path) from None

    return read_all


def _read(name: str, meta: _Meta, parts: Dict[Slice, _Place]) -> "np.ndarray[Any, Any]":
    slices = meta.slices or tuple(parts)
    absent = [part for part in slices if part not in parts]
    if absent or not slices:
        raise UnreadableFile(f"{len(absent) or 'all'} parts of {name} are missing")
    whole = np.empty(meta.shape, object if meta.dtype == "string" else dtypes.in_numpy(meta.dtype))
    filled = 0
    for part in slices:
        place = extents(part, meta.shape)
        values = _values(name, meta, parts[part], tuple(one.stop - one.start for one in place))
        whole[place] = values
        filled += values.size
    if filled != count_of(meta.shape):
        raise UnreadableFile(f"the parts of {name} do not make up the whole")
    return whole


def _values(name: str, meta: _Meta, place: _Place, shape: Shape) -> "np.ndarray[Any, Any]":
    file, block, key = place
    value = dict(block_at(_mapped(file), block)).get(key)
    if value is None:
        raise UnreadableFile(f"{name} is not in it any more")
    values = Tensor(Message(Message(value).data(2)).data(3), meta.dtype, shape).values()
    if len(values) != count_of(shape):
        raise UnreadableFile(f"a part of {name} has another size than its place")
    return values.reshape(shape)
