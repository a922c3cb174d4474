"""What ``load_weights`` did, or refused to do."""

from collections import defaultdict
from html import escape
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.models import layouts
from tfkernels.models.match import KINDS, Match, Shape, Shapes, keys, match


class Mismatch(NamedTuple):
    """A target and a source that belong together by name, and why the one cannot be set to the other."""

    target: str
    source: str
    wanted: Shape
    given: Shape
    reason: str


class Missing(NamedTuple):
    """A target without a source; ``candidates`` are the unused sources of its shape."""

    target: str
    shape: Shape
    candidates: Tuple[str, ...]
    known: str = ""
    """A difference of layouts that explains it."""

    @property
    def remark(self) -> str:
        if self.known:
            return f"no source: {self.known}"
        more = f" and {len(self.candidates) - 3} more" if len(self.candidates) > 3 else ""
        return f"no source; of its shape: {', '.join(self.candidates[:3])}{more}" if self.candidates else "no source"


class LoadReport(NamedTuple):
    """Which weights found their source. Text in a terminal, a table in a notebook."""

    matched: Tuple[Match, ...]
    held: Tuple[Match, ...]
    """Sources that fit, in layers where another weight has none: of a layer all weights are set, or none."""
    mismatched: Tuple[Mismatch, ...]
    missing: Tuple[Missing, ...]
    unused: Tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every target has a source that fits."""
        return not self.mismatched and not self.missing

    def __repr__(self) -> str:
        rows = [(target, source, " ".join(filter(None, notes))) for target, source, *notes in self._rows()]
        widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
        lines = (f"  {target:{widths[0]}}  {source:{widths[1]}}  {note}".rstrip() for target, source, note in rows)
        return "\n".join([self._summary(), *lines])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{title}</th>" for title in ("target", "source", "shape", "how, or why not"))
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in self._rows())
        return f"<p>{escape(self._summary())}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _summary(self) -> str:
        total = len(self.matched) + len(self.held) + len(self.mismatched) + len(self.missing)
        parts = [f"{len(self.matched)} of {total} weights have a source that fits"]
        if self.held:
            parts.append(f"{len(self.held)} one, but not their whole layer")
        if self.mismatched:
            parts.append(f"{len(self.mismatched)} a source that does not fit")
        if self.missing:
            parts.append(f"{len(self.missing)} none")
        if self.unused:
            parts.append(f"{len(self.unused)} of the source {'is' if len(self.unused) == 1 else 'are'} left over")
        return ", ".join(parts)

    def _rows(self) -> List[Tuple[str, str, str, str]]:
        """Target, source, shape, remark; what needs attention comes first."""
        bad = [(row, f"does not fit: {row.reason}".rstrip(": ")) for row in self.mismatched]
        return [
            *((row.target, row.source, f"{row.wanted} from {row.given}", why) for row, why in bad),
            *((row.target, "-", str(row.shape), row.remark) for row in self.missing),
            *((row.target, row.source, str(row.shape), "not set: of a layer all or none") for row in self.held),
            *(("-", name, "", "left over") for name in self.unused),
            *((row.target, row.source, str(row.shape), row.how) for row in self.matched),
        ]


def _reason(wanted: Tuple[int, ...], dtype: "np.dtype[Any]", array: Any) -> Optional[str]:
    """Why a variable cannot be set to an array, empty if nothing explains it; ``None`` if it can."""
    given = array.shape
    if wanted == given:
        if np.can_cast(array.dtype, dtype, "same_kind") or dtype.kind == "V":  # bfloat16 is of no kind NumPy knows
            return None
        return f"{array.dtype} values do not fit into {dtype}"
    for one, other in ((wanted, given), (given, wanted)):
        if len(one) == 2 and one[0] == 2 and other == one[1:]:
            return "a GRU's bias: give both layers the same reset_after, which is True by default only in TensorFlow 2"
    if len(wanted) > 1 and wanted == given[::-1]:
        return "the same axes in the opposite order: transpose the source"
    return "the same axes in another order" if sorted(wanted) == sorted(given) else ""


def examine(
    targets: Shapes,
    dtypes: "Mapping[str, np.dtype[Any]]",
    arrays: Mapping[str, Any],
    mapping: Mapping[str, str],
    one_layer: bool = False,
) -> Tuple[LoadReport, Dict[str, Any]]:
    """What fits of ``arrays``, by the names of their sources, and the values of the targets that get one.

    ``one_layer`` says whether all names in one place belong to one layer; otherwise only known kinds in a scope do.
    """
    sources = {name: array.shape for name, array in arrays.items()}
    found = {pair.target: pair for pair in match(targets, sources, mapping)}
    unused = tuple(name for name in sources if name not in {pair.source for pair in found.values()})
    source_layers = _layers(sources, one_layer=True)
    layer_of = {name: names for names in source_layers for name in names.values()}
    values: Dict[str, Any] = {}
    matched, held, mismatched, missing = [], [], [], []
    for names in _layers(targets, one_layer):
        pairs = {kind: found[name] for kind, name in names.items() if name in found}
        layer = {kind: targets[name] for kind, name in names.items()}
        given = {kind: arrays[pair.source] for kind, pair in pairs.items()}
        origin = next((layer_of[pair.source] for pair in pairs.values()), {})
        converted = layouts.convert({kind: arrays[name] for kind, name in origin.items()}, layer)
        if converted is not None and all(origin.get(kind) == pair.source for kind, pair in pairs.items()):
            given = {kind: converted[kind] for kind in pairs}
            pairs = {kind: pair._replace(how=f"{pair.how}, CuDNN's layout converted") for kind, pair in pairs.items()}
        reasons = {kind: _reason(layer[kind], dtypes[names[kind]], array) for kind, array in given.items()}
        fitting = [pair for kind, pair in pairs.items() if reasons[kind] is None]
        if len(fitting) == len(names):
            matched += fitting
            values.update((names[kind], array) for kind, array in given.items())
            continue
        held += fitting
        others = [origin, *(one for one in source_layers if any(name in unused for name in one.values()))]
        known = _CONVERTIBLE if converted is not None else _known_difference(others, sources, layer)
        mismatched += [
            Mismatch(pair.target, pair.source, layer[kind], sources[pair.source], reasons[kind] or known)
            for kind, pair in pairs.items()
            if reasons[kind] is not None
        ]
        missing += [
            Missing(name, layer[kind], tuple(source for source in unused if sources[source] == layer[kind]), known)
            for kind, name in names.items()
            if kind not in pairs
        ]
    return LoadReport(tuple(matched), tuple(held), tuple(mismatched), tuple(missing), unused), values


_CONVERTIBLE = "CuDNN's layout, which is converted if mapping names all weights of the layer"


def _layers(names: Iterable[str], one_layer: bool) -> List[Dict[str, str]]:
    """The names of weights by layer, and in it by what the layer calls them. Of cells in one layer the names differ."""
    layers: Dict[Any, Dict[str, str]] = defaultdict(dict)
    for name, key in keys(names).items():
        layer = layers[key[:-1] if one_layer or (len(key) > 1 and key[-1] in KINDS) else name]
        layer[name if key[-1] in layer else key[-1]] = name
    return list(layers.values())


def _known_difference(layers: List[Dict[str, str]], sources: Shapes, target: Shapes) -> str:
    for names in layers:
        difference = layouts.difference({kind: sources[name] for kind, name in names.items()}, target)
        if difference:
            return f"{', '.join(names.values())} {difference}"
    return ""
