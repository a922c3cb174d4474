"""The log of a real kernel: each message, start, signal and end, and no value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tfkernels
from tfkernels import log


@pytest.fixture
def log_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new log file: the lines in memory may be of earlier tests."""
    log.disable()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    yield Path(log.enable("debug"))
    log.disable()


def test_every_message_is_logged_without_values(log_file: Path) -> None:
    kernel = tfkernels.kernel("python3")
    kernel["secret_array"] = np.full(1000, 123456789)
    kernel.run("print('a secret text')")
    pid = kernel.pid
    kernel.shutdown()
    text = log_file.read_text()
    for part in (
        f"kernel python3 started, process {pid}",
        "python3 < shell execute_request",
        "with inputs of 8",
        "python3 > iopub status",
        "busy",
        "idle",
        "python3 > iopub stream",
        "python3 > shell execute_reply",
        "python3 < control shutdown_request",
        f"process group {pid} gets SIGKILL",
        f"process {pid} ",
    ):
        assert part in text
    for value in ("secret text", "123456789", "print("):
        assert value not in text
