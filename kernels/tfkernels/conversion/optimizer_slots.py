"""Sets the state of an optimizer: its slots, scalars and step, as ``optimizer_state`` reads them."""

import hashlib
from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from tfkernels.conversion.record.optimizer_state import SCALARS, slots_of, unwrapped
from tfkernels.errors import ConversionError


def set_state(
    optimizer: Any, state: Mapping[str, Any], variables: Mapping[str, Any], trained: List[Any]
) -> Tuple[str, ...]:
    """Sets the state for ``variables``, by the names in ``state``; remarks say which parts the optimizer cannot take.

    ``trained`` are all variables that it trains. Slots that are zero are left out without a remark: that is where an
    optimizer begins. Raises ``ConversionError``, and sets nothing, if a slot has another shape.
    """
    optimizer = unwrapped(optimizer)
    make_slots(optimizer, trained)
    places = {(id(of), slot): place for of, slot, place in slots_of(optimizer, trained)}
    assignments: List[Tuple[Any, Any]] = []
    lost: Dict[str, List[str]] = {}
    for name, slots in (state.get("slots") or {}).items():
        for slot, given in slots.items():
            value, place = np.asarray(given), places.get((id(variables.get(name)), slot))
            if place is None:
                if value.any():
                    lost.setdefault(slot, []).append(name)
                continue
            if tuple(place.shape) != value.shape:
                raise ConversionError(
                    f"Cannot set the optimizer's state: {slot} of {name} has the shape {value.shape}, and the "
                    f"optimizer wants {tuple(place.shape)}.",
                    layer=name,
                )
            assignments.append((place, value))
    remarks = [f"the model's optimizer has no slot {slot} for {', '.join(of)}" for slot, of in lost.items()]
    for name, value in (state.get("scalars") or {}).items():
        place = _scalar(optimizer, name)
        if place is None:
            remarks.append(f"the model's optimizer has no {name}")
        else:
            assignments.append((place, np.asarray(value)))
    if state.get("step") is not None:
        assignments.append((optimizer.iterations, np.asarray(int(state["step"]))))
    for place, value in assignments:
        place.assign(value.astype(np.dtype(str(getattr(place.dtype, "name", place.dtype))), copy=False))
    return tuple(remarks)


def make_slots(optimizer: Any, trained: List[Any]) -> None:
    """Optimizers make their slots when they first train. Each kind has another way to ask for it."""
    if hasattr(optimizer, "build"):
        if not getattr(optimizer, "built", getattr(optimizer, "_built", False)):
            optimizer.build(trained)
    elif hasattr(optimizer, "_create_all_weights"):  # OptimizerV2 since 2.3
        optimizer._create_all_weights(trained)  # noqa: SLF001 (there is no other way)
    elif hasattr(optimizer, "_create_slots"):
        _ = optimizer.iterations
        optimizer._create_hypers()  # noqa: SLF001
        optimizer._create_slots(trained)  # noqa: SLF001


def _scalar(optimizer: Any, name: str) -> Any:
    found = (getattr(optimizer, attribute, None) for attribute in SCALARS.get(name, ()))
    return next((place for place in found if hasattr(place, "assign")), None)


def hashed(state: Mapping[str, Any]) -> Dict[str, Any]:
    """The state with hashes for arrays: these are twice as large as the model, and only compared."""
    slots = {name: {slot: _hash(array) for slot, array in own.items()} for name, own in state["slots"].items()}
    return {**state, "slots": slots}


def _hash(array: Any) -> str:
    values = np.asarray(array, "float32") + 0  # 0 and -0 are the same
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()
