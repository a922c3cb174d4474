"""``make bench``: what things cost, beside their peers, in one run on one machine.

``python -m tests.benchmarks [SUBJECT …]`` runs some of the subjects, each a module here with a function ``run`` that
returns its rows. Prints a table, in which a ratio is that to the first row of the same work, and writes
build/bench.json.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.rows import Row

SUBJECTS = ["cells", "arrays", "many", "memory", "comparison", "environments"]


def main() -> None:
    rows: list[Row] = []
    for subject in sys.argv[1:] or SUBJECTS:
        rows += import_module(f"tests.benchmarks.{subject}").run()
    show(rows)
    target = Path("build") / "bench.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(f"the samples of every round: {target}")


def show(rows: list[Row]) -> None:
    table = Table("work", "way", "median", "min - max", "ratio", box=None)
    first: dict[str, Row] = {}
    for row in rows:
        reference = first.setdefault(row.work, row)
        spread = f"{row.shown(min(row.samples))} - {row.shown(max(row.samples))}" if len(row.samples) > 1 else ""
        table.add_row(row.work, row.way, row.shown(row.median), spread, f"{row.median / reference.median:.2f}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
