"""The values of both releases side by side: a layer at a time, in the order of computation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfkernels.comparison import Comparison, compare
from tfprovisioner.conversion.process import StepFailed

OUTPUT = "output"
"""The name of a model's own output in a trace."""


@dataclass(frozen=True)
class Proof:
    """What the comparison says."""

    comparison: Comparison
    """Of the values under the layer's name and the batch's."""
    layers: tuple[str, ...]
    """The layers that both releases have, the model's own output last."""
    left_out: tuple[str, ...]
    """Layers that only one of them has: operations are layers in one release and not in another."""
    masked: tuple[str, ...] = ()
    """Layers that differ only where one release gives zeros for masked steps, which no later layer uses."""

    @property
    def passed(self) -> bool:
        """Whether all values agree, but for masked steps."""
        return set(self.differing) <= set(self.masked)

    @property
    def first_layer(self) -> str | None:
        """The first layer whose values differ."""
        return next(iter(self.differing), None)

    @property
    def differing(self) -> tuple[str, ...]:
        """The layers whose values differ, in order."""
        failed = [part.path for part in self.comparison.failed]
        return tuple(layer for layer in self.layers if any(under(path, layer) for path in failed))


def under(path: str, layer: str) -> bool:
    """Whether a part's path is that of a layer."""
    return path == layer or path.startswith((f"[{layer!r}]", f"{layer}["))


def compared(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], names: Sequence[str],
    rtol: float | None = None, atol: float | None = None,
) -> Proof:  # fmt: skip
    """The comparison of traces by batch; each has the values by layer.

    Raises ``StepFailed`` if nothing can be compared.

    Without tolerances they are ``compare``'s: 1e-5 for float32, relative to the value and to the largest of its array.
    """
    orders = [dict.fromkeys(name for trace in traces.values() for name in trace) for traces in (old, new)]
    both = [name for name in orders[0] if name in orders[1]]
    lone = [name for order, other in (orders, orders[::-1]) for name in order if name not in other]
    sides = [
        {name: {batch: trace[name] for batch, trace in traces.items() if name in trace} for name in both}
        for traces in (old, new)
    ]
    comparison = compare(*sides, names=names, rtol=rtol, atol=atol)
    telling = [part.path for part in comparison.parts if _tells_something(part)]
    if not telling or (OUTPUT in both and not any(under(path, OUTPUT) for path in telling)):
        what = "the model's output is NaN for all inputs" if telling else "no values are in both releases"
        raise StepFailed(
            f"Nothing is proved: {what}.", advice="Give inputs that the model was made for: --inputs FILE.npz."
        )
    proof = Proof(comparison, tuple(both), tuple(lone))
    return replace(proof, masked=_masked(sides[0], sides[1], proof.differing, rtol, atol))


def _masked(
    old: Mapping[str, Mapping[str, Any]], new: Mapping[str, Mapping[str, Any]], layers: Sequence[str],
    rtol: float | None, atol: float | None,
) -> tuple[str, ...]:  # fmt: skip
    """The layers of ``layers`` that agree in all steps but those for which one release has zeros alone.

    Such steps are found in these layers themselves: what follows a masked layer step by step differs there, too.
    """
    found: list[str] = []
    left_out: dict[tuple[Any, ...], Any] = {}  # by batch and shape: which steps of which sequence
    for layer in layers:
        agrees = layer != OUTPUT
        for batch, one in old[layer].items():
            other: Any = new[layer].get(batch)
            if getattr(one, "ndim", 0) != 3 or getattr(other, "shape", None) != one.shape:
                agrees = False
                break
            key = (batch, *one.shape[:2])
            steps = left_out.get(key, False) | ((one == 0).all(-1) != (other == 0).all(-1))
            left_out[key] = steps
            agrees &= not steps.all() and compare(one[~steps], other[~steps], rtol=rtol, atol=atol).passed
        if agrees:
            found.append(layer)
    return tuple(found)


def _tells_something(part: Any) -> bool:
    """Equal values that are all NaN, and none at all, are no proof."""
    found = part.statistics
    if not part.passed or found is None:
        return not part.passed or part.baseline != "empty"
    return bool(found.size) and (found.non_finite is None or found.non_finite.nan_in_both < found.size)
