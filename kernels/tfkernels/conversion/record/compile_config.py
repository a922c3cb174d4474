"""How a model was compiled: its losses and metrics, as Keras serialises them. The optimizer is apart."""

from typing import Any, Dict, Optional

from tfkernels.conversion.record.plain_values import plain

_SETTINGS = ("loss", "metrics", "weighted_metrics", "loss_weights", "sample_weight_mode")


def compile_config(model: Any) -> Optional[Dict[str, Any]]:
    """What the model was compiled with, or ``None`` if it is not compiled."""
    if getattr(model, "optimizer", None) is None:
        return None
    found = _given(model)
    return {key: plain(found.get(key)) for key in _SETTINGS if found.get(key) is not None}


def _given(model: Any) -> Dict[str, Any]:
    if hasattr(model, "get_compile_config"):  # since 2.12
        return dict(model.get_compile_config() or {})
    if hasattr(model, "_get_compile_args"):  # since 2.0
        found = dict(model._get_compile_args())  # noqa: SLF001 (there is no other way)
        return {**found, "loss_weights": found.get("loss_weights")}
    metrics = getattr(model, "_compile_metrics", None)  # in 1.13 and 1.14 ``metrics`` are the objects made of them
    return {
        "loss": getattr(model, "loss", None),
        "metrics": getattr(model, "metrics", None) if metrics is None else metrics,
        "weighted_metrics": getattr(model, "_compile_weighted_metrics", getattr(model, "weighted_metrics", None)),
        "loss_weights": getattr(model, "loss_weights", None),
        "sample_weight_mode": getattr(model, "sample_weight_mode", None),
    }
