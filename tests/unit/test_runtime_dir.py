"""The private folder of sockets is made where that is possible. What a network disk answers is imitated."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tfkernels.client import runtime_dir


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path]]:
    """TMPDIR, and the user's folder for sockets; the paths of pytest's own are too long."""
    with tempfile.TemporaryDirectory(dir="/tmp") as first, tempfile.TemporaryDirectory(dir="/tmp") as second:
        monkeypatch.setattr(tempfile, "tempdir", first)
        monkeypatch.setenv("XDG_RUNTIME_DIR", second)
        yield Path(first), Path(second)


def made() -> Path:
    folder = runtime_dir.make()
    assert [path.name for path in folder.iterdir()] == ["owner"]
    runtime_dir.remove(folder)
    return folder.parent


def test_temporary_files_come_first(places: tuple[Path, Path]) -> None:
    assert made() == places[0]


def test_a_long_path_is_counted_in_bytes(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    long = places[0] / ("日" * 26)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    assert made() == places[1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_place_is_left_out(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    real = tempfile.mkdtemp

    def refused(**where: str) -> str:
        if where["dir"] == str(places[0]):
            raise OSError(number, os.strerror(number))
        return real(**where)

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    assert made() == places[1]


def test_a_disk_without_locks_is_left_out(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    real = fcntl.flock

    def refused(file: Any, operation: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{file}")).is_relative_to(places[0]):
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        real(file, operation)

    monkeypatch.setattr(fcntl, "flock", refused)
    assert made() == places[1]
    assert list(places[0].iterdir()) == [], "nothing is left where it was tried"


def test_a_disk_without_sockets_is_left_out(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    class Socket(socket.socket):
        def bind(self, path: Any) -> None:
            if path.startswith(str(places[0])):
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
            super().bind(path)

    monkeypatch.setattr(socket, "socket", Socket)
    assert made() == places[1]
    assert list(places[0].iterdir()) == []


def test_the_first_problem_is_raised(places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([errno.EDQUOT, errno.EACCES, errno.EROFS])

    def refused(**where: str) -> str:
        raise OSError(number := next(numbers), os.strerror(number))

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(OSError, match="quota exceeded"):
        runtime_dir.make()
