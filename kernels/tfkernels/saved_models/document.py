"""A saved model as a document of JSON values, for ``tfkernels inspect --json``."""

from typing import Any, Dict, List, Mapping, Optional

from tfkernels.saved_models.saved_file import SavedFile, Weight


def as_document(saved: SavedFile) -> Dict[str, Any]:
    return {
        "path": saved.path,
        "format": saved.format,
        "written_by": saved.written_by._asdict(),
        "architecture": saved.architecture,
        "layers": [{**layer._asdict(), "settings": dict(layer.settings)} for layer in saved.layers],
        "weights": _arrays(saved.weights),
        "optimizer": _optimizer(saved),
        "step": saved.step,
        "moving_averages": _arrays(saved.moving_averages),
        "signatures": {name: _signature(one) for name, one in saved.signatures.items()},
        "tags": saved.tags,
        "custom_objects": [one._asdict() for one in saved.custom_objects],
        "lambdas": [one._asdict() for one in saved.lambdas],
        "training_config": saved.training_config,
        "others": _arrays(saved.others),
        "notes": saved.notes,
    }


def _arrays(weights: Mapping[str, Weight]) -> List[Dict[str, Any]]:
    return [
        {"name": name, "dtype": one.dtype, "shape": one.shape, "source": one.source} for name, one in weights.items()
    ]


def _optimizer(saved: SavedFile) -> Optional[Dict[str, Any]]:
    optimizer = saved.optimizer
    if optimizer is None:
        return None
    return {
        "class_name": optimizer.class_name,
        "config": dict(optimizer.config),
        "slots": {name: sorted(slots) for name, slots in optimizer.slots.items()},
        "step": optimizer.step,
        "others": sorted(optimizer.others),
    }


def _signature(signature: Any) -> Dict[str, Any]:
    def values(of: Mapping[str, Any]) -> Dict[str, Any]:
        return {name: {"dtype": dtype, "shape": shape} for name, (dtype, shape) in of.items()}

    return {
        "inputs": values(signature.inputs),
        "outputs": values(signature.outputs),
        "method": signature.method,
        "tags": signature.tags,
    }
