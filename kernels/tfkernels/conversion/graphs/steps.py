"""Steps of a graph's conversion, as ``tfkernels convert`` asks a process of one release for them.

The old release opens the file and runs it; the target opens the same file, saves it, and runs what it has saved. A
process has one graph at a time. Inputs and results are dicts of arrays by the names of the signature.
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

from tfkernels.conversion.graphs import graph_file, optimizer_checkpoint, saved_graph, session_run
from tfkernels.conversion.graphs.default_signature import with_signatures
from tfkernels.conversion.graphs.graph_file import GraphFile, tensorflow
from tfkernels.conversion.graphs.graph_module import input_spec, wrap
from tfkernels.conversion.graphs.traced_tensors import traced
from tfkernels.errors import ConversionError


class _Open(NamedTuple):
    file: GraphFile
    signature: str
    ema: bool
    trust: bool
    inputs: List[Dict[str, Any]]
    folder: Optional[str] = None


_open: List[_Open] = []


def open_graph(
    path: str,
    signature: Optional[str] = None,
    tags: Optional[Sequence[str]] = None,
    outputs: Sequence[str] = (),
    ema: bool = False,
    trust: bool = False,
) -> Dict[str, Any]:
    """Reads the graph of a file, and says what it takes and gives. Nothing of it runs.

    ``tags`` choose the graph of a SavedModel, ``outputs`` name tensors where there is no signature, and ``ema`` takes
    the moving averages of variables.
    """
    found = graph_file.read(path, tags)
    file = with_signatures(found, outputs)
    name = graph_file.choose(file.signatures, signature)
    chosen = file.signatures[name]
    nodes = file.nodes
    inputs = [input_spec(nodes, key, tensor) for key, tensor in chosen.inputs.items()]
    _open[:] = [_Open(file, name, ema, trust, inputs)]
    return {
        "kind": file.kind,
        "written_by": file.written_by,
        "tags": list(file.tags),
        "all_tags": [list(tags) for tags in file.all_tags],
        "signature": name,
        "signatures": list(file.signatures),
        "found_by_itself": not found.signatures and not outputs,
        "inputs": inputs,
        "outputs": [{"name": key, "tensor": tensor} for key, tensor in chosen.outputs.items()],
        "layers": [] if file.has_objects else traced(nodes, chosen),
    }


def run_graph(inputs: Mapping[str, Any], layers: Sequence[str] = ()) -> Dict[str, Any]:
    """The values of ``layers``, then the outputs, as TensorFlow's own loader and a session compute them."""
    opened = _opened()
    signature = opened.file.signatures[opened.signature]
    found = session_run.run(opened.file, signature, _given(opened, inputs), opened.ema, opened.trust, layers)
    return {name: found[name] for name in (*layers, *signature.outputs)}


def save_graph(output: str) -> Dict[str, Any]:
    """Writes the open graph for this release. The report has the way, the trained variables, and how to load it."""
    opened = _opened()
    report = saved_graph.save(opened.file, output, opened.ema, opened.trust, opened.signature)
    _open[:] = [opened._replace(folder=output)]
    return report


def run_saved(inputs: Mapping[str, Any], layers: Sequence[str] = ()) -> Dict[str, Any]:
    """The values of ``layers`` in the new graph, then the outputs of what was saved, loaded as a user loads it."""
    opened = _opened()
    if opened.folder is None:
        raise ConversionError("Cannot run the new SavedModel: it was not saved in this process. Save it first.")
    given = _given(opened, inputs)
    found = _layers(opened, given, layers) if layers else {}
    found.update(saved_graph.run(opened.folder, opened.signature, given))
    return found


def saved_optimizer(name: str, config: Mapping[str, Any], **_: Any) -> Dict[str, Any]:
    """The state of the optimizer in what was saved; the arguments are what ``save_graph`` says of it."""
    folder = _opened().folder
    assert folder is not None
    return optimizer_checkpoint.opened(name, config, folder)


def _layers(opened: _Open, inputs: Mapping[str, Any], layers: Sequence[str]) -> Dict[str, Any]:
    tf = tensorflow()
    only = opened.file._replace(signatures={opened.signature: opened.file.signatures[opened.signature]})
    function = wrap(only, opened.ema, opened.trust, layers, opened.signature).signatures[opened.signature]
    specs = function.structured_input_signature[1]
    values = function(**{key: tf.constant(inputs[key], spec.dtype) for key, spec in specs.items()})
    return {name: values[name].numpy() for name in layers}


def _given(opened: _Open, inputs: Mapping[str, Any]) -> Dict[str, Any]:
    """The inputs; one number for each scalar, the value that switches it off if its name tells one."""
    found = dict(inputs)
    for spec in opened.inputs:
        array = np.asarray(inputs.get(spec["name"]))
        if spec["shape"] == [] and array.shape != () and array.size:
            found[spec["name"]] = np.asarray(spec.get("value", array.flat[0]), array.dtype)
    return found


def _opened() -> _Open:
    if not _open:
        raise ConversionError("No graph is open in this process. Open it first.")
    return _open[0]
