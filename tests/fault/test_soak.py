"""Cells, interrupts and kills at random moments. ``make soak`` does more of them."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.soak import run


@pytest.fixture
def _folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is left in it is counted, and others make kernels meanwhile. Short, as paths of sockets have to be."""
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.mark.usefixtures("_folder_for_temporary_files")
def test_nothing_is_lost_stuck_or_left_behind(installed: object, soak: bool) -> None:
    cells, interrupts, kills = (2000, 200, 50) if soak else (100, 10, 3)
    seed = random.randrange(10**6)  # noqa: S311 (nothing secret)
    report = run(cells, interrupts, kills, seed)
    print(report)
    assert not report.wrong, f"seed {seed}: {report}"
    assert report.counts["interrupts"] == interrupts
    assert report.counts["kills"] == kills
