"""The content of the report. All documents are made from it; ``report.json`` is it."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import tfkernels
from tfprovisioner.batch.output_dir import Found
from tfprovisioner.batch.report.cases import PlacedRun, columns, place, short_names
from tfprovisioner.batch.report.json import FORMAT, VERSION, Entry, plain, public_source, relative
from tfprovisioner.batch.report.verdicts import AGREEING, DIFFERING, NOT_COMPARED, Comparer, Key, View
from tfprovisioner.batch.tasks import Run
from tfprovisioner.kernelspecs.display_name import order_of

FINE, FAILED, DIFFERENT = 0, 1, 3
"""Exit codes."""


@dataclass(frozen=True)
class Row:
    """One recorded name of one case, on all kernels: records and comparisons by side."""

    number: int
    case: str
    name: str
    records: Mapping[str, Entry]
    comparisons: Mapping[str, Entry]

    @property
    def compared(self) -> bool:
        return any(each["verdict"] != NOT_COMPARED for each in self.comparisons.values())

    @property
    def differs(self) -> bool:
        return any(each["verdict"] in DIFFERING for each in self.comparisons.values())


@dataclass(frozen=True)
class Report:
    """See ``json`` for the entries."""

    kernels: list[Entry]
    runs: list[Entry]
    """Those that have ended, then the pending ones."""
    comparisons: list[Entry]
    tolerances: Mapping[str, float]
    created: str
    views: Mapping[Key, View] = field(default_factory=dict)
    """The rendered comparisons, which ``report.json`` does not have."""

    @cached_property
    def document(self) -> Entry:
        """The content of ``report.json``."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "tfkernels": tfkernels.__version__,
            "created": self.created,
            "passed": self.exit_code == FINE,
            "exit_code": self.exit_code,
            "headline": list(self.headline),
            "baseline": self.baseline,
            "tolerances": dict(self.tolerances),
            "kernels": self.kernels,
            "runs": self.runs,
            "comparisons": self.comparisons,
        }

    @property
    def baseline(self) -> str:
        return str(self.kernels[0]["name"]) if self.kernels else ""

    @property
    def sides(self) -> list[str]:
        return [kernel["name"] for kernel in self.kernels]

    @property
    def cases(self) -> list[str]:
        return list(dict.fromkeys(run["case"] for run in self.runs))

    @cached_property
    def run_at(self) -> dict[tuple[str, str], Entry]:
        """Runs by case and side."""
        return {(run["case"], run["side"]): run for run in self.runs}

    @cached_property
    def rows(self) -> list[Row]:
        """In the order of the cases, and then in that of the records."""
        compared: dict[tuple[str, str], dict[str, Entry]] = {}
        for each in self.comparisons:
            compared.setdefault((each["case"], each["name"]), {})[each["side"]] = each
        records: dict[tuple[str, str], dict[str, Entry]] = {}
        for run in self.runs:
            for record in run.get("records", ()):
                records.setdefault((run["case"], record["name"]), {})[run["side"]] = record
        return [Row(n, *key, of_name, compared.get(key, {})) for n, (key, of_name) in enumerate(records.items())]

    def with_state(self, state: str) -> list[Entry]:
        """Runs that are ``"passed"``, ``"failed"`` or ``"pending"``."""
        return [run for run in self.runs if run["state"] == state]

    @property
    def differs(self) -> bool:
        return any(row.differs for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 if all is fine, 1 if a run failed or is pending, 3 if all passed and results differ."""
        if self.with_state("failed") or self.with_state("pending"):
            return FAILED
        return DIFFERENT if self.differs else FINE

    def since(self, row: Row) -> str:
        """The kernel with the first release that differs, if all before it agree and none after it does; else empty."""
        in_order = self.kernels == sorted(self.kernels, key=lambda each: order_of(each["tensorflow"], each["name"]))
        verdicts = [(side, row.comparisons[side]["verdict"]) for side in self.sides if side in row.comparisons]
        changed = next((place for place, (_, verdict) in enumerate(verdicts) if verdict in DIFFERING), 0)
        before = self.sides[1 : self.sides.index(verdicts[changed][0])] if verdicts else []
        clear = all(side in row.comparisons and row.comparisons[side]["verdict"] in AGREEING for side in before)
        after = all(verdict in DIFFERING for _, verdict in verdicts[changed:])
        return verdicts[changed][0] if before and in_order and clear and after else ""

    @property
    def headline(self) -> tuple[str, str]:
        """Two sentences: on the runs, and on the results."""
        return self._runs_in_words(), self._results_in_words()

    def _runs_in_words(self) -> str:
        failed, pending = len(self.with_state("failed")), len(self.with_state("pending"))
        total = len(self.runs) - pending
        text = f"{failed} of {_number(total, 'run')} failed" if failed else f"{_all(total, 'run')} passed"
        return f"{text}, {pending} {'has' if pending == 1 else 'have'} not run" if pending else text

    def _results_in_words(self) -> str:
        if not self.rows:
            return "nothing was recorded, so there is nothing to compare"
        compared = [row for row in self.rows if row.compared]
        if not compared and len(self.kernels) > 1:
            return f"nothing could be compared with {self.baseline}"
        if not compared:
            return "nothing to compare with"
        differing = sum(row.differs for row in compared)
        if differing:
            verb = "differs" if differing == 1 else "differ"
            text = f"{differing} of {_number(len(compared), 'result')} {verb} from {self.baseline}"
        else:
            verb = "agrees" if len(compared) == 1 else "agree"
            text = f"{_all(len(compared), 'result')} {verb} with {self.baseline}"
        lacking = sum(any(one["verdict"] == NOT_COMPARED for one in row.comparisons.values()) for row in self.rows)
        return f"{text}, {lacking} not compared on every kernel" if lacking else text


def make(
    found: Sequence[Found], folder: Path, *, baseline: str | None = None, kernels: Sequence[str] = (),
    rtol: float | None = None, atol: float | None = None, pending: Sequence[Run] = (),
) -> Report:  # fmt: skip
    """Compares everything that the runs recorded. Writes nothing; paths are relative to ``folder``.

    ``kernels`` is the order of the columns, else it is that of the releases; the first is the baseline if none is
    named. Raises ``UnknownBaseline``.
    """
    short = short_names([run.source for run in pending] + [item.outcome.run.source for item in found])
    waiting = [replace(run, source=short[run.source]) for run in pending]
    placed = place(found)
    sides = columns(placed, waiting, kernels, baseline)
    comparer = Comparer(sides[0]["name"] if sides else "", rtol, atol)
    ended = []
    for case in dict.fromkeys(item.case for item in placed):
        of_case = {item.side: item for item in placed if item.case == case}
        runs = {side["name"]: of_case[side["name"]] for side in sides if side["name"] in of_case}
        comparer.compare_case(case, runs)
        ended += [_run(item, comparer.values, folder) for item in runs.values()]
    return Report(
        sides,
        [*ended, *map(_pending, waiting)],
        comparer.entries,
        {name: value for name, value in (("rtol", rtol), ("atol", atol)) if value is not None},
        datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        comparer.views,
    )


def _run(item: PlacedRun, values: Mapping[Key, str], folder: Path) -> Entry:
    facts: dict[str, Any] = plain(item.found.outcome.to_json())
    run = facts.pop("run")
    facts["state"] = "passed" if item.found.outcome.passed else "failed"
    failure = facts["failure"]
    if failure is not None:
        failure["source"] = item.found.failed_cell
    records = []
    for record in item.records.values():
        entry = {name: plain(getattr(record, name)) for name in ("name", "summary", "sha256", "size", "rtol", "atol")}
        records.append({**entry, "value": values[item.case, record.name, item.side]})
    placed = {"case": item.case, "side": item.side, **run, "source": public_source(run["source"])}
    return {**placed, "output": relative(item.found.path, folder), **facts, "records": records}


def _pending(run: Run) -> Entry:
    return {"case": run.case, "side": run.kernel, **plain(run.to_json()), "state": "pending"}


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _all(count: int, noun: str) -> str:
    return f"the {noun}" if count == 1 else f"all {count:,} {noun}s"
