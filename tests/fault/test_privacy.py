"""Other users of the machine cannot look into what travels; what they plant is not opened, nor theirs deleted."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.memory import open_files
from tfkernels.client import runtime_dir as folders_module
from tfkernels.errors import ExchangeError
from tfkernels.transfer.shared_memory import segment as segments
from tfkernels.transfer.shared_memory.segment import Segment, open_segment
from tfkernels.transfer.shared_memory.writer import write

OTHER = 65534
"""The number of a user who is not this one: nobody."""

# The system lets only root take another number or give a file away. The continuous integration runs as root, and so
# runs these tests.
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become, or give a file to, another user")


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files that everybody may look into, as ``/tmp`` is; pytest's own are private."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o1777)  # noqa: S103 (that of /tmp)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def tried(path: str, way: str, inherited: tuple[int, ...] = ()) -> str:
    """What a program of the other user gets that opens the file, to read (``<``) or to write (``<>``)."""
    done = subprocess.run(
        ["sh", "-c", f'exec 9{way}"$0"', path],
        user=OTHER, group=OTHER, extra_groups=[], pass_fds=inherited, env={**os.environ, "LC_ALL": "C"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stderr.strip().rpartition(": ")[2] if done.returncode else "opened"


@as_root
@pytest.mark.parametrize("way", ["<", "<>"], ids=["read", "write"])
@pytest.mark.parametrize("kind", ["anonymous", "unlinked", "named"])
def test_another_user_opens_no_segment(public: Path, monkeypatch: pytest.MonkeyPatch, kind: str, way: str) -> None:
    if kind != "anonymous":
        monkeypatch.setattr(segments, "_anonymous_file", lambda: None)
    if kind == "named":
        monkeypatch.setattr(segments, "_leads_to", lambda path, file: False)
    control = public / "control"
    control.touch()
    control.chmod(0o666)
    with Segment() as segment:
        write(segment.descriptor, [(0, b"secret")])
        path = segment.address["path"]
        assert path.startswith(str(public) if kind == "named" else "/proc")
        assert tried(str(control), way) == "opened", "the folder lets everybody in"
        assert tried(path, way) == "Permission denied"
        os.close(open_segment(segment.address))


@as_root
@pytest.mark.parametrize("kind", ["anonymous", "unlinked"])
def test_other_users_cannot_write_to_received_segments(
    public: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """``/proc`` lets everybody open anew what he has open already: only the file's own mode stands before that."""
    if kind == "unlinked":
        monkeypatch.setattr(segments, "_anonymous_file", lambda: None)
    with Segment() as segment:
        reading = os.open(segment.address["path"], os.O_RDONLY)
        assert tried(f"/proc/self/fd/{reading}", "<>", (reading,)) == "Permission denied"
        os.close(reading)


def plant(kind: str, place: Path) -> Path:
    """Something that is no segment of this user."""
    path = place / "planted"
    if kind == "a fifo":
        os.mkfifo(path)
    elif kind == "a directory":
        path.mkdir()
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as planted:
            planted.bind(str(path))
    elif kind == "a device":
        return Path("/dev/zero")
    else:
        path.write_bytes(bytes(8192))
        os.chown(path, OTHER, OTHER)
    return path


@pytest.mark.parametrize(
    "kind",
    ["a fifo", "a directory", "a socket", "a device", pytest.param("a file of another user", marks=as_root)],
)
def test_planted_files_are_not_opened(public: Path, kind: str) -> None:
    path = plant(kind, public)
    found = path.stat()
    with pytest.raises(
        ExchangeError, match="was replaced" if kind not in ("a directory", "a socket") else "Cannot open"
    ):
        open_segment({"path": str(path), "device": found.st_dev, "inode": found.st_ino})
    assert str(path) not in open_files()


def test_own_files_are_opened(public: Path) -> None:
    path = public / "mine"
    path.touch()
    found = path.stat()
    address = {"path": str(path), "device": found.st_dev, "inode": found.st_ino}
    os.close(open_segment(address))
    with pytest.raises(ExchangeError, match="was replaced"):
        open_segment({**address, "inode": found.st_ino + 1})
    with pytest.raises(ExchangeError, match="was replaced"):
        open_segment({**address, "device": found.st_dev + 1})
    path.unlink()
    with pytest.raises(ExchangeError, match="Cannot open"):
        open_segment(address)


def old_folder(path: Path) -> Path:
    """As processes leave it that were killed together: an hour old, its lock free."""
    path.mkdir()
    (path / "owner").touch()
    (path / "kept").write_text("precious")
    os.utime(path, (1, 1))
    return path


@as_root
def test_folders_of_another_user_are_left_alone(public: Path, tmp_path: Path) -> None:
    mine, others = old_folder(public / "tfkernels-mine"), old_folder(public / "tfkernels-others")
    for path in (*others.iterdir(), others):
        os.chown(path, OTHER, OTHER)
    precious = old_folder(tmp_path / "precious")
    (public / "tfkernels-link").symlink_to(precious)
    os.chown(public / "tfkernels-link", OTHER, OTHER, follow_symlinks=False)
    made = folders_module.make()
    try:
        assert made.parent == public
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert not mine.exists(), "one of this user would have been deleted"
        assert sorted(path.name for path in others.iterdir()) == ["kept", "owner"]
        assert sorted(path.name for path in precious.iterdir()) == ["kept", "owner"]
    finally:
        folders_module.remove(made)
