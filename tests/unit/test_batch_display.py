"""What is shown of a batch while it runs, on a terminal and in a log."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console
from rich.live import Live

from tfprovisioner.batch.live_table import Display
from tfprovisioner.batch.outcomes import Failure, Outcome, Progress
from tfprovisioner.batch.tasks import expand

RUNS = expand(["a-notebook-with-a-rather-long-name.ipynb"], ["tf1", "tf2"], grid={"seed": list(range(20))})
PASSED = Outcome(RUNS[0], "passed", "", seconds=65.2)
FAILED = Outcome(RUNS[1], "failed", "", seconds=2.0, failure=Failure("ValueError", "\n[red]no\nand more", 6))


def _terminal(width: int = 80, height: int = 24) -> tuple[Display, io.StringIO]:
    written = io.StringIO()
    console = Console(file=written, width=width, height=height, force_terminal=True, color_system=None)
    return Display(RUNS, live=Live(console=console, auto_refresh=False)), written


def _shown(table: Display, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return capture.get().splitlines()


def _running(number: int, cell: int = 3) -> Progress:
    return Progress(
        RUNS[number].name, "running", cell, 7, "model.fit(images, labels, epochs=20, batch_size=128)", "host"
    )


@pytest.mark.parametrize("width", [40, 80, 200])
def test_forty_runs_fit_a_small_terminal(width: int) -> None:
    table, _ = _terminal(width)
    for number in range(len(RUNS)):
        table.tell(_running(number))
    shown = _shown(table, width)
    assert len(shown) < 24
    assert all(len(line) <= width for line in shown)
    assert "0 of 40 ended, 40 running, 0 waiting" in " ".join(shown)


def test_a_run_is_one_line_with_its_cell() -> None:
    table, _ = _terminal(160)
    table.tell(_running(0, 2))
    table.tell(_running(0, 3))
    line, counts = _shown(table, 160)
    assert line.split()[0] == RUNS[0].name
    assert "3/7  model.fit(images" in line
    assert counts == "0 of 40 ended, 1 running, 39 waiting"


def test_what_has_ended_goes_up_and_is_counted() -> None:
    table, written = _terminal(160)
    for number, outcome in enumerate((PASSED, FAILED)):
        table.tell(_running(number))
        table.ended(outcome)
    assert _shown(table, 160) == ["2 of 40 ended, 1 failed, 0 running, 38 waiting"]
    assert f"✓ {RUNS[0].name}: passed (1 min 5 s)" in written.getvalue()
    assert f"✗ {RUNS[1].name}: failed (2.0 s): cell 7: ValueError: [red]no" in written.getvalue()


def test_a_requeued_run_is_shown_as_waiting() -> None:
    table, _ = _terminal()
    table.tell(_running(0))
    table.tell(Progress(RUNS[0].name, "note", text="its worker on host died"))
    assert _shown(table) == ["0 of 40 ended, 0 running, 40 waiting"]


def test_a_log_shows_starts_and_ends_only(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Display(RUNS, done=38)
    for cell in range(1, 8):
        lines.tell(_running(0, cell))
    lines.ended(replace(PASSED, run=RUNS[0]))
    lines.tell(Progress("", "note", text="a worker died"))
    lines.ended(FAILED)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == [
        f"{RUNS[0].name}: running on host, cell 1 of 7: model.fit(images, labels, epochs=20, batch_size=128)",
        f"[39/40] {RUNS[0].name}: passed (1 min 5 s)",
        "a worker died",
        f"[40/40] {RUNS[1].name}: failed (2.0 s): cell 7: ValueError: [red]no",
    ]
