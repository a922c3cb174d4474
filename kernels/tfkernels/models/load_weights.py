"""Weights from one program into another: all that fit, or none."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

from tfkernels.errors import WeightsError, WeightsMismatch
from tfkernels.models.load_report import LoadReport, Match, Mismatch, Missing
from tfkernels.models.match import Pair, pairs
from tfkernels.models.weights import Variables, variables_of


def load_weights(
    target: Any, weights: Mapping[str, Any], mapping: Mapping[str, str] | None = None, partial: bool = False
) -> LoadReport:
    """Sets the weights of a Keras model, of a session or of a dict of variables from a dict of arrays by name.

    ``weights`` is what :func:`weights` gave in any release, or any dict with names of variables. A target finds its
    source, in this order: by ``mapping`` (``{target: source}``); by its name; by its name in another spelling
    (``conv1/weights:0`` for ``conv1/kernel``); by the same with scopes in front (``net/conv1/weights``); by its place
    among layers that differ in their numbers only (``dense_4``, ``dense_7`` for ``dense``, ``dense_1``); as the only
    one left of its kind and shape. Between two candidates nothing is guessed. Values take the variable's dtype.

    Returns a report of what came from where. Raises ``WeightsMismatch``, which carries the report, if a weight of the
    target has no source or one of another shape; then nothing is set. With ``partial=True`` what fits is set.
    """
    if not isinstance(weights, Mapping):
        raise WeightsError(
            "weights are a dict of arrays by name, as tfkernels.weights(model) gives it; a list, as from "
            "model.get_weights(), has no names, and its order differs between releases"
        )
    variables = variables_of(target)
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    report = _compared(variables, arrays, mapping or {})
    if not (report.complete or partial):
        raise WeightsMismatch(report)
    variables.write(
        {
            match.target: arrays[match.source].astype(variables.dtype(match.target), copy=False)
            for match in report.matched
        }
    )
    return report


def _compared(variables: Variables, arrays: dict[str, Any], mapping: Mapping[str, str]) -> LoadReport:
    targets = variables.shapes()
    sources = {name: array.shape for name, array in arrays.items()}
    found = {pair.target: pair for pair in pairs(targets, sources, mapping)}
    matched, mismatched = [], []
    for name in targets:
        if name in found:
            reason = _reason(found[name], variables, arrays)
            if reason is None:
                matched.append(Match(*found[name], shape=targets[name]))
            else:
                mismatched.append(Mismatch(*found[name][:2], targets[name], sources[found[name].source], reason))
    used = {pair.source for pair in found.values()}
    unused = tuple(name for name in sources if name not in used)
    missing = tuple(
        Missing(name, targets[name], tuple(source for source in unused if sources[source] == targets[name]))
        for name in targets
        if name not in found
    )
    return LoadReport(tuple(matched), tuple(mismatched), missing, unused)


def _reason(pair: Pair, variables: Variables, arrays: dict[str, Any]) -> str | None:
    """Why the source cannot be set; ``None`` if it can."""
    array = arrays[pair.source]
    wanted, given = variables.shapes()[pair.target], array.shape
    if wanted != given:
        return _hint(wanted, given)
    dtype = variables.dtype(pair.target)
    if not np.can_cast(array.dtype, dtype, "same_kind") and dtype.kind != "V":  # bfloat16 is of no kind NumPy knows
        return f"{array.dtype} values do not fit into {dtype}"
    return None


def _hint(wanted: tuple[int, ...], given: tuple[int, ...]) -> str:
    for one, other in ((wanted, given), (given, wanted)):
        if len(one) == 2 and one[0] == 2 and other == one[1:]:
            return "a GRU's bias: give both layers the same reset_after, which is True by default only in TensorFlow 2"
    if len(wanted) > 1 and wanted == given[::-1]:
        return "the same axes in the opposite order: transpose the source"
    if sorted(wanted) == sorted(given):
        return "the same axes in another order"
    return ""
