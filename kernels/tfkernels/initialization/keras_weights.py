"""What each weight of a Keras model begins with: the initializers that its layers have."""

import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tfkernels.models.initializers import Initializer, initializer
from tfkernels.models.layer_names import is_a, named_weights, walk

_ATTRIBUTES = {"recurrent_kernel": ("recurrent_initializer",),
               "depthwise_kernel": ("depthwise_initializer",),
               "pointwise_kernel": ("pointwise_initializer",)}  # fmt: skip


class Begin(NamedTuple):
    """What a weight begins with. ``forget_bias``: the second quarter of it is 1, as a LSTM's ``unit_forget_bias``."""

    initializer: Optional[Initializer]
    shape: Tuple[int, ...]
    trained: bool = True
    forget_bias: bool = False

    def __str__(self) -> str:
        return f"{self.initializer}, and 1 for the forget gate" if self.forget_bias else str(self.initializer)


def begins(model: Any, shapes: Dict[str, Tuple[int, ...]]) -> Dict[str, Begin]:
    """By the name of the weight. ``shapes`` are those of the model's weights; CuDNN's layers get those of an LSTM."""
    layers: Dict[str, List[Any]] = {}
    for path, layer in walk(model):
        layers.setdefault(path, []).append(layer)
    trained = {id(variable) for variable in model.trainable_weights}
    trained |= {id(weight) for _, layer in walk(model) for weight in getattr(layer, "_trainable_weights", ())}
    found = {}
    for name, variable in named_weights(model).items():
        path, _, last = name.rpartition("/")
        owners, kind = layers.get(path, []), re.sub(r"_\d+$", "", last)
        given = next(filter(None, (_of_layer(layer, kind) for layer in owners)), None)
        forget = kind == "bias" and any(_has_forget_bias(layer) for layer in owners)
        shape = _without_cudnn(owners, kind, shapes[name])
        found[name] = Begin(given, shape, id(variable) in trained, forget and str(given) == "zeros")
    return found


def array(begin: Begin, values: Any) -> Any:
    """``values`` of the initializer with the forget gate's part of them."""
    if begin.forget_bias:
        quarter = begin.shape[0] // 4
        values[quarter : 2 * quarter] = 1.0
    return values


def _of_layer(layer: Any, kind: str) -> Optional[Initializer]:
    names: Sequence[str] = _ATTRIBUTES.get(kind, (f"{kind}_initializer",))
    if kind == "kernel" and any(is_a(layer, name) for name in ("DepthwiseConv2D", "DepthwiseConv1D")):
        names = ("depthwise_initializer",)
    if kind == "alpha":
        names = ("alpha_initializer",)
    for name in names:
        value = getattr(layer, name, None)
        if value is not None:
            return initializer(value)
    return None


def _has_forget_bias(layer: Any) -> bool:
    return bool(getattr(layer, "unit_forget_bias", False))


def _without_cudnn(owners: List[Any], kind: str, shape: Tuple[int, ...]) -> Tuple[int, ...]:
    """CuDNN's layers have two biases behind each other. ``load_weights`` makes them of those that an LSTM has."""
    if kind != "bias" or not any(type(layer).__name__.startswith("CuDNN") for layer in owners):
        return shape
    gates = 4 if any(is_a(layer, "CuDNNLSTM") for layer in owners) else 3
    units = int(np.prod(shape)) // (2 * gates)
    return (4 * units,) if gates == 4 else (2, 3 * units)
