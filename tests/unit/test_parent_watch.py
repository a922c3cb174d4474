"""The watch of the process that started a kernel."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tfkernels import debugger
from tfkernels.kernel_side import parent_watch


def test_orphans_end_without_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> None:
        raise RuntimeError("can't start new thread")

    def thread(*arguments: Any) -> SimpleNamespace:
        return SimpleNamespace(start=start)

    ended: list[int] = []
    monkeypatch.setattr(debugger, "untraced_thread", thread)
    monkeypatch.setattr(parent_watch, "_end", ended.append)
    with suppress(RuntimeError):
        parent_watch._wait_for_lock(str(tmp_path), 7)
    assert ended == [7]
