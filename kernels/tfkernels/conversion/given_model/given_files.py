"""Files of a model that the user gives: written by this release, and opened again as a user does."""

import os
from typing import Any, Mapping, Tuple

from tfkernels.conversion.given_model.fill_model import target_of, trained_of
from tfkernels.conversion.graphs.graph_file import tensorflow
from tfkernels.conversion.load_old import custom_scope, keras_here
from tfkernels.conversion.optimizer_slots import make_slots
from tfkernels.errors import ConversionError
from tfkernels.models.keras_package import is_layer
from tfkernels.models.layer_names import named_weights

_WEIGHTS, _KERAS, _SAVED_MODEL, _CHECKPOINT = range(4)


def saved(model: Any, output: str) -> str:
    """Writes ``model``: by the ending ``.weights.h5``, what Keras saves, or a checkpoint; else a SavedModel.

    Returns the code that loads it.
    """
    kind = _kind(model, output)
    if kind == _WEIGHTS:
        model.save_weights(output)
        return f"model = build(); model.load_weights({output!r})"
    if kind == _KERAS:
        model.save(output)
        return f"model = keras.models.load_model({output!r})"
    if kind == _CHECKPOINT:
        tensorflow().train.Checkpoint(**_objects(model)).write(output)
        given = "**variables" if isinstance(model, Mapping) else "model=model"
        built = "model.optimizer.build(model.trainable_variables); " if hasattr(_optimizer(model), "build") else ""
        return f"{built}tf.train.Checkpoint({given}).read({output!r})"
    if is_layer(model):
        model.export(output)
    else:
        tensorflow().saved_model.save(model, output)
    return f"model = tf.saved_model.load({output!r})"


def opened(model: Any, custom_objects: Mapping[str, Any], output: str) -> Tuple[Any, Any]:
    """What computes with the file's weights, and what holds them. ``model`` was made anew."""
    kind = _kind(model, output)
    if not is_layer(model) and _optimizer(model) is not None:
        make_slots(_optimizer(model), trained_of(model)[1])
    if kind == _WEIGHTS:
        model.load_weights(output)
    elif kind == _KERAS:
        keras = keras_here()
        with custom_scope(keras, custom_objects):
            model = keras.models.load_model(output)
    elif kind == _CHECKPOINT:
        tensorflow().train.Checkpoint(**_objects(model)).read(output).assert_existing_objects_matched()
    elif is_layer(model):
        return _exported(model, output)
    else:
        prefix = os.path.join(output, "variables", "variables")
        tensorflow().train.Checkpoint(root=model).read(prefix).assert_existing_objects_matched()
    return model, target_of(model)


def _optimizer(model: Any) -> Any:
    """A module's own optimizer. Its slots must be there when a checkpoint is read."""
    return getattr(model, "optimizer", None)


def _exported(model: Any, output: str) -> Tuple[Any, Any]:
    """A function, and its variables by name: Keras exports them in the model's order."""
    loaded = tensorflow().saved_model.load(output)
    variables, places = list(loaded.variables), {id(one): number for number, one in enumerate(model.variables)}
    if len(variables) != len(places):
        raise ConversionError(
            f"Cannot open the new file: it has {len(variables)} variables, and the model {len(places)}. Name a .keras "
            "file with -o."
        )

    def call(*arrays: Any) -> Any:
        return loaded.serve(arrays[0] if len(arrays) == 1 else list(arrays))

    return call, {name: variables[places[id(one)]] for name, one in named_weights(model).items()}


def _kind(model: Any, output: str) -> int:
    if is_layer(model):
        if output.endswith((".weights.h5", ".ckpt")):
            return _WEIGHTS
        keras = os.path.splitext(output)[1] in (".keras", ".h5", ".hdf5") or not hasattr(model, "export")
        return _KERAS if keras else _SAVED_MODEL
    return _CHECKPOINT if isinstance(model, Mapping) or output.endswith(".ckpt") else _SAVED_MODEL


def _objects(model: Any) -> Mapping[str, Any]:
    return model if isinstance(model, Mapping) else {"model": model}
