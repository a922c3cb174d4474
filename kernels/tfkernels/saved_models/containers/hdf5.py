"""HDF5 files of strangers: nothing outside the file is opened, and nothing larger than the file can hold is read.

HDF5 can point to other files (external links, external storage, virtual datasets), run plugins (filters), and claim
any shape. Files of Keras do none of it.
"""

import contextlib
import json
import os
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Union

import numpy as np

from tfkernels.errors import UnreadableFile
from tfkernels.imports import own_imports
from tfkernels.saved_models.containers.dtypes import in_numpy
from tfkernels.saved_models.limits import (
    FREE_EXPANSION,
    MOST_DEPTH,
    MOST_EXPANSION,
    MOST_PARTS,
    MOST_TEXT,
    check_expansion,
    check_length,
    count_of,
)
from tfkernels.saved_models.saved_file import Weight

MAGIC = b"\x89HDF\r\n\x1a\n"
_FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, fletcher32, and h5py's LZF; others are plugins

_OF_H5PY = (OSError, KeyError, ValueError, RuntimeError, TypeError, SystemError, MemoryError)

Opener = Callable[[], BinaryIO]


def h5py() -> Any:
    """Raises ``UnreadableFile`` if it is not installed."""
    try:
        with own_imports():
            import h5py as module
    except ImportError:
        raise UnreadableFile("HDF5 files need the package h5py", advice="pip install 'tfkernels[models]'.") from None
    return module


class Hdf5:
    """An HDF5 file, open for reading. ``source`` is a path, or a function that opens a part of an archive."""

    def __init__(self, source: Union[str, Opener], size: int) -> None:
        self._source = source
        self._size = size
        self._claimed = 0
        self.file = self._open()

    def __enter__(self) -> "Hdf5":
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        """Raises ``UnreadableFile`` for what h5py raises on damaged files: errors of many kinds."""
        with contextlib.suppress(*_OF_H5PY):
            self.file.close()
        if isinstance(error, _OF_H5PY):
            raise UnreadableFile(f"it is damaged ({_first_line(error)})") from error

    def _open(self) -> Any:
        try:
            return h5py().File(self._source if isinstance(self._source, str) else self._source(), "r")
        except (OSError, ValueError, RuntimeError) as error:
            raise UnreadableFile(f"HDF5 says: {_first_line(error)}") from error

    def child(self, group: Any, name: str) -> Optional[Any]:
        """The group or dataset under a name, which may lead through several groups; or ``None``."""
        found = group
        for part in name.split("/"):
            found = self._direct_child(found, part) if part and hasattr(found, "keys") else None
            if found is None:
                return None
        return found

    def _direct_child(self, group: Any, name: str) -> Optional[Any]:
        library = h5py()
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if not isinstance(link, library.HardLink):
            raise UnreadableFile(f"{_shown(name)} in it is a link; a link can lead out of the file")
        return group[name]

    def attribute(self, thing: Any, name: str) -> Any:
        """An attribute as text, number or array; ``None`` if it is not there."""
        if name not in thing.attrs:
            return None
        attribute = thing.attrs.get_id(name)
        count = count_of(attribute.shape or ())
        check_length(count * max(1, attribute.dtype.itemsize), self._size + 1024, f"the attribute {name}")
        value = thing.attrs[name]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def text(self, thing: Any, name: str) -> Optional[str]:
        value = self.attribute(thing, name)
        return str(value) if value is not None and not isinstance(value, np.ndarray) else None

    def json(self, thing: Any, name: str) -> Optional[Dict[str, Any]]:
        """An attribute as an object of JSON."""
        text = self.text(thing, name)
        return None if text is None else parse_json(text, f"the attribute {name}")

    def texts(self, thing: Any, name: str) -> Optional[List[str]]:
        """An attribute as a list of texts. Keras divides long ones into ``name0``, ``name1``, …"""
        value = self.attribute(thing, name)
        if value is not None:
            return [_text(one) for one in np.ravel(value)]
        found: List[str] = []
        part = 0
        while f"{name}{part}" in thing.attrs:
            found += [_text(one) for one in np.ravel(self.attribute(thing, f"{name}{part}"))]
            part += 1
        return found if part else None

    def weight(self, dataset: Any, name: str, source: str) -> Weight:
        """A dataset as a weight that can be read after the file was closed."""
        claimed = self._check(dataset, source)
        self._claimed += claimed
        if self._claimed > MOST_EXPANSION * self._size + FREE_EXPANSION:
            raise UnreadableFile("its weights are larger than the file can hold")
        marked = self.text(dataset, "dtype") if "dtype" in dataset.attrs else None  # Keras 3 marks bfloat16
        dtype = marked if marked == "bfloat16" else _dtype_name(dataset.dtype)
        path = dataset.name
        return Weight(name, tuple(dataset.shape), dtype, lambda: self._read(path, marked), source)

    def _check(self, dataset: Any, name: str) -> int:
        """The size of its values in bytes. Raises ``UnreadableFile`` for what no model has."""
        if dataset.shape is None or not hasattr(dataset, "dtype"):
            raise UnreadableFile(f"{_shown(name)} in it has no values")
        kind = dataset.dtype.kind
        if kind not in "biufcSO" and dataset.dtype.itemsize != 2:  # h5py knows bfloat16 as two bytes
            raise UnreadableFile(f"{_shown(name)} in it has no numbers, but {dataset.dtype}")
        properties = dataset.id.get_create_plist()
        if properties.get_external_count() or getattr(dataset, "is_virtual", False):
            raise UnreadableFile(f"the values of {_shown(name)} are in another file")
        filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
        if filters - _FILTERS:
            raise UnreadableFile(f"{_shown(name)} in it needs a plugin of HDF5 (filter {max(filters)})")
        size = count_of(dataset.shape) * int(dataset.dtype.itemsize)
        check_expansion(size, dataset.id.get_storage_size(), _shown(name))
        return size

    def _read(self, path: str, marked: Optional[str]) -> "np.ndarray[Any, Any]":
        with Hdf5(self._source, self._size) as again:
            dataset = again.child(again.file, path.strip("/"))
            if dataset is None:
                raise UnreadableFile(f"{_shown(path)} is not in it any more")
            again._check(dataset, path)
            array: np.ndarray[Any, Any] = np.asarray(dataset[()])
        if marked == "bfloat16":
            array = array.view(in_numpy(marked))
        return array

    def walk(self, group: Any, path: str = "", depth: int = 0) -> Iterator[Any]:
        """All datasets below a group, as ``(path, dataset)``. A group that contains itself is refused."""
        check_length(depth, MOST_DEPTH, "its depth")
        for count, name in enumerate(group):
            check_length(count, MOST_PARTS, "its number of parts")
            thing = self._direct_child(group, name)
            inner = f"{path}/{name}" if path else name
            if hasattr(thing, "keys"):
                yield from self.walk(thing, inner, depth + 1)
            elif thing is not None:
                yield inner, thing


def parse_json(text: Union[str, bytes], what: str) -> Dict[str, Any]:
    """Raises ``UnreadableFile`` for what is no JSON object, or nested too deep."""
    check_length(len(text), MOST_TEXT, what)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{what} is no JSON ({_first_line(error)})") from None
    check_depth(value, what)
    if not isinstance(value, dict):
        raise UnreadableFile(f"{what} is no JSON object")
    return value


def check_depth(value: Any, what: str) -> None:
    level, depth = [value], 0
    while level:
        check_length(depth, MOST_DEPTH, f"the depth of {what}")
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one if isinstance(one, list) else ())
            if isinstance(inner, (dict, list))
        ]
        depth += 1


def file_size(path: str) -> int:
    return os.path.getsize(path)


def _dtype_name(dtype: "np.dtype[Any]") -> str:
    return "string" if dtype.kind in "OS" else dtype.name


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _shown(name: str) -> str:
    return repr(name[:200])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
