"""A step as a trace has it, from values that a session computed: plain arrays, and our names."""

import math
from collections import Counter
from typing import Any, Dict, Mapping, Optional, Sequence

import numpy as np


def dense(gradient: Sequence[Any], shape: Sequence[int]) -> Any:
    """The gradient of a whole weight. Sparse ones are rows and their indices."""
    values, indices = gradient
    if indices is None:
        return values
    whole = np.zeros(shape, values.dtype)
    np.add.at(whole, indices, values)
    return whole


def losses(loss: Any, data: Sequence[Any], regularization: Sequence[Any]) -> Dict[str, Any]:
    """The loss and its parts. TensorFlow differentiates the sum of a loss that is no scalar."""
    found = {"loss": _scalar(loss)}
    if regularization:
        found["data"] = sum(_scalar(term) for term in data)
        found["regularization"] = sum(_scalar(term) for term in regularization)
    else:
        found["data"] = found["loss"]
    return found


def sources_named(arrays: Mapping[str, Any], what: str) -> Dict[str, Any]:
    """Arrays by the names of their tensors, under our names: ``input``, or of several ``input/NAME``.

    Scalars are settings of the graph, such as the rate of a dropout.
    """
    kept = {name: array for name, array in arrays.items() if np.ndim(array)}
    if len(kept) == 1:
        return {what: next(iter(kept.values()))}
    return {f"{what}/{name[:-2] if name.endswith(':0') else name}": array for name, array in kept.items()}


def learning_rate(rates: Mapping[str, Any]) -> Optional[float]:
    """That of most weights."""
    counts = Counter(float(rate) for rate in rates.values())
    return counts.most_common(1)[0][0] if counts else None


def iteration(power: Any, beta: Any, global_step: Any) -> Optional[int]:
    """The updates before a step: from the power of Adam's beta, while that is exact, or from ``global_step``.

    A ``global_step`` counts what the program lets it count.
    """
    if power is not None and beta is not None and 1e-30 < float(power) < 1 and 0 < float(beta) < 1:
        return max(0, round(math.log(float(power)) / math.log(float(beta))) - 1)
    return None if global_step is None else int(global_step)


def part_of(values: Mapping[str, Any], part: str) -> Dict[str, Any]:
    """The values of ``part`` among those by ``PART/NAME``."""
    return {name[len(part) + 1 :]: value for name, value in values.items() if name.startswith(f"{part}/")}


def plain(value: Any) -> Any:
    """A setting as a plain number."""
    return value.item() if isinstance(value, (np.ndarray, np.generic)) and np.ndim(value) == 0 else value


def _scalar(value: Any) -> Any:
    return np.sum(value)
