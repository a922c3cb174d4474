"""Writers of small saved models, byte by byte, as TensorFlow and Keras write them."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tfkernels.saved_models.containers.checksum import crc32c

Arrays = Mapping[str, "np.ndarray[Any, Any]"]
_DTYPES = {"float32": 1, "float64": 2, "int32": 3, "string": 7, "int64": 9, "bool": 10, "float16": 19}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def field(number: int, value: bytes | str | float) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def message(*fields: tuple[int, int | bytes | str | float]) -> bytes:
    return b"".join(field(number, value) for number, value in fields)


def entry(key: str, value: bytes) -> bytes:
    """An entry of a map."""
    return message((1, key), (2, value))


def shape(sizes: Sequence[int]) -> bytes:
    return b"".join(field(2, field(1, size)) for size in sizes)


def tensor(array: np.ndarray[Any, Any]) -> bytes:
    """A TensorProto."""
    return message((1, _DTYPES[array.dtype.name]), (2, shape(array.shape)), (4, array.tobytes()))


def masked(data: bytes) -> int:
    value = crc32c(data)
    return ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _block(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    found = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in rows)
    return found + struct.pack("<II", 0, 1)


def table(rows: Mapping[bytes, bytes], compressed: bytes | None = None) -> bytes:
    """A sorted table of one block; ``compressed`` replaces its content."""
    content = compressed or _block(sorted(rows.items()))
    out = bytearray()

    def add(block: bytes, kind: int) -> bytes:
        handle = varint(len(out)) + varint(len(block))
        out.extend(block + bytes([kind]) + struct.pack("<I", masked(block + bytes([kind]))))
        return handle

    data = add(content, 1 if compressed else 0)
    handles = add(_block([]), 0) + add(_block([(b"\xff", data)]), 0)
    return bytes(out) + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def bundle(
    prefix: Path,
    arrays: Arrays,
    graph: bytes | None = None,
    *,
    texts: Mapping[str, str] = {},
    changed: Mapping[str, bytes] = {},
) -> Path:
    """A checkpoint of version 2; ``graph`` is the graph of its objects, ``changed`` replaces entries of the index."""
    data = b""
    rows = {b"": message((1, 1), (3, b""))}
    for name, array in arrays.items():
        raw = array.tobytes()
        place = message((4, len(data)), (5, len(raw))) + varint(6 << 3 | 5) + struct.pack("<I", masked(raw))
        rows[name.encode()] = message((1, _DTYPES[array.dtype.name]), (2, shape(array.shape))) + place
        data += raw
    strings = {name: text.encode() for name, text in texts.items()}
    if graph is not None:
        strings["_CHECKPOINTABLE_OBJECT_GRAPH"] = graph
    for name, text in strings.items():
        raw = varint(len(text)) + struct.pack("<I", 0) + text
        rows[name.encode()] = message((1, 7), (4, len(data)), (5, len(raw)))
        data += raw
    rows.update({name.encode(): value for name, value in changed.items()})
    prefix.with_name(f"{prefix.name}.index").write_bytes(table(rows))
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)
    return prefix


def value_object(key: str, full_name: str) -> bytes:
    """An object of a checkpoint's graph that is a variable."""
    return field(2, message((1, "VARIABLE_VALUE"), (2, full_name), (3, key)))


def holder(children: Mapping[str, int], slots: Sequence[tuple[int, str, int]] = ()) -> bytes:
    """An object that holds others under its attributes."""
    found = b"".join(field(1, message((1, number), (2, name))) for name, number in children.items())
    return found + b"".join(field(3, message((1, one), (2, name), (3, other))) for one, name, other in slots)


def keras_h5(
    path: Path,
    layers: Mapping[str, Arrays],
    config: Mapping[str, Any] | None = None,
    version: str = "2.2.4-tf",
    optimizer: Arrays | None = None,
    training: Mapping[str, Any] | None = None,
) -> Path:
    """A model of Keras in HDF5, or its weights alone if it has no ``config``."""
    with h5py.File(path, "w") as file:
        group = file
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
            group = file.create_group("model_weights")
        if training is not None:
            file.attrs["training_config"] = json.dumps(training).encode()
        group.attrs["layer_names"] = np.array([name.encode() for name in layers], "S")
        group.attrs["keras_version"] = version.encode()
        for name, arrays in layers.items():
            _named(group.create_group(name), arrays)
        if optimizer is not None:
            _named(file.create_group("optimizer_weights"), optimizer)
    return path


def _named(group: Any, arrays: Arrays) -> None:
    group.attrs["weight_names"] = np.array([name.encode() for name in arrays], "S")
    for name, array in arrays.items():
        group[name] = array


def layer(class_name: str, name: str, **settings: Any) -> dict[str, Any]:
    """A layer's entry in the configuration of a model."""
    return {"class_name": class_name, "config": {"name": name, **settings}, "name": name, "inbound_nodes": []}


def model(*layers: Mapping[str, Any], name: str = "model", kind: str = "Model") -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, "layers": list(layers)}}


def numbers(*sizes: int, start: float = 0.0) -> np.ndarray[Any, Any]:
    """An array whose values are all different."""
    return (np.arange(int(np.prod(sizes)), dtype="float32") + start).reshape(sizes)


def node(name: str, operation: str, inputs: Sequence[str] = (), value: np.ndarray[Any, Any] | None = None) -> bytes:
    """A NodeDef; a constant has a ``value``."""
    found = message((1, name), (2, operation), *((3, one) for one in inputs))
    return found if value is None else found + field(5, entry("value", field(8, tensor(value))))


def graph(*nodes: bytes) -> bytes:
    return b"".join(field(1, one) for one in nodes)


def metagraph(tags: Sequence[str] = (), release: str = "1.15.5", **signatures: bytes) -> bytes:
    info = message(*((4, tag) for tag in tags), (5, release))
    return message((1, info), *((5, entry(name, value)) for name, value in signatures.items()))


def signature(inputs: Mapping[str, Sequence[int]], outputs: Mapping[str, Sequence[int]]) -> bytes:
    """A SignatureDef of ``float32`` tensors."""
    values = [
        (number, entry(name, message((1, f"{name}:0"), (2, 1), (3, shape(sizes)))))
        for number, tensors in ((1, inputs), (2, outputs))
        for name, sizes in tensors.items()
    ]
    return message(*values, (3, "tensorflow/serving/predict"))


def keras_archive(path: Path, config: Mapping[str, Any], objects: Arrays, compressed: bool = False) -> Path:
    """A ``.keras`` archive; ``objects`` are arrays by the paths of objects."""
    weights = path.with_suffix(".h5")
    with h5py.File(weights, "w") as file:
        for name, array in objects.items():
            file[name] = array
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.4.1"}))
        archive.writestr("config.json", json.dumps(config))
        archive.write(weights, "model.weights.h5")
    return path
