"""What commands print: as it is, and without what a foreign file would tell the terminal."""

from __future__ import annotations

import pytest

from tfprovisioner.cli.console import complain, print_table, say


def test_tables_show_extras_of_packages(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("old", "new"), [("dask[complete]==1.0", "a[/b]")])
    assert capsys.readouterr().out.split() == ["old", "new", "dask[complete]==1.0", "a[/b]"]


def test_control_signs_of_foreign_texts_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    say("left out \x1b[2Jred, in\nÄ\t\x9b1m")
    complain("\x1b]0;title\x07")
    print_table(("name",), [("\x1b[31mred",)])
    out, err = capsys.readouterr()
    assert err.splitlines() == [r"left out \x1b[2Jred, in", "Ä\t\\x9b1m", r"error: \x1b]0;title\x07"]
    assert out.split() == ["name", r"\x1b[31mred"]
