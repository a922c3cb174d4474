"""Every plain way to load a saved model, tried in the release of this process. Runs in a kernel; not imported."""

# ruff: noqa: BLE001, S112 (each way may fail in any way)

import json
import os
import sys
from typing import Any


def plain(path: str, architecture: "str | None", custom_objects: "str | None") -> str:
    """``model``, ``weights`` (into the architecture, built again), ``function`` or ``nothing``."""
    import tensorflow as tf

    keras = tf.keras
    keras.backend.clear_session()
    objects: dict[str, Any] = {}
    if custom_objects:
        sys.path.insert(0, os.path.dirname(custom_objects))
        objects = {
            name: value for name, value in vars(__import__(os.path.basename(custom_objects)[:-3])).items()
            if callable(value)
        }  # fmt: skip
        sys.path.pop(0)
    if architecture:
        try:
            with open(architecture, encoding="utf-8") as file:
                model = keras.models.model_from_json(json.dumps(json.load(file)), custom_objects=objects)
            model.load_weights(path)
        except Exception:
            return "nothing"
        return "weights"
    for options in ({}, {"compile": False}, {"compile": False, "safe_mode": False}):
        try:
            model = keras.models.load_model(path, custom_objects=objects, **options)
            model.predict([_zeros(place) for place in model.inputs], verbose=0)
        except Exception:
            continue
        return "model"
    for load in (tf.saved_model.load, lambda one: keras.layers.TFSMLayer(one, call_endpoint="serving_default")):
        try:
            load(path)
        except Exception:
            continue
        return "function"
    return "nothing"


def _zeros(place: Any) -> Any:
    import numpy as np

    dtype = getattr(place.dtype, "name", place.dtype)
    return np.zeros([1 if size is None else size for size in place.shape], dtype)
