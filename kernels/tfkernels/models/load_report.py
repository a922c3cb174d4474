"""What ``load_weights`` did, or refused to do."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import NamedTuple, Tuple

Shape = Tuple[int, ...]


class Match(NamedTuple):
    """A target with its source, and how it was found: ``match.pairs`` lists the ways."""

    target: str
    source: str
    how: str
    shape: Shape


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
    candidates: tuple[str, ...]

    @property
    def remark(self) -> str:
        more = f" and {len(self.candidates) - 3} more" if len(self.candidates) > 3 else ""
        return f"no source; of its shape: {', '.join(self.candidates[:3])}{more}" if self.candidates else "no source"


@dataclass(frozen=True, repr=False)
class LoadReport:
    """Which weights found their source. Text in a terminal, a table in a notebook."""

    matched: tuple[Match, ...]
    mismatched: tuple[Mismatch, ...]
    missing: tuple[Missing, ...]
    unused: tuple[str, ...]

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

    def _rows(self) -> list[tuple[str, str, str, str]]:
        """Target, source, shape, remark; what needs attention comes first."""
        bad = self.mismatched
        return [
            *((row.target, row.source, f"{row.wanted} from {row.given}", _misfit(row.reason)) for row in bad),
            *((row.target, "-", str(row.shape), row.remark) for row in self.missing),
            *(("-", name, "", "left over") for name in self.unused),
            *((row.target, row.source, str(row.shape), row.how) for row in self.matched),
        ]


def _misfit(reason: str) -> str:
    return f"does not fit: {reason}".rstrip(": ")
