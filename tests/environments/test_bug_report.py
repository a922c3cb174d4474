"""The report of ``tfkernels doctor --report``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tfkernels import log
from tfprovisioner.kernelspecs import bug_report


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    yield tmp_path / "tfkernels-log"
    log.disable()


def test_a_report_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "someone"))
    monkeypatch.setenv("TFKERNELS_CHANNELS", "https://me:pass-5308@channels.example/t/abc-token-123/x")
    log.enable("debug")
    command = f"uv --index https://user:secret-7419@index.example/simple {tmp_path / 'someone/x'}"
    log.logger("system.subprocesses").info(command)
    target = tmp_path / bug_report.FILE
    bug_report.write(target, ["tf1: ok"])
    text = target.read_text()
    for secret in ("pass-5308", "secret-7419", "abc-token-123", "someone"):
        assert secret not in text
    for part in ("## System", "## Packages", "ipykernel ", "## Settings", "## Kernels", "tf1: ok", "~/x"):
        assert part in text
