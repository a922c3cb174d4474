"""What became of an optimizer, from the state that the new file gives back."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def continued(brought: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> str:
    """What became of the optimizer's state and step, in a sentence: what the rebuilt model got, and the file has."""
    if brought is None:
        return ""
    name = brought["name"]
    if brought["why_not"]:
        return f"{name} did not come along: {brought['why_not']}"
    state = brought["state"]
    if new is None:
        return f"{name} did not come along: the new file has no optimizer"
    if new["class_name"].lower() != state["class_name"].lower():
        return f"{name} did not come along: the new file has {new['class_name']}"
    manner = f", {brought['manner']}" if brought["manner"] else ""
    slots, others = _arrays(state), _arrays(new)
    if not slots and not state.get("step"):
        return f"{name} came along with its settings{manner}: the old file has no state of it"
    after = f"after step {state['step']}" if state.get("step") is not None else "after an unknown step"
    if state.get("step") is not None and new.get("step") != state["step"]:
        return f"{name} came along without its state: it begins anew, {after}"
    unequal = [slot for slot, array in slots.items() if not np.array_equal(array, others.get(slot, ()))]
    unequal += [slot for slot in others if slot not in slots and _is_used(slot, brought)]
    if unequal:
        count = len({*slots, *unequal})
        return f"{name} continues {after}, without {len(unequal)} of its {count} slots: {unequal[0]}, …"
    return f"{name} continues {after}, with its {len(slots)} slots{manner}"


def _arrays(state: Mapping[str, Any]) -> dict[str, Any]:
    """Slots and scalars, each with a name."""
    slots = {f"{weight}/{slot}": array for weight, own in state["slots"].items() for slot, array in own.items()}
    return {**slots, **{name: np.float32(value) for name, value in (state.get("scalars") or {}).items()}}


def _is_used(slot: str, brought: Mapping[str, Any]) -> bool:
    """Some releases make slots for a momentum of zero."""
    has_momentum = brought["name"] not in ("SGD", "RMSprop") or bool(brought["config"].get("momentum"))
    return has_momentum or not slot.endswith("/momentum")
