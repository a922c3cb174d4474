"""``make bench``: what things cost, beside their peers, in one run on one machine.

``python -m tests.benchmarks [SUBJECT …]`` runs some of the subjects, each a module here with a function ``run`` that
yields the rows of one work after another, each with a reference first. They are printed as they come, with the ratio to
that reference, and build/bench.json has what there is after every work, so that nothing is lost if it ends early.
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

SUBJECTS = ["cells", "arrays", "small_values", "many_arrays", "memory", "comparison", "batch", "environments"]


def main() -> None:
    rows: list[Row] = []
    target = Path("build") / "bench.json"
    target.parent.mkdir(exist_ok=True)
    console = Console(width=150)
    for subject in sys.argv[1:] or SUBJECTS:
        for work in import_module(f"tests.benchmarks.{subject}").run():
            console.print(table(work, heading=not rows))
            rows += work
            target.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    print(f"the samples of every round: {target}")


def table(rows: list[Row], heading: bool) -> Table:
    """The rows of one work. The columns are as wide in the tables of all works, which follow each other."""
    table = Table(box=None, show_header=heading)
    for column, width in (("work", 44), ("way", 46), ("median", 12), ("min - max", 24), ("ratio", 7)):
        table.add_column(column, width=width)
    for row in rows:
        spread = f"{row.shown(min(row.samples))} - {row.shown(max(row.samples))}" if len(row.samples) > 1 else ""
        ratio = f"{row.median / rows[0].median:.2f}"
        table.add_row(row.work, row.way, row.shown(row.median), spread, ratio)
    return table


if __name__ == "__main__":
    main()
