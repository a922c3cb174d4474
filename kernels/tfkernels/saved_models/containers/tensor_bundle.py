"""Reader of checkpoints of version 2: an index of tensors, which is a sorted table, and files of data.

The messages are those of TensorFlow's ``tensor_bundle.proto``.
"""

import glob
import os
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.containers import dtypes
from tfkernels.saved_models.containers.checksum import crc32c, unmasked
from tfkernels.saved_models.containers.protobuf import Message
from tfkernels.saved_models.containers.slices import Slice, decode_key, extents
from tfkernels.saved_models.containers.table import entries
from tfkernels.saved_models.containers.tensors import shape_of, strings
from tfkernels.saved_models.limits import MOST_TEXT, check_length, count_of
from tfkernels.saved_models.saved_file import Shape, Weight


class _Entry(NamedTuple):
    dtype: str
    shape: Shape
    shard: int
    offset: int
    size: int
    checksum: int
    slices: Tuple[Slice, ...]
    """Of a variable that is divided: where its parts are. They have entries of their own."""


class TensorBundle:
    """The tensors of a checkpoint by key. ``prefix`` is the name without ``.index``."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._entries: Dict[bytes, _Entry] = {}
        self._parts: Dict[Tuple[str, Slice], _Entry] = {}
        self._shards = 1
        with open(f"{prefix}.index", "rb") as file:
            data = memoryview(file.read(check_length(os.fstat(file.fileno()).st_size, MOST_TEXT, "its index")))
        for key, value in entries(data):
            if not key:
                self._header(Message(value))
            elif key[:1] == b"\0":
                name, part = decode_key(key)
                self._parts[name, part] = _entry(value)
            else:
                self._entries[key] = _entry(value)
        self._names = {key.decode("utf-8", "replace"): key for key in self._entries}
        self._sizes = [
            os.path.getsize(self._shard(number)) if os.path.exists(self._shard(number)) else None
            for number in range(self._shards)
        ]

    def _header(self, header: Message) -> None:
        self._shards = check_length(header.integer(1), 100_000, "its number of data files")
        if header.integer(2):
            raise UnreadableFile("it was written on a machine with another byte order")

    def _shard(self, number: int) -> str:
        return f"{self.prefix}.data-{number:05d}-of-{self._shards:05d}"

    @property
    def missing(self) -> List[str]:
        """The files of data that are not there."""
        return [os.path.basename(self._shard(number)) for number, size in enumerate(self._sizes) if size is None]

    @property
    def keys(self) -> List[str]:
        return list(self._names)

    def weights(self) -> Dict[str, Weight]:
        return {key: self.weight(key) for key in self._names}

    def weight(self, key: str) -> Weight:
        entry = self._entries[self._names[key]]
        return Weight(key, entry.shape, entry.dtype, lambda: self.read(key))

    def read(self, key: str) -> "np.ndarray[Any, Any]":
        try:
            entry = self._entries[self._names[key]]
            return self._whole(key, entry) if entry.slices else self._values(key, entry)
        except UnreadableFile as error:
            raise error.of(self.prefix) from None

    def _whole(self, key: str, entry: _Entry) -> "np.ndarray[Any, Any]":
        parts = [(part, self._parts.get((key, part))) for part in entry.slices]
        absent = sum(one is None for _, one in parts)
        if absent:
            raise UnreadableFile(f"{absent} of {len(parts)} parts of {key} are missing")
        places = [(extents(part, entry.shape), one) for part, one in parts if one is not None]
        for place, one in places:
            if one.shape != tuple(piece.stop - piece.start for piece in place):
                raise UnreadableFile(f"a part of {key} has another shape than its place")
        if sum(count_of(one.shape) for _, one in places) != count_of(entry.shape):
            raise UnreadableFile(f"the parts of {key} do not make up the whole")
        found = np.empty(entry.shape, dtypes.in_numpy(entry.dtype))
        filled = np.zeros(entry.shape, bool)
        for place, one in places:
            found[place] = self._values(key, one)
            filled[place] = True
        if not filled.all():
            raise UnreadableFile(f"the parts of {key} overlap")
        return found

    def _values(self, key: str, entry: _Entry) -> "np.ndarray[Any, Any]":
        count = count_of(entry.shape)
        if entry.dtype == "string":
            values = np.empty(count, object)
            data = self._data(key, entry)
            values[:] = strings(memoryview(data), count)
            return values.reshape(entry.shape)
        dtype = dtypes.in_numpy(entry.dtype)
        if count * dtype.itemsize != entry.size:
            raise UnreadableFile(f"{key} has another size than its shape {list(entry.shape)}")
        data = self._data(key, entry)
        if crc32c(data) != unmasked(entry.checksum):
            raise UnreadableFile(f"the checksum of {key} is wrong: the file is damaged")
        return np.frombuffer(data, dtype.newbyteorder("<")).reshape(entry.shape).astype(dtype, copy=False)

    def _data(self, key: str, entry: _Entry) -> bytearray:
        if not 0 <= entry.shard < self._shards:
            raise UnreadableFile(f"{key} lies in a file that does not belong to it")
        size = self._sizes[entry.shard]
        if size is None:
            raise UnreadableFile(f"its file {os.path.basename(self._shard(entry.shard))} is missing")
        if min(entry.offset, entry.size) < 0 or entry.offset + entry.size > size:
            raise UnreadableFile(f"{key} lies behind the end of its data: the file is cut off")
        data = bytearray(entry.size)
        with open(self._shard(entry.shard), "rb") as file:
            file.seek(entry.offset)
            if file.readinto(data) != entry.size:
                raise UnreadableFile(f"the data of {key} end too early")
        return data


def _entry(value: memoryview) -> _Entry:
    message = Message(value)
    return _Entry(
        dtypes.name_of(message.integer(1)),
        shape_of(message.message(2)),
        message.integer(3),
        message.integer(4),
        message.integer(5),
        message.fixed32(6),
        tuple(tuple((part.integer(1), part.integer(2, -1)) for part in one.messages(1)) for one in message.messages(7)),
    )


def latest_in(folder: str) -> str:
    """The prefix of the newest checkpoint of a folder, as its file ``checkpoint`` says, else the only one there."""
    found = sorted(glob.glob(os.path.join(glob.escape(folder), "*.index")))
    record = os.path.join(folder, "checkpoint")
    if os.path.isfile(record):
        with open(record, "rb") as file:
            text = file.read(1 << 20).decode("utf-8", "replace")
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model_checkpoint_path":
                # Only its own name: a record that was moved has an address of another machine, a hostile one any.
                return os.path.join(folder, os.path.basename(value.strip().strip('"')))
    if len(found) == 1:
        return found[0][: -len(".index")]
    names = ", ".join(os.path.basename(one)[: -len(".index")] for one in found[:5])
    raise UnreadableFile(
        f"the folder has {len(found)} checkpoints" if found else "the folder has neither a SavedModel nor a checkpoint",
        folder,
        f"Name one of them: {names}." if found else "",
    )
