"""What ``load_weights`` did, or refused to do."""

from html import escape
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from tfkernels.models.match import Match, Shape, Shapes, match


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

    @property
    def remark(self) -> str:
        more = f" and {len(self.candidates) - 3} more" if len(self.candidates) > 3 else ""
        return f"no source; of its shape: {', '.join(self.candidates[:3])}{more}" if self.candidates else "no source"


class LoadReport(NamedTuple):
    """Which weights found their source. Text in a terminal, a table in a notebook."""

    matched: Tuple[Match, ...]
    mismatched: Tuple[Mismatch, ...]
    missing: Tuple[Missing, ...]
    unused: Tuple[str, ...]

    @classmethod
    def of(
        cls,
        targets: Shapes,
        dtypes: "Mapping[str, np.dtype[Any]]",
        arrays: Mapping[str, Any],
        mapping: Mapping[str, str],
    ) -> "LoadReport":
        """For targets of these shapes and dtypes, ``arrays`` by the names of their sources, and the user's mapping."""
        sources = {name: array.shape for name, array in arrays.items()}
        found = {pair.target: pair for pair in match(targets, sources, mapping)}
        used = {pair.source for pair in found.values()}
        unused = tuple(name for name in sources if name not in used)
        matched, mismatched, missing = [], [], []
        for name, shape in targets.items():
            pair = found.get(name)
            if pair is None:
                missing.append(Missing(name, shape, tuple(source for source in unused if sources[source] == shape)))
                continue
            reason = _reason(shape, dtypes[name], arrays[pair.source])
            if reason is None:
                matched.append(pair)
            else:
                mismatched.append(Mismatch(name, pair.source, shape, sources[pair.source], reason))
        return cls(tuple(matched), tuple(mismatched), tuple(missing), unused)

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
        total = len(self.matched) + len(self.mismatched) + len(self.missing)
        parts = [f"{len(self.matched)} of {total} weights have a source that fits"]
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
