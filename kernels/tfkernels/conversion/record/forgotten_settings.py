"""Settings that change what a layer computes, and that the release leaves out of the layer's configuration."""

from typing import Any

from tfkernels.conversion.record.config_layers import Node
from tfkernels.conversion.record.plain_values import plain
from tfkernels.models.layer_names import is_a

_SETTINGS = {"SeparableConv2D": ("dilation_rate", "depth_multiplier")}
"""By class: TensorFlow 1.4 writes neither for its separable convolution."""


def restore(node: Node, layer: Any) -> None:
    """Adds to a layer's configuration what is missing there and known by the layer."""
    for kind, names in _SETTINGS.items():
        if is_a(layer, kind) and isinstance(node["config"], dict):
            for name in names:
                if name not in node["config"] and hasattr(layer, name):
                    node["config"][name] = plain(getattr(layer, name))
