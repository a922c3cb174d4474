"""Tests of this ring start no process, connect to nothing, and see no environment and no kernel."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

_REFUSED = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "socket.connect", "subprocess.Popen"}
_refusing = False


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _refusing and event in _REFUSED:
        raise AssertionError(f"a test in tests/unit uses {event} {arguments}. Move it to another ring.")


sys.addaudithook(_refuse)


@pytest.fixture(autouse=True)
def _nothing_else(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    global _refusing
    nowhere = str(tmp_path_factory.getbasetemp() / "nowhere")
    for name in ("TFKERNELS_HOME", "JUPYTER_DATA_DIR", "JUPYTER_PATH"):
        monkeypatch.setenv(name, nowhere)
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [])
    _refusing = True
    yield
    _refusing = False
