"""The log: silent by default, complete when asked for, and never with a secret."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfkernels import env_vars, log

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    yield tmp_path / "tfkernels-log"
    log.disable()


def test_nothing_is_shown_by_default(capfd: pytest.CaptureFixture[str], folder: Path) -> None:
    log.logger("client.process").info("kernel %s started", "tf1")
    log.logger("client.connection").debug("not recorded")
    assert capfd.readouterr() == ("", "")
    assert "kernel tf1 started" in log.recent(1)[0]
    assert not folder.exists()


def test_debug_goes_to_a_private_file(folder: Path) -> None:
    path = Path(log.enable("debug"))
    log.logger("client.connection").debug("tf1 < status, 0.2 kB")
    assert path.parent == folder
    assert "DEBUG" in path.read_text()
    assert "tf1 < status, 0.2 kB" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    log.disable()
    log.logger("client.connection").info("not in the file")
    assert "not in the file" not in path.read_text()


def test_old_log_files_are_deleted(folder: Path) -> None:
    folder.mkdir()
    for number in range(40):
        old = folder / f"{number}.log"
        old.write_text("old")
        os.utime(old, (number, number))
    log.enable("info")
    assert len(log.files()) == 20
    assert not (folder / "0.log").exists()


def test_an_unknown_level_names_the_levels() -> None:
    with pytest.raises(ValueError, match=r"'loud' is no log level\. Use one of: debug, info, warning\."):
        log.enable("loud")


def test_a_wrong_setting_is_recorded_and_ignored(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("loud")
    assert "TFKERNELS_LOG is ignored: 'loud' is no log level" in log.recent(1)[0]
    assert capfd.readouterr() == ("", "")


def test_the_loggers_are_ordinary_ones() -> None:
    assert log.logger("client.process") is logging.getLogger("tfkernels.client.process")


def test_the_settings_page_has_every_variable() -> None:
    """Each name in the code is in a table of the page, and each name of the tables is used."""
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    table = set(re.findall(r"^\| `(TFKERNELS_[A-Z_]+)` \|", page, re.MULTILINE))
    sources = [path for part in ("kernels", "provisioner") for path in (ROOT / part).rglob("*.py")]
    texts = {path: path.read_text(encoding="utf-8") for path in sources}
    named = {name for text in texts.values() for name in re.findall(r"TFKERNELS_[A-Z_]*[A-Z]\b", text)}
    assert named == table


def test_users_settings_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_POOL", "2G")
    monkeypatch.delenv("TFKERNELS_START", raising=False)
    shown = {name: (value, origin) for name, value, _, origin in env_vars.current()}
    assert shown["TFKERNELS_POOL"] == ("2G", "set")
    assert shown["TFKERNELS_START"] == ("none", "default")
