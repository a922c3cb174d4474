"""All that is known of a batch when its runs have ended: the one source of every document."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.report.cases import Placed, Side, columns, place, shortened
from tfprovisioner.batch.report.verdicts import NOT_COMPARED, Result, Verdict, judge
from tfprovisioner.batch.runs import Run
from tfprovisioner.kernelspecs.display_name import order_of

FINE, FAILED, DIFFERENT = 0, 1, 3


@dataclass(frozen=True)
class Report:
    """Runs, results and verdicts, as rows and columns of one matrix."""

    sides: tuple[Side, ...]
    """The columns; the first is the baseline."""
    runs: tuple[Placed, ...]
    results: tuple[Result, ...]
    pending: tuple[Run, ...] = ()
    """Planned runs that have not ended; their sources are short."""
    tolerances: Mapping[str, float] = field(default_factory=dict)
    """Those that were asked for: ``rtol``, ``atol``."""

    @property
    def baseline(self) -> str:
        return self.sides[0].name if self.sides else ""

    @property
    def cases(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*(item.case for item in self.runs), *(run.case for run in self.pending)]))

    @property
    def verdicts(self) -> Iterator[Verdict]:
        for result in self.results:
            yield from result.verdicts.values()

    @property
    def failed(self) -> tuple[Placed, ...]:
        return tuple(item for item in self.runs if not item.found.outcome.passed)

    @property
    def differing(self) -> tuple[Verdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.differs)

    @property
    def exit_code(self) -> int:
        """0 if all is fine, 1 if a run failed or has not ended, 3 if all passed and results differ."""
        if self.failed or self.pending:
            return FAILED
        return DIFFERENT if self.differing else FINE

    def run(self, case: str, side: str) -> Placed | None:
        return next((item for item in self.runs if (item.case, item.side) == (case, side)), None)

    def waits(self, case: str, side: str) -> bool:
        """Whether the run that belongs there has not ended."""
        return any((run.case, run.kernel) == (case, side) for run in self.pending)

    def since(self, result: Result) -> str:
        """The first release that differs, if the ones before it agree and none after it does; else empty."""
        others = self.sides[1:]
        in_order = list(self.sides) == sorted(self.sides, key=lambda side: order_of(side.tensorflow, side.name))
        found = [result.verdicts.get(side.name) for side in others]
        changed = next((place for place, verdict in enumerate(found) if verdict is not None and verdict.differs), 0)
        told = [verdict.differs for verdict in found[changed:] if verdict is not None]
        clear = all(verdict is not None and verdict.agrees for verdict in found[:changed])
        return others[changed].name if changed and in_order and clear and all(told) else ""

    @property
    def headline(self) -> tuple[str, str]:
        """Two sentences: on the runs, and on what they recorded."""
        return self._of_runs(), self._of_results()

    def _of_runs(self) -> str:
        failed, total = len(self.failed), len(self.runs)
        told = f"{failed} of {_number(total, 'run')} failed" if failed else f"{_all(total, 'run')} passed"
        if not self.pending:
            return told
        return f"{told}, {len(self.pending)} {'has' if len(self.pending) == 1 else 'have'} not run"

    def _of_results(self) -> str:
        if not self.results:
            return "nothing was recorded, so there is nothing to compare"
        compared = [result for result in self.results if result.compared]
        if not compared:
            return (
                f"nothing could be compared with {self.baseline}" if len(self.sides) > 1 else "nothing to compare with"
            )
        differing = sum(result.differs for result in compared)
        told = (
            f"{differing} of {_number(len(compared), 'result')} {'differs' if differing == 1 else 'differ'} from "
            f"{self.baseline}"
            if differing
            else f"{_all(len(compared), 'result')} {'agrees' if len(compared) == 1 else 'agree'} with {self.baseline}"
        )
        lacking = sum(any(one.state == NOT_COMPARED for one in r.verdicts.values()) for r in self.results)
        return f"{told}, {lacking} not compared on every kernel" if lacking else told


def make(
    found: Sequence[Found],
    *,
    baseline: str | None = None,
    kernels: Sequence[str] = (),
    rtol: float | None = None,
    atol: float | None = None,
    pending: Sequence[Run] = (),
) -> Report:
    """Compares everything that was recorded. Reads values one pair at a time, writes nothing.

    ``kernels`` is the order of the columns, else it is that of the releases; the first is the baseline if none is
    named. Raises ``UnknownBaseline``.
    """
    sources = [run.source for run in pending]
    known = [item.outcome.run.source for item in found]
    short = dict(zip([*sources, *known], shortened([*sources, *known]), strict=True))
    waiting = tuple(replace(run, source=short[run.source]) for run in pending)
    placed = place(found)
    sides = columns(placed, waiting, kernels, baseline)
    asked = {name: value for name, value in (("rtol", rtol), ("atol", atol)) if value is not None}
    names = [side.name for side in sides]
    cases = list(dict.fromkeys(item.case for item in placed))
    placed.sort(key=lambda item: (cases.index(item.case), names.index(item.side)))
    return Report(tuple(sides), tuple(placed), tuple(judge(placed, names, **asked)), waiting, asked)


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _all(count: int, noun: str) -> str:
    return f"the {noun}" if count == 1 else f"all {count:,} {noun}s"
