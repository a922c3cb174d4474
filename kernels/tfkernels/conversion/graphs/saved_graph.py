"""Writes a graph as a SavedModel of TensorFlow 2, and runs what was written as a user loads it."""

import contextlib
import importlib
import os
import tempfile
from typing import Any, Dict, Iterator, List, Mapping, Optional

from tfkernels.conversion.graphs import optimizer_checkpoint, outside_access
from tfkernels.conversion.graphs.graph_file import GraphFile, choose, saved_model_message, tensorflow
from tfkernels.conversion.graphs.graph_module import natural, wrap
from tfkernels.conversion.graphs.nodes import needed, tensor
from tfkernels.conversion.graphs.optimizer_checkpoint import Kept
from tfkernels.errors import ConversionError
from tfkernels.imports import own_imports

_FILES = {".keras", ".h5", ".hdf5", ".pb", ".ckpt", ".index", ".tflite", ".onnx"}

_SLOTS_OF_OBJECTS = (
    "only the Keras that wrote a SavedModel can load its slots. If it has a Keras model, leave out --as-graph"
)

LAYER = "serve"
"""The function of a new SavedModel that takes one argument, as TFSMLayer calls it."""


def save(
    file: GraphFile, output: str, ema: bool = False, trust: bool = False, signature: Optional[str] = None
) -> Dict[str, Any]:
    """Writes the SavedModel ``output``, and says what it holds and how to load it. Raises ``ConversionError``."""
    tf = tensorflow()
    ending = os.path.splitext(output)[1]
    if ending in _FILES:
        raise ConversionError(
            f"Cannot write {os.path.basename(output)}: a graph becomes a SavedModel, which is a folder and no {ending} "
            f"file. Give a folder with -o; load it with {_layer('FOLDER')}. Or give a Keras model for the weights with "
            "--model FILE.py:FUNCTION."
        )
    name = choose(file.signatures, signature)
    if file.has_objects:
        if not trust:  # its functions, and what is run when it is loaded
            run = needed(file.nodes, [tensor(one).node for one in file.run_when_loaded()])
            outside_access.check(
                [node for name, node in file.nodes.items() if name in run],
                file.graph_def.library,
                file.path,
                file.functions_of_objects(),
            )
        report = _save_again(tf, file, output, name, ema)
        slots = any(node.slot_variables for node in file.meta_graph.object_graph_def.nodes)
        kept = Kept({"name": "the optimizer", "why_not": _SLOTS_OF_OBJECTS} if slots else {})
    else:
        wrapped = wrap(file, ema, trust, serve=name)
        tf.saved_model.save(wrapped.module, output, signatures=wrapped.signatures)
        loops = "; it has loops of TensorFlow 1, so that TensorFlow 2 cannot train it" if wrapped.loops else ""
        report = {
            "way": f"the graph, wrapped as a tf.Module{loops}",
            "trainable": list(wrapped.trainable),
            "fixed": wrapped.fixed,
        }
        variables = {one.name.split(":")[0]: one for one in wrapped.module.variables}
        trained = list(wrapped.module.trainable_variables) if wrapped.trainable else []
        kept = optimizer_checkpoint.save(file, variables, trained, output)
    return {
        **report,
        "choices": [*choices(output), *kept.choices],
        "optimizer": kept.brought or None,
        "remarks": list(kept.remarks),
    }


def choices(folder: str) -> List[str]:
    """How to load what was written, in the words of this TensorFlow."""
    module = f"model = tf.saved_model.load({folder!r}); model.{LAYER}(inputs); model.trainable_variables"
    return [module, f"layer = {_layer(folder)}"]


def _layer(folder: str) -> str:
    """Keras 3 has a layer for SavedModels; for Keras 2 the package ``tensorflow_hub`` has one."""
    with own_imports():
        layers = importlib.import_module("tensorflow").keras.layers
    if hasattr(layers, "TFSMLayer"):
        return f"keras.layers.TFSMLayer({folder!r}, call_endpoint={LAYER!r})"
    return f"tensorflow_hub.KerasLayer({folder!r}, trainable=True)"


def run(folder: str, signature: str, inputs: Mapping[str, Any]) -> Dict[str, Any]:
    """The outputs of the new SavedModel, loaded as a user loads it, sorted by name: TensorFlow's order is by chance."""
    tf = tensorflow()
    function = tf.saved_model.load(folder).signatures[signature]
    _, specs = function.structured_input_signature
    given = {key: tf.constant(value, specs[key].dtype) for key, value in inputs.items() if key in specs}
    return {key: value.numpy() for key, value in sorted(function(**given).items())}


def _save_again(tf: Any, file: GraphFile, folder: str, name: str, ema: bool) -> Dict[str, Any]:
    """A SavedModel of TensorFlow 2: it is loaded with its objects and functions, and saved by this release."""
    if ema:
        raise ConversionError("Cannot take moving averages of a SavedModel of TensorFlow 2. Leave out --ema.")
    with _without_slots(file) as path:
        loaded = tf.saved_model.load(path, tags=list(file.tags))
    if not hasattr(loaded, LAYER):
        function = loaded.signatures[name]
        specs = {key: tf.TensorSpec(spec.shape, spec.dtype, name=key)
                 for key, spec in function.structured_input_signature[1].items()}  # fmt: skip
        setattr(
            loaded, LAYER, natural(tf, specs, len(function.structured_outputs) == 1, lambda given: function(**given))
        )
    tf.saved_model.save(loaded, folder, signatures=dict(loaded.signatures))
    trained = {id(variable) for function in loaded.signatures.values() for variable in function.trainable_variables}
    variables = {
        id(one): one.name.split(":")[0] for function in loaded.signatures.values() for one in function.variables
    }
    return {
        "way": "the SavedModel with its functions, saved again",
        "trainable": [variable for number, variable in variables.items() if number in trained],
        "fixed": {},
    }


@contextlib.contextmanager
def _without_slots(file: GraphFile) -> Iterator[str]:
    """The path of the SavedModel; of a copy if an optimizer's slots are in it, which only its own Keras can load."""
    objects = file.meta_graph.object_graph_def.nodes
    if not any(node.slot_variables for node in objects):
        yield file.path
        return
    with tempfile.TemporaryDirectory(prefix="tfkernels-") as folder:
        for name in os.listdir(file.path):
            if not name.startswith(("saved_model.pb", "fingerprint.pb")):
                os.symlink(os.path.join(os.path.abspath(file.path), name), os.path.join(folder, name))
        saved = saved_model_message()
        meta_graph = saved.meta_graphs.add()
        meta_graph.CopyFrom(file.meta_graph)
        for node in meta_graph.object_graph_def.nodes:
            del node.slot_variables[:]
        saved.saved_model_schema_version = 1
        with open(os.path.join(folder, "saved_model.pb"), "wb") as stream:
            stream.write(saved.SerializeToString())
        yield folder
