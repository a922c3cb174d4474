"""Record of a Keras model: all of it as plain values, which another release can rebuild.

A record is a dict of JSON values and NumPy arrays, so that it travels to another kernel as any value does::

    {
        "version": 1,
        "written_by": {"tensorflow": "1.15.5", "keras": "2.2.4-tf", "package": "tensorflow"},
        "config": {"class_name": "Model", "config": {…}},
        "weights": {"inner/conv1/kernel": array, …},
        "trainable_weights": ["inner/conv1/kernel", …],
        "weight_layout": {"inner/conv1": "Conv2D", …},
        "compile": {"loss": …, "metrics": …, "weighted_metrics": …, "loss_weights": …} or None,
        "optimizer": {"class_name": "Adam", "config": {…}, "step": 300 or None, "scalars": {"m_cache": 0.98},
                      "slots": {"inner/conv1/kernel": {"m": array, "v": array}, …}} or None,
        "inputs": [{"name": "image", "shape": [None, 28, 28, 1], "dtype": "float32"}, …],
        "outputs": [{"name": "probabilities", "shape": [None, 10], "dtype": "float32"}, …],
        "custom_objects": [{"name": "Scale", "kind": "layer", "layer": "inner/scale", "signature": "(factor)"}, …],
        "lambdas": [{"layer": "double", "function": "double" or None, "operations": {…} or None}, …],
    }

* ``written_by``: ``package`` is the package of the model's Keras: ``tensorflow`` (before 2.6), ``keras``, ``tf_keras``.
  ``tensorflow`` is the writer's of a file, and ``keras`` that which loaded it and wrote the ``config``; ``package`` is
  ``standalone keras`` if keras up to 2.3 wrote the file.
* ``config``: what ``model.to_json()`` writes in that release, in its spelling, with all that Keras 3 adds
  (``module``, ``registered_name``, ``build_config``). A Sequential's ``config`` is a list up to Keras 2.2.2. Settings
  that the release forgets to write (``forgotten_settings``) are added.
* ``weights``: as ``tfkernels.weights(model)``, in the model's order. ``weight_layout`` has the class of each layer
  that holds weights, as its path: a CuDNNLSTM holds them otherwise than an LSTM.
* ``compile``: losses and metrics as Keras serialises them: a name, a dict with ``class_name``, or lists and dicts of
  these.
* ``optimizer``: ``slots`` and ``scalars`` have the names of ``optimizer_state.SLOTS``, whatever the release calls them.
* ``inputs`` and ``outputs`` are empty for a model that does not know them. They are in the order of the model's.
* ``custom_objects``: classes and functions that are not Keras's. ``kind`` is ``layer``, ``model`` or ``function``.
* ``lambdas``: the layers of class Lambda. Their byte code is never part of a record: the ``config`` of such a layer has
  the name of its function, with ``"function_type": "function"``, or None for a ``lambda`` expression. Whoever rebuilds
  the model finds the function by its name, or by the layer's name; or else takes ``operations``, what it computes, as a
  functional model (``lambda_operations.without_lambdas``).

Layers in ``custom_objects`` and ``lambdas`` are called by their own names, and not by renumbered ones.
"""

import sys
from typing import Any, Dict, Mapping

from tfkernels.conversion.record.architecture import architecture
from tfkernels.conversion.record.compile_config import compile_config
from tfkernels.conversion.record.optimizer_state import optimizer_state
from tfkernels.errors import ConversionError
from tfkernels.models.keras_package import is_layer, keras_of
from tfkernels.models.layer_names import named_children, named_weights, walk
from tfkernels.models.weights import weights

VERSION = 1

Record = Dict[str, Any]


def record(model: Any, as_written: bool = False) -> Record:
    """The record of a model that lives in this process. The model must have its weights.

    ``as_written`` says that it was made from a file's configuration, and that the record adds nothing to this.
    Raises ``ConversionError`` with the layer that cannot be described, ``WeightsError`` if there are no weights yet.
    """
    if not is_layer(model) or not hasattr(model, "layers"):
        raise ConversionError(f"Cannot record a {type(model).__name__}: it is not a Keras model. Pass a Keras model.")
    keras = keras_of(model)
    values = weights(model)
    variables = named_weights(model)
    names = {id(variable): name for name, variable in variables.items()}
    trained = [names[id(variable)] for variable in model.trainable_weights if id(variable) in names]
    found = architecture(model, as_written)
    return {
        "version": VERSION,
        "written_by": {
            "tensorflow": str(sys.modules["tensorflow"].__version__),
            "keras": str(found.config.get("keras_version") or sys.modules[keras.name].__version__),
            "package": keras.name,
        },
        "config": found.config,
        "weights": values,
        "trainable_weights": trained,
        "weight_layout": weight_layout(model),
        "compile": compile_config(model),
        "optimizer": optimizer_state(model, keras, variables),
        "inputs": found.inputs,
        "outputs": found.outputs,
        "custom_objects": found.custom_objects,
        "lambdas": found.lambdas,
    }


def check(value: Mapping[str, Any]) -> Record:
    """The record that arrived from elsewhere. Raises ``ConversionError`` if it is none, or of another version."""
    if not isinstance(value, Mapping) or "config" not in value or "weights" not in value:
        raise ConversionError("Cannot read the record of a model: it is damaged. Record the model again.")
    if value.get("version") != VERSION:
        raise ConversionError(
            f"Cannot read the record of a model: its version is {value.get('version')}, and this tfkernels reads "
            f"version {VERSION}. Use one version of tfkernels on both sides."
        )
    return dict(value)


def weight_layout(model: Any) -> Dict[str, str]:
    """The class of each layer that holds weights itself, by its path."""
    layout = {}
    for path, layer in walk(model):
        inside = {id(variable) for _, child in named_children(layer) for variable in child.weights}
        if any(id(variable) not in inside for variable in layer.weights):
            layout[path] = type(layer).__name__
    return layout
