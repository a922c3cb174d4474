"""What holds for several commands."""

from __future__ import annotations

import pwd

import pytest
from typer import BadParameter
from typer.testing import CliRunner

from tfprovisioner.cli.app import app
from tfprovisioner.cli.shared_options import parse_memory


def test_memory_is_read() -> None:
    assert parse_memory("1.5 GiB") == 3 * 2**29


@pytest.mark.parametrize("text", ["", "GB", "-2GB", "-5", "0", "1e999", "much"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(BadParameter, match=r"is not a size\. Write one like 2GB|'0' is too little"):
        parse_memory(text)


def test_a_user_without_a_home_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> None:
        raise KeyError(f"uid not found: {number}")

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    done = CliRunner().invoke(app, ["list"])
    assert done.exit_code == 2
    assert done.stderr.startswith("error: The home folder is unknown: HOME is not set, and user ")
    assert done.stderr.endswith("Set HOME.\n")
