"""Description of a Keras model as plain values: its layers by our names, with class, settings and shapes of weights.

    {
        "model_description": 1,
        "about": {"tensorflow": "1.15.5", "keras": "2.2.4-tf", "package": "tensorflow"},
        "class_name": "Model",
        "layers": {
            "conv1": {"class_name": "Conv2D", "settings": {"padding": "same", …} or None, "weights": {"kernel":
                      [3, 3, 1, 8], "bias": [8]}, "trainable": True, "inputs": [["input"]] or None},
            …
        },
        "optimizer": {"class_name": "Adam", "config": {"epsilon": 1e-07, …}} or None,
    }

Settings are what the layer's ``get_config`` gives, and what that release leaves out. They are ``None`` for a class of
the user's without that method. ``inputs`` has for each call the layers that it is called on, and is ``None`` where
nothing tells them, as in a subclass. A layer inside another is an entry of its own; a recurrent layer and its cell
are one.
"""

import sys
from typing import Any, Dict, Mapping

from tfkernels.conversion.layer_rules import unwritten
from tfkernels.conversion.layer_rules.keras_release import KerasRelease, release_of
from tfkernels.conversion.layer_rules.report import Report
from tfkernels.conversion.record.forgotten_settings import restore
from tfkernels.conversion.record.plain_values import plain
from tfkernels.errors import UsageError
from tfkernels.model_comparison.wiring import wiring
from tfkernels.models.keras_package import Keras, is_layer, keras_of
from tfkernels.models.layer_names import is_a, named_weights, walk
from tfkernels.models.weights import shapes_of

MARK = "model_description"
VERSION = 1

Description = Dict[str, Any]

_LAYERS_INSIDE = ("layers", "layer", "backward_layer", "forward_layer", "input_layers", "output_layers")


def describe(model: Any) -> Description:
    """The layers of a Keras model with their settings and the shapes of their weights, as a dict that can travel.

    ``description = %tf1 tfkernels.describe(model)`` brings it here, and :func:`compare_models` takes it as a model.
    Settings are written explicitly: those that a release has not, or does not save, have the value that it means.

    Raises ``UsageError`` if ``model`` is not a Keras model.
    """
    if not is_layer(model):
        raise UsageError(f"describe() needs a Keras model, got a {type(model).__name__}")
    keras = keras_of(model)
    about = _about(keras)
    release = release_of(about)
    layers: Dict[str, Any] = {}
    for path, layer in walk(model):
        if path and path not in layers:
            layers[path] = _layer(layer, release)
    found = named_weights(model)
    for name, shape in shapes_of(found).items():
        path, _, last = name.rpartition("/")
        entry = layers.setdefault(path, {"class_name": type(model).__name__, "settings": {}, "weights": {},
                                         "trainable": bool(model.trainable)})  # fmt: skip
        entry["weights"][last] = list(shape)
    calls = wiring(model)
    for path, entry in layers.items():
        entry["inputs"] = calls.get(path)
    return {
        MARK: VERSION,
        "about": about,
        "class_name": type(model).__name__,
        "layers": layers,
        "optimizer": _optimizer(model),
    }


def description_of(model: Any, argument: str) -> Description:
    """The description of a model, or the one that ``model`` is. Raises ``UsageError`` for what is neither."""
    if isinstance(model, Mapping) and MARK in model:
        if model[MARK] != VERSION:
            raise UsageError(
                f"compare_models(): the description {argument} has version {model[MARK]}, and this tfkernels reads "
                f"version {VERSION}. Use one version of tfkernels on both sides"
            )
        return dict(model)
    if is_layer(model):
        return describe(model)
    raise UsageError(
        f"compare_models() needs Keras models or what tfkernels.describe gave; {argument} is a {type(model).__name__}"
    )


def _about(keras: Keras) -> Dict[str, str]:
    module = sys.modules[keras.name]
    version = getattr(getattr(module, "keras", module), "__version__", "") if keras.name != "keras" else ""
    return {
        "tensorflow": str(sys.modules["tensorflow"].__version__),
        "keras": str(version or module.__version__),
        "package": keras.name,
    }


def _layer(layer: Any, release: KerasRelease) -> Dict[str, Any]:
    settings: Any = None
    if is_a(layer, "Model"):
        settings = {}
    else:
        try:
            settings = plain(layer.get_config())
        except Exception:  # noqa: BLE001 (the user's own code, or NotImplementedError: its settings are not known)
            settings = None
    class_name = type(layer).__name__
    if settings is not None:
        node = {"class_name": class_name, "config": settings}
        restore(node, layer)
        unwritten.write(class_name, settings, release, Report().of("", class_name))
        for inside in _LAYERS_INSIDE:
            settings.pop(inside, None)
        _axis_from_the_end(layer, settings)
    return {"class_name": class_name, "settings": settings, "weights": {}, "trainable": bool(layer.trainable)}


def _axis_from_the_end(layer: Any, settings: Dict[str, Any]) -> None:
    """Some releases count axes from the start once a layer is built: 3 and -1 are the same axis of an image."""
    rank = getattr(getattr(layer, "input_spec", None), "ndim", None)
    axes = settings.get("axis")
    if isinstance(axes, int):
        axes = [axes]
    if rank and isinstance(axes, list) and all(isinstance(axis, int) for axis in axes):
        settings["axis"] = [axis - rank if axis >= 0 else axis for axis in axes]


def _optimizer(model: Any) -> Any:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not hasattr(optimizer, "get_config"):
        return None
    try:
        return {"class_name": type(optimizer).__name__, "config": plain(optimizer.get_config())}
    except Exception:  # noqa: BLE001 (optimizers of TensorFlow 1 within Keras have no configuration)
        return {"class_name": type(getattr(optimizer, "optimizer", optimizer)).__name__, "config": {}}
