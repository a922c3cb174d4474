"""Places of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder and a Jupyter of its own; nothing of the user's is touched."""
    monkeypatch.setenv("TFKERNELS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # Before the kernels of the Python that runs the tests, which this process does not see at all: what removes a
    # kernel removes it everywhere.
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [])
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return tmp_path
