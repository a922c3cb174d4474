"""What a rule is, and what it may look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Callable, Optional, Tuple

from tfkernels.diagnosis.differences import Difference
from tfkernels.diagnosis.finding import Evidence
from tfkernels.diagnosis.formulas import clipping, layers, losses, slots, updates
from tfkernels.diagnosis.sides import Side

Both = Tuple[Side, Side]


class Facts:
    """What formulas know of two traces; computed once."""

    def __init__(self, a: Side, b: Side) -> None:
        self.both: Both = (a, b)
        self.fit = lru_cache(maxsize=None)(self._fit)
        self.decay = lru_cache(maxsize=None)(self._decay)
        self.losses = lru_cache(maxsize=None)(self._losses)
        self.rates = lru_cache(maxsize=None)(self._rates)
        self.explained = lru_cache(maxsize=None)(self._explained)

    @property
    def steps(self) -> int:
        return min(side.steps for side in self.both)

    def clipping(self, which: int, step: int) -> clipping.Clipping:
        return clipping.clipping(self.both[which], step)

    def beta_2(self, which: int) -> float | None:
        second = self.decay(which, "v")
        return None if second is None or second.error > slots.FITS else 1 - second.new

    @property
    def decays_hold(self) -> bool:
        """Whether moments and sums of squares of both sides follow from all gradients."""
        found = [self.decay(which, slot) for which in (0, 1) for slot in ("m", "v", "mean_square", "accumulator")]
        return all(each.error <= slots.FITS for each in found if each is not None)

    def _fit(self, which: int) -> updates.Fit:
        return updates.fit(self.both[which], self.beta_2(which))

    def _rates(self, which: int) -> list[dict[str, float]]:
        """With a formula that explains both, if there is one."""
        fit, shared = self.fit(which), set(self.fit(0).formulas) & set(self.fit(1).formulas)
        common = next((each for each in self.fit(0).formulas if each in shared), None)
        if common is not None and fit.formulas[0] != common:
            fit = updates.refitted(self.both[which], fit, common, self.beta_2(which))
        return updates.rates(self.both[which], fit, self.decay(which, "momentum"))

    def _decay(self, which: int, slot: str) -> slots.Decay | None:
        return slots.decay(self.both[which], slot)

    def settings(self, which: int, step: int, layer: str) -> list[tuple[tuple[str, str], ...]]:
        return self.explained(which, step, layer).settings

    def _explained(self, which: int, step: int, layer: str) -> layers.Explained:
        try:
            return layers.explained(self.both[which], step, layer)
        except (ValueError, ArithmeticError):  # arrays that are empty or do not fit each other
            return layers.Explained([], "")

    def _losses(self, which: int) -> list[losses.Loss]:
        return losses.losses(self.both[which])


@dataclass(frozen=True)
class Case:
    """What is to be explained: arrays of one quantity that differ in a step, or, if none, only what formulas find.

    ``found`` has the arrays that differ, in order; empty if an earlier difference may have made them different.
    """

    quantity: str
    step: int
    a: Side
    b: Side
    names: tuple[str, str]
    facts: Facts
    found: tuple[Difference, ...] = ()
    all: tuple[Difference, ...] = ()
    """Also those that agree."""

    @property
    def first(self) -> Difference | None:
        return next(iter(self.found), None)


Test = Callable[[Case], Optional[Evidence]]


@dataclass(frozen=True)
class Rule:
    """One way in which two trainings differ: an entry of the catalogue.

    ``aspect``: of the rules with one aspect the first that fits counts. ``by_itself``: the test uses formulas, so that
    it may be asked whatever differed before. ``cells`` is a runnable pair that shows it.
    """

    id: str
    quantity: str
    aspect: str
    title: str
    releases: str
    test: Test
    cells: tuple[str, str] = field(default=("", ""))
    by_itself: bool = False
    follows: tuple[str, ...] = ()
    """Rules that explain this difference, too: beside them it is not independent."""
