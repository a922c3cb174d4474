"""Lookup tables of a graph, as tables of TensorFlow 2 that a SavedModel keeps."""

import os
from typing import Any, Dict, Set

from tfkernels.conversion.graphs.graph_file import GraphFile, tensorflow
from tfkernels.conversion.graphs.nodes import constant, tensor
from tfkernels.errors import ConversionError

LOOKUPS = {
    "LookupTableFind": "LookupTableFindV2",
    "LookupTableSize": "LookupTableSizeV2",
}
"""Operations on references of tables, and those on resources."""

_TABLES = {"HashTable", "HashTableV2"}
_FROM_ARRAYS = {"InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2"}
_FROM_FILES = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}


def make(file: GraphFile, nodes: Dict[str, Any], wanted: Set[str]) -> Dict[str, Any]:
    """The tables that outputs need, by their nodes. Raises ``ConversionError`` if the contents are not in the file."""
    found = {}
    for name in sorted(wanted):
        if nodes[name].op in _TABLES:
            users = [node for node in nodes.values() if node.input and tensor(node.input[0]).node == name]
            initializers = [node for node in users if node.op in _FROM_ARRAYS | _FROM_FILES]
            if len(initializers) != 1:
                raise ConversionError(
                    f"Cannot wrap the graph: the table {name} has {len(initializers)} initializers, and needs one. "
                    "Choose outputs in front of it with --outputs.",
                    layer=name,
                )
            contents = _contents(file, nodes, initializers[0])
            found[name] = tensorflow().lookup.StaticHashTable(contents, _unused_default(nodes[name]))
    return found


def _unused_default(node: Any) -> Any:
    """The graph's own lookups have the default value as an input."""
    tf = tensorflow()
    dtype = tf.as_dtype(node.attr["value_dtype"].type)
    return tf.constant("" if dtype == tf.string else 0, dtype)


def _contents(file: GraphFile, nodes: Dict[str, Any], node: Any) -> Any:
    tf = tensorflow()
    given = [constant(nodes, name, tf.make_ndarray) for name in node.input[1:3]]
    if node.op in _FROM_ARRAYS:
        if any(value is None for value in given):
            raise ConversionError(f"Cannot wrap the graph: the contents of {node.name} are computed.", layer=node.name)
        return tf.lookup.KeyValueTensorInitializer(*(tf.constant(value) for value in given))
    path = os.path.join(file.path, "assets", os.path.basename(_text(given[0])))
    if file.kind != "saved-model" or not os.path.isfile(path):
        raise ConversionError(
            f"Cannot wrap the graph: the table of {node.name} is read from {_text(given[0])!r}, and only files in the "
            "assets of a SavedModel are read.",
            layer=node.name,
        )
    key, value = (node.attr[name].i for name in ("key_index", "value_index"))
    table = next(one for one in nodes.values() if one.name == tensor(node.input[0]).node)
    return tf.lookup.TextFileInitializer(
        path,
        tf.as_dtype(table.attr["key_dtype"].type),
        key,
        tf.as_dtype(table.attr["value_dtype"].type),
        value,
        delimiter=node.attr["delimiter"].s.decode() or "\t",
    )


def _text(value: Any) -> str:
    first = value.ravel().tolist()[0] if value is not None else ""
    return first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
