"""A file that holds a graph: its GraphDef, its signatures, and where the values of its variables are.

A SavedModel, a meta graph with or without its checkpoint, or a frozen graph. Written by any release.
"""

import importlib
import os
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from tfkernels.conversion.graphs.nodes import by_name
from tfkernels.errors import ConversionError
from tfkernels.imports import own_imports
from tfkernels.models.layer_names import take_name

SERVING = "serving_default"
_INIT_SIGNATURES = ("__saved_model_init_op", "__saved_model_train_op")
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op", "table_initializer")


_RESOURCE = 20
"""DT_RESOURCE."""


class Signature(NamedTuple):
    """The names of a function's inputs and outputs, each with its tensor in the graph."""

    inputs: Dict[str, str]
    outputs: Dict[str, str]


class GraphFile(NamedTuple):
    """``checkpoint`` is the prefix of the files with the values of variables; ``None`` if constants hold them."""

    path: str
    kind: str
    graph_def: Any
    meta_graph: Any
    signatures: Dict[str, Signature]
    tags: Tuple[str, ...]
    all_tags: Tuple[Tuple[str, ...], ...]
    checkpoint: Optional[str]

    @property
    def nodes(self) -> Dict[str, Any]:
        return by_name(self.graph_def)

    @property
    def written_by(self) -> str:
        """The release of TensorFlow, if the file says it."""
        return str(self.meta_graph.meta_info_def.tensorflow_version) if self.meta_graph is not None else ""

    @property
    def has_objects(self) -> bool:
        """Whether it is a SavedModel of TensorFlow 2, with functions and objects."""
        return (
            self.kind == "saved-model"
            and any(field.name == "object_graph_def" for field in self.meta_graph.DESCRIPTOR.fields)
            and self.meta_graph.HasField("object_graph_def")
        )

    def run_when_loaded(self) -> List[str]:
        """The tensors and operations that TensorFlow's loaders and a graph's Saver run, whatever output is wanted."""
        if self.meta_graph is None:
            return []
        signatures, collections = self.meta_graph.signature_def, self.meta_graph.collection_def
        found = [str(self.meta_graph.saver_def.restore_op_name)]
        for name in _INIT_SIGNATURES:
            if name in signatures:
                found += [str(info.name) for info in signatures[name].outputs.values()]
        for name in _INIT_COLLECTIONS:
            if name in collections:
                found += [str(one) for one in collections[name].node_list.value]
        return [name for name in found if name]

    def functions_of_objects(self) -> List[str]:
        """The functions of a SavedModel of TensorFlow 2 that its objects have. Some are called when it is loaded."""
        return list(self.meta_graph.object_graph_def.concrete_functions) if self.has_objects else []

    def collection(self, name: str) -> List[str]:
        """The names of variables in a collection of the graph."""
        if self.meta_graph is None or name not in self.meta_graph.collection_def:
            return []
        found = []
        for data in self.meta_graph.collection_def[name].bytes_list.value:
            variable = _message("tensorflow.core.framework.variable_pb2", "VariableDef").FromString(data)
            found.append(variable.variable_name.split(":")[0])
        return found


def tensorflow() -> Any:
    with own_imports():
        return importlib.import_module("tensorflow")


def read(path: str, tags: Optional[Sequence[str]] = None) -> GraphFile:
    """What ``path`` holds. ``tags`` choose the graph of a SavedModel that has several; ``serve`` is the default.

    Raises ``ConversionError`` if there is no graph: a checkpoint without ``.meta`` has names and values only.
    """
    folder_file = _saved_model_file(path)
    if folder_file is not None:
        return _saved_model(path, folder_file, tags)
    if path.endswith((".pb", ".pbtxt", ".prototxt")):
        graph_def = _parse(path, _message("tensorflow.core.framework.graph_pb2", "GraphDef"))
        if graph_def is not None and graph_def.node and re.match(r"[A-Z_]\w*$", graph_def.node[0].op):
            check_frozen(path, graph_def)
            return GraphFile(path, "frozen-graph", graph_def, None, {}, (), (), None)
        meta = _parse(path, _message("tensorflow.core.protobuf.meta_graph_pb2", "MetaGraphDef"))
        if meta is None or not meta.graph_def.node:
            raise ConversionError(f"Cannot read {path}: it holds no graph. Run: tfkernels inspect {path}")
        return GraphFile(path, "meta-graph", meta.graph_def, meta, signatures_of(meta), (), (), None)
    file, prefix = meta_file(path), checkpoint_prefix(path)
    meta = _parse(file, _message("tensorflow.core.protobuf.meta_graph_pb2", "MetaGraphDef"))
    if meta is None or not meta.graph_def.node:
        raise ConversionError(f"Cannot read {file}: it holds no graph, or is damaged. Copy it anew.")
    held = prefix is not None and _is_checkpoint(prefix)
    return GraphFile(file, "meta-graph", meta.graph_def, meta, signatures_of(meta), (), (), prefix if held else None)


def check_frozen(path: str, graph_def: Any) -> None:
    """Refuses what TensorFlow 2.0 froze only outside of conditions, which no release loads."""
    constants = {node.name for node in graph_def.node if node.op == "Const"}
    for node in graph_def.node:
        kinds = node.attr["Tin"].list.type if node.op in ("If", "StatelessIf") else ()
        for kind, name in zip(kinds, node.input[1:]):
            if kind == _RESOURCE and name in constants:
                raise ConversionError(
                    f"Cannot read the graph of {path}: the condition {node.name} wants the variable {name}, which was "
                    "frozen. TensorFlow 2.0 writes such files, and no release loads them. Convert the checkpoint "
                    "instead, or freeze it with TensorFlow 2.4 or newer.",
                    layer=str(node.name),
                )


def meta_file(path: str) -> str:
    """The file with the graph of a checkpoint. Raises ``ConversionError`` if there is none."""
    file = path if path.endswith(".meta") else f"{checkpoint_prefix(path)}.meta"
    if not os.path.isfile(file):
        raise ConversionError(
            f"Cannot read the graph of {path}: it is a checkpoint, which has values and no model, and the file "
            f"{os.path.basename(file)} with a graph of TensorFlow 1 is not beside it."
        )
    return file


def checkpoint_prefix(path: str) -> Optional[str]:
    """The prefix of a checkpoint's files, given by any of them, by the prefix itself, or by the folder of the newest.

    The file ``checkpoint`` of a folder names paths of the machine that wrote it: only their last part counts.
    """
    state = os.path.join(path, "checkpoint") if os.path.isdir(path) else path
    if os.path.basename(state) == "checkpoint" and os.path.isfile(state):
        with open(state, encoding="utf-8", errors="replace") as file:
            named = re.search(r'^model_checkpoint_path: "(.*)"', file.read(100_000), re.MULTILINE)
        return os.path.join(os.path.dirname(state), os.path.basename(named.group(1))) if named else None
    return re.sub(r"\.(meta|index|data-\d+-of-\d+)$", "", path)


def signatures_of(meta_graph: Any) -> Dict[str, Signature]:
    found = {}
    for name, signature in sorted(meta_graph.signature_def.items()):
        if name not in _INIT_SIGNATURES:
            outputs = _tensors(signature.outputs)
            found[name] = Signature(_tensors(signature.inputs), outputs)
    return {name: signature for name, signature in found.items() if signature.outputs}


def choose(signatures: Mapping[str, Signature], wanted: Optional[str] = None) -> str:
    """The signature of this name; else the one for serving, or the only one."""
    if wanted is not None and wanted in signatures:
        return wanted
    if wanted is None:
        if SERVING in signatures:
            return SERVING
        if len(signatures) == 1:
            return next(iter(signatures))
    problem = f"it has no signature {wanted!r}" if wanted else "it has several signatures, and none for serving"
    raise ConversionError(
        f"Cannot choose a function of the graph: {problem}. Give one of {', '.join(signatures) or 'none'} with "
        "--signature."
    )


def _tensors(given: Any) -> Dict[str, str]:
    """The tensors by names that can be arguments: TensorFlow 2 takes no others. A sparse tensor is three."""
    found: Dict[str, str] = {}
    for key, info in sorted(given.items()):
        if info.name:
            found[key] = str(info.name)
        elif info.WhichOneof("encoding") == "coo_sparse":
            sparse = info.coo_sparse
            found[f"{key}_values"] = str(sparse.values_tensor_name)
            found[f"{key}_indices"] = str(sparse.indices_tensor_name)
            found[f"{key}_dense_shape"] = str(sparse.dense_shape_tensor_name)
    taken: Set[str] = set()
    return {take_name(argument(key), taken, "_"): name for key, name in found.items()}


def argument(key: str) -> str:
    """``key`` as a name that an argument can have."""
    name = re.sub(r"\W", "_", key, flags=re.ASCII)
    return name if name.isidentifier() else f"_{name}"


def _saved_model_file(path: str) -> Optional[str]:
    if os.path.basename(path) in ("saved_model.pb", "saved_model.pbtxt"):
        return path
    files = (os.path.join(path, name) for name in ("saved_model.pb", "saved_model.pbtxt"))
    return next((file for file in files if os.path.isfile(file)), None)


def saved_model_message() -> Any:
    """A new message of the kind that ``saved_model.pb`` holds."""
    return _message("tensorflow.core.protobuf.saved_model_pb2", "SavedModel")()


def _saved_model(path: str, file: str, tags: Optional[Sequence[str]]) -> GraphFile:
    message = _parse(file, _message("tensorflow.core.protobuf.saved_model_pb2", "SavedModel"))
    if message is None or not message.meta_graphs:
        raise ConversionError(f"Cannot read {file}: it holds no graph, or is damaged. Copy it anew.")
    graphs = {tuple(sorted(meta.meta_info_def.tags)): meta for meta in message.meta_graphs}
    wanted = tuple(sorted(tags)) if tags else _default_tags(list(graphs))
    if wanted not in graphs:
        listed = "; ".join(",".join(each) or "(no tag)" for each in graphs)
        problem = f"no graph has the tags {','.join(tags)}" if tags else "it has several graphs"
        raise ConversionError(f"Cannot choose a graph of {path}: {problem}. Give one of these with --tags: {listed}.")
    meta = graphs[wanted]
    folder = os.path.dirname(file)
    prefix = os.path.join(folder, "variables", "variables")
    held = prefix if _is_checkpoint(prefix) else None
    return GraphFile(folder, "saved-model", meta.graph_def, meta, signatures_of(meta), wanted, tuple(graphs), held)


def _default_tags(all_tags: List[Tuple[str, ...]]) -> Tuple[str, ...]:
    if len(all_tags) == 1:
        return all_tags[0]
    serving = [tags for tags in all_tags if "serve" in tags]
    return ("serve",) if ("serve",) in serving else serving[0] if len(serving) == 1 else ("",)


def _is_checkpoint(prefix: str) -> bool:
    """The second version has an index; the first one is a file of this name, or several that end in -?????-of-?????."""
    folder, name = os.path.split(prefix)
    if os.path.isfile(f"{prefix}.index") or os.path.isfile(prefix):
        return True
    return os.path.isdir(folder or ".") and any(
        re.fullmatch(re.escape(name) + r"-\d{5}-of-\d{5}", file) for file in os.listdir(folder or ".")
    )


def _parse(file: str, kind: Any) -> Any:
    """The message in ``file``; ``None`` if it is none of this kind."""
    with own_imports():
        errors = importlib.import_module("google.protobuf.message")
        text_format = importlib.import_module("google.protobuf.text_format")
    with open(file, "rb") as stream:
        data = stream.read()
    message = kind()
    try:
        if file.endswith((".pbtxt", ".prototxt")):
            text_format.Parse(data.decode("utf-8"), message)
        else:
            message.ParseFromString(data)
    except (errors.DecodeError, text_format.ParseError, UnicodeDecodeError):
        return None
    return message


def _message(module: str, name: str) -> Any:
    tensorflow()
    with own_imports():
        return getattr(importlib.import_module(module), name)
