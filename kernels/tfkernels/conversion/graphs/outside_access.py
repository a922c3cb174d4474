"""Operations of a graph that reach outside of its process, to files or the network. They run only with trust."""

from typing import Any, Iterable, Set

from tfkernels.errors import ConversionError

OUTSIDE = {
    "BigQueryReader", "CreateSummaryDbWriter", "CreateSummaryFileWriter", "DebugIdentity", "DebugIdentityV2",
    "DebugIdentityV3", "DeserializeIterator", "EagerPyFunc", "FixedLengthRecordDataset",
    "FixedLengthRecordDatasetV2", "FixedLengthRecordReader", "FixedLengthRecordReaderV2",
    "IteratorFromStringHandle", "IteratorFromStringHandleV2", "LMDBDataset", "LMDBReader", "LoadDataset",
    "MatchingFiles", "MatchingFilesDataset", "MergeV2Checkpoints", "PrintV2", "PyFunc", "PyFuncStateless",
    "ReadFile", "RpcCall", "RpcClient", "RpcServer", "Save", "SaveDataset", "SaveDatasetV2",
    "SaveSlices", "SaveV2", "SnapshotDataset", "SnapshotDatasetV2", "SqlDataset", "TFRecordDataset",
    "TFRecordDatasetV2", "TFRecordReader", "TFRecordReaderV2", "TRTEngineOp", "TensorRTEngineOp", "TextLineDataset",
    "TextLineReader", "TextLineReaderV2", "TfLiteSubgraphExecute", "WholeFileReader", "WholeFileReaderV2",
    "WriteFile",
}  # fmt: skip


def check(nodes: Iterable[Any], functions: Iterable[Any], path: str, called: Iterable[str] = ()) -> None:
    """Raises ``ConversionError`` for the first node that reaches outside.

    ``functions`` are those of the library. Only those count that nodes call, or that are in ``called``: each SavedModel
    of TensorFlow 2 has one that saves its variables.
    """
    nodes = list(nodes)
    for node in _all(nodes, _reached(nodes, functions, called)):
        if node.op in OUTSIDE:
            raise ConversionError(
                f"Cannot run the graph of {path}: its node {node.name} ({node.op}) reaches outside of the process. If "
                "you trust the file, add --trust.",
                layer=str(node.name),
            )


def unknown(nodes: Iterable[Any], functions: Iterable[Any], known: Any) -> Set[str]:
    """The operations that a release does not have. ``known`` gives the definition of an operation, or ``None``."""
    functions = list(functions)
    own = {function.signature.name for function in functions}
    return {node.op for node in _all(nodes, functions) if node.op not in own and known(node.op) is None}


def _reached(nodes: Iterable[Any], functions: Iterable[Any], called: Iterable[str]) -> Iterable[Any]:
    library = {function.signature.name: function for function in functions}
    left = [*called, *(name for node in nodes for name in _calls(node))]
    left += [name for name, one in library.items() if "api_implements" in one.attr]  # may run in place of another
    while left:
        function = library.pop(left.pop(), None)
        if function is not None:
            yield function
            left += [name for node in function.node_def for name in _calls(node)]


def _calls(node: Any) -> Iterable[str]:
    """The names that a node may have of functions: its operation, and its attributes."""
    yield node.op
    for _, value in sorted(node.attr.items()):  # protobuf has them in the order of a hash table
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _all(nodes: Iterable[Any], functions: Iterable[Any]) -> Iterable[Any]:
    yield from nodes
    for function in functions:
        yield from function.node_def
