"""Sets the weights of a rebuilt model: each layer has those of the layer that it was made from.

Names of weights contain the places of layers. The same layers can stand in another order in the new model, so that the
place in the old configuration decides, and never the place in the new one.
"""

from typing import Any, Dict, Iterator, List, Mapping, Set, Tuple

from tfkernels.conversion.target.build_model import Part
from tfkernels.errors import ConversionError, WeightsMismatch
from tfkernels.models.layer_names import join, named_children, named_weights, renumbered, uncounted
from tfkernels.models.load_report import LoadReport
from tfkernels.models.weights import load_weights

_COUNTERS = {"count"}
"""Weights that one release has and another does not, and that only count: Normalization's batches."""


def set_weights(model: Part, weights: Mapping[str, Any]) -> LoadReport:
    """Sets all weights. Raises ``ConversionError`` with the layer whose weights do not fit."""
    mapping = weight_names(model, weights)
    if not mapping:
        return LoadReport((), (), (), (), ())
    sources = {name: weights[name] for name in mapping.values()}
    try:
        report = load_weights(model.layer, sources, mapping)
    except WeightsMismatch as error:
        wrong = [*error.report.mismatched, *error.report.missing, *error.report.held]
        raise ConversionError(
            f"Cannot set the weights of the rebuilt model: {error.report}", wrong[0].target
        ) from error
    for part in _leaves(model):
        if hasattr(part.layer, "finalize_state"):
            part.layer.finalize_state()
    return report


def weight_names(model: Part, weights: Mapping[str, Any]) -> Dict[str, str]:
    """Every weight of the new model with its name in the old one. Raises ``ConversionError`` where they differ."""
    targets = named_weights(model.layer)
    left: Set[str] = set(weights)
    mapping: Dict[str, str] = {}
    seen: Set[int] = set()
    for path, old, part in _paths(model):
        if id(part.layer) in seen:
            continue
        seen.add(id(part.layer))
        own = _below(targets, path)
        given = _below(weights, old)
        missing = [name for name in own if name not in given and name not in _COUNTERS]
        extra = [name for name in given if name not in own and name not in _COUNTERS]
        if missing or extra:
            raise ConversionError(
                f"Cannot set the weights of layer {part.name} ({part.class_name}): {_difference(missing, extra)}.",
                part.name,
            )
        mapping.update({join(path, name): join(old, name) for name in own if name in given})
        left -= {join(old, name) for name in given}
    if left:
        raise ConversionError(
            f"Cannot set the weights of the rebuilt model: no layer of it holds {', '.join(sorted(left)[:5])}."
        )
    return mapping


def with_time_first(model: Part) -> List[str]:
    """The layers whose sequences have another order of axes than before, by their paths in the new model."""
    return [path for path, _, part in _paths(model) if part.time_first]


def _difference(missing: List[str], extra: List[str]) -> str:
    parts = []
    if missing:
        parts.append(f"the target has {', '.join(missing)}, which the file lacks")
    if extra:
        parts.append(f"the file has {', '.join(extra)}, which the target lacks")
    return ", and ".join(parts)


def _paths(part: Part, path: str = "", old: str = "") -> Iterator[Tuple[str, str, Part]]:
    """The layers that are no models themselves: the path in the new model, the path in the old one."""
    if not part.parts:
        yield path, old, part
        return
    new_names = {id(layer): name for name, layer in named_children(part.layer)}
    counted = [one for one in part.parts if not uncounted(one.class_name)]
    unique = list({id(one.layer): one for one in counted}.values())
    old_names = renumbered((one.name, one.class_name) for one in unique)
    for one, old_name in zip(unique, old_names):
        yield from _paths(one, join(path, new_names[id(one.layer)]), join(old, old_name))


def _leaves(part: Part) -> Iterator[Part]:
    if not part.parts:
        yield part
    for one in part.parts:
        yield from _leaves(one)


def _below(names: Mapping[str, Any], path: str) -> List[str]:
    """What follows ``path`` in the names that begin with it."""
    start = f"{path}/" if path else ""
    return [name[len(start) :] for name in names if name.startswith(start)]
