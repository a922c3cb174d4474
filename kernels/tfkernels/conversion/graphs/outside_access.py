"""Operations that reach outside of their process, to files, other programs or code. They run only with trust."""

import re
from typing import Any, Iterable, Set

from tfkernels.errors import ConversionError

_OUTSIDE = re.compile(
    r"(?i)py_?func|numpy_function|file|dataset|reader|save|restore|summary|debug|print|rpc|iterator|checkpoint|trtengine"
    r"|tensorrt|tflite|load|library|decode_.*raw_from|session|queue|remap|immutable|unigram|remote|send|recv"
)
"""In names of TensorFlow's operations, and of its functions in Python."""

_OF_GRAPHS = re.compile(
    r"__\w+|Restore(Slice|V2)?|Sharded(Filename|Filespec)|InitializeTableFromTextFile(V2)?|Print|Fingerprint|\w*Queue\w*"
    r"|(Audio|Histogram|Image|Merge|Scalar|Tensor)Summary(V2)?|(Anonymous|Make|OneShot)?Iterator(V\d)?"
    r"|IteratorGetNext\w*|(Batch|Concatenate|Filter|FlatMap|Interleave|Map|MapAndBatch|Model|Optimize|Options"
    r"|PaddedBatch|ParallelBatch|ParallelInterleave|ParallelMap|Prefetch|Random|Range|Reduce|Repeat|Shuffle"
    r"|ShuffleAndRepeat|Skip|SparseTensorSlice|Take|Tensor|TensorSlice|Window|Zip)Dataset(V\d)?"
)
"""Of these, what graphs have for their own loading and training. It reads at most checkpoints and word lists.

Names with two underscores are no operations: TensorFlow 2 calls its functions so, such as ``__inference_save_7``.
"""


def may_reach_outside(name: str) -> bool:
    """Whether an operation, or a function of TensorFlow in Python, may reach outside of its process."""
    return _OUTSIDE.search(name) is not None


def check(nodes: Iterable[Any], library: Any, path: str, called: Iterable[str] = ()) -> None:
    """Raises ``ConversionError`` for the first node that reaches outside.

    Of the ``library`` only those functions count that nodes call, or that are in ``called``: each SavedModel of
    TensorFlow 2 has one that saves its variables.
    """
    nodes = list(nodes)
    for node in _all(nodes, _reached(nodes, library, called)):
        if may_reach_outside(node.op) and not _OF_GRAPHS.fullmatch(node.op):
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


def _reached(nodes: Iterable[Any], library: Any, called: Iterable[str]) -> Iterable[Any]:
    functions = {function.signature.name: function for function in library.function}
    gradients = {one.function_name: one.gradient_func for one in library.gradient}
    left = [*called, *(name for node in nodes for name in _calls(node))]
    left += [name for name, one in functions.items() if "api_implements" in one.attr]  # may run in place of another
    while left:
        name = left.pop()
        function = functions.pop(name, None)
        if function is not None:
            yield function
            left += [name for node in function.node_def for name in _calls(node)]
            left += [gradients[name]] if name in gradients else []


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
