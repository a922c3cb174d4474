"""What a comparison of two trainings found, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Mapping

QUANTITIES = ("input", "output", "loss", "gradient", "slot", "update", "statistic")
"""In the order in which a step computes them."""


@dataclass(frozen=True)
class Evidence:
    """Figures that show a difference, and what they mean in words."""

    words: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """Of the weight or layer, if the rule knows a better one than the first that differs."""
    step: int = 0
    """From 1; 0 if it is the first step that differs."""


@dataclass(frozen=True)
class Finding:
    """A difference between two trainings that no earlier difference explains.

    ``quantity`` is one of :data:`QUANTITIES`. ``name`` is that of a layer or weight, as ``trace`` and ``weights`` have
    it. ``step`` counts from 1. ``reason`` is the id of a rule, or ``None`` if no rule fits. ``evidence`` has figures.
    """

    quantity: str
    name: str
    step: int
    reason: str | None
    words: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    side: str = ""
    """The trace that differs from the baseline."""

    def __str__(self) -> str:
        where = f" {self.name}" if self.name else ""
        return f"step {self.step}, {self.quantity}{where}: {self.words}"

    @property
    def place(self) -> tuple[int, int]:
        """For sorting: by step, then by quantity."""
        return self.step, QUANTITIES.index(self.quantity)

    def to_dict(self) -> dict[str, Any]:
        """In JSON's own types, apart from figures, which may be NumPy's."""
        return asdict(self)
