"""``report.json``: everything that the report knows, for programs.

``format`` is ``"tfkernels-report"``. ``version`` grows when something that is here goes or means something else; new
names may come at any time. Paths are relative to the document's folder, times ISO 8601 in UTC, NaN and infinity text.

* ``passed``, ``exit_code``, ``headline`` (two sentences), ``baseline``, ``tolerances`` (those asked for), ``created``.
* ``kernels``: the columns, the baseline first: ``name``, ``kernel``, ``tensorflow``, ``python``.
* ``runs``: ``case`` and ``side`` (row and column), ``output`` (the executed notebook), and every fact of the outcome;
  ``records``: what it recorded: ``name``, ``summary``, ``sha256``, ``size``, ``rtol``, ``atol``. Runs that have not
  ended have ``state`` ``"pending"`` and no more.
* ``comparisons``: ``case``, ``name``, ``side``, ``verdict`` (``equal``, ``close``, ``different``, ``missing``,
  ``extra``, ``unreadable``, ``not compared``), ``passed`` (null if it was not compared), ``reason``,
  ``largest_error``, ``least_tolerance``; ``comparison`` is ``Comparison.to_dict()`` or null, and ``parts_left_out``
  counts what it lacks of values with very many parts.
"""

import datetime
import math
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import tfkernels
from tfkernels.comparison.render import number_format
from tfprovisioner.batch.report.cases import Placed
from tfprovisioner.batch.report.model import Report
from tfprovisioner.batch.report.verdicts import NOT_COMPARED, Verdict
from tfprovisioner.batch.runs import Run

FORMAT, VERSION = "tfkernels-report", 1


def document(report: Report, folder: Path) -> dict[str, Any]:
    """Plain values that JSON has; paths relative to ``folder``."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "tfkernels": tfkernels.__version__,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "passed": report.exit_code == 0,
        "exit_code": report.exit_code,
        "headline": list(report.headline),
        "baseline": report.baseline,
        "tolerances": dict(report.tolerances),
        "kernels": [
            {"name": side.name, "kernel": side.kernel, "tensorflow": side.tensorflow, "python": side.python}
            for side in report.sides
        ],
        "runs": [*(_run(item, folder) for item in report.runs), *map(_pending, report.pending)],
        "comparisons": [_comparison(verdict) for verdict in report.verdicts],
    }


def relative(path: Path, folder: Path) -> str:
    """With slashes. Of a file on another drive its name."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.name


def _run(item: Placed, folder: Path) -> dict[str, Any]:
    outcome = item.found.outcome
    facts = outcome.to_json()
    run = facts.pop("run")
    return {
        "case": item.case,
        "side": item.side,
        **run,
        "source": _source(run["source"]),
        "output": relative(item.found.path, folder),
        **_plain(facts),
        "parameters": _plain(run["parameters"]),
        "records": [
            {
                "name": record.name,
                "summary": record.summary,
                "sha256": record.sha256,
                "size": record.size,
                "rtol": _plain(record.rtol),
                "atol": _plain(record.atol),
            }
            for record in item.records.values()
        ],
    }


def _source(source: str) -> str:
    """As it was named, unless that holds a folder of a machine, or the credentials of an address."""
    address = urlsplit(source)
    if address.netloc:
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return Path(source).name if os.path.isabs(source) else source


def _pending(run: Run) -> dict[str, Any]:
    return {"case": run.case, "side": run.kernel, **_plain(run.to_json()), "state": "pending"}


def _comparison(verdict: Verdict) -> dict[str, Any]:
    return {
        "case": verdict.case,
        "name": verdict.name,
        "side": verdict.side,
        "verdict": verdict.state,
        "passed": None if verdict.state == NOT_COMPARED else verdict.agrees,
        "reason": number_format.line(verdict.reason, 2000),
        "value": verdict.value,
        "largest_error": _plain(verdict.error),
        "least_tolerance": verdict.least_tolerance or None,
        "comparison": None if verdict.comparison is None else verdict.comparison.to_dict(),
        "parts_left_out": verdict.left_out,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
