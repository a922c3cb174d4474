"""Sets the state of a model's optimizer: its slots and its step, as ``optimizer_state`` reads them."""

from typing import Any, Dict, List, Mapping, Tuple

import numpy as np

from tfkernels.conversion.optimizer_state import slots_of, unwrapped
from tfkernels.errors import ConversionError
from tfkernels.models.layer_names import named_weights


def set_state(model: Any, state: Mapping[str, Any]) -> Tuple[str, ...]:
    """Sets the optimizer of a compiled model; remarks say which slots it does not have.

    Slots that are zero are left out without a remark: that is where an optimizer begins. Raises ``ConversionError``,
    and sets nothing, if a slot has another shape.
    """
    optimizer = unwrapped(model.optimizer)
    names = {id(variable): name for name, variable in named_weights(model).items()}
    trained = [variable for variable in model.trainable_weights if id(variable) in names]
    _make_slots(optimizer, trained)
    places = {(names[id(of)], slot): place for of, slot, place in slots_of(optimizer, trained)}
    given = {(name, slot): np.asarray(value) for name, own in state["slots"].items() for slot, value in own.items()}
    for key, value in given.items():
        if key in places and tuple(places[key].shape) != value.shape:
            raise ConversionError(
                f"Cannot set the optimizer's state: {key[1]} of {key[0]} has the shape {value.shape}, and the "
                f"optimizer wants {tuple(places[key].shape)}.",
                layer=key[0],
            )
    lost: Dict[str, List[str]] = {}
    for (name, slot), value in given.items():
        if (name, slot) in places:
            places[name, slot].assign(value)
        elif value.any():
            lost.setdefault(slot, []).append(name)
    if state.get("step") is not None:
        optimizer.iterations.assign(state["step"])
    return tuple(f"the model's optimizer has no slot {slot} for {', '.join(of)}" for slot, of in lost.items())


def _make_slots(optimizer: Any, trained: List[Any]) -> None:
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
