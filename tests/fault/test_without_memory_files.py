"""Where the system makes no anonymous memory files: values travel through private temporary files, and none is left."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tfkernels.client.kernel import Kernel
from tfkernels.errors import ExchangeError
from tfkernels.transfer.segment_pool import shared
from tfkernels.transfer.shared_memory import segment as segments
from tfkernels.transfer.shared_memory.segment import MIN_MAPPED_BYTES, Segment

LARGE = np.arange(MIN_MAPPED_BYTES, dtype="f4")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files. The pool has nothing from before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    shared.close()
    yield tmp_path
    shared.close()


def refuse(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Every ``memfd_create`` fails with this error. (A seccomp filter would stay on this process for good.)"""

    def memory_file(flags: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(segments, "_memory_file", memory_file)


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(errno.ENOSYS, id="ENOSYS: an old kernel, or an emulation"),
        pytest.param(errno.EPERM, id="EPERM: a seccomp filter"),
        pytest.param(errno.EACCES, id="EACCES: the setting vm.memfd_noexec"),
        pytest.param(errno.EINVAL, id="EINVAL: without sealing"),
        pytest.param(errno.ENOMEM, id="ENOMEM: no memory for it"),
    ],
)
def test_a_whole_exchange(remote: Kernel, folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refuse(monkeypatch, number)
    back = remote.run("y = x + 1", inputs={"x": LARGE, "words": ["a", None]}, outputs={"y": "y", "words": "words"})
    assert np.array_equal(back["y"], LARGE + 1)
    assert back["words"] == ["a", None]
    back["y"][:] = 0
    assert remote["y[-1]"] == LARGE[-1] + 1, "and what is there is its own"
    swapped = remote.run("z = x * 2; del x", inputs={"x": LARGE}, outputs={"z": "z"})["z"]
    assert np.array_equal(swapped, LARGE * 2), "where the input was"
    assert [path for path in folder.iterdir() if path.is_file()] == [], "a folder is the kernel's, for its sockets"
    assert shared.stats().kept == [], "what takes room in a folder does not wait for its next use"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE], ids=["EMFILE", "ENFILE"])
def test_too_many_open_files_are_reported(folder: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    refuse(monkeypatch, number)
    with pytest.raises(ExchangeError, match=r"Cannot make shared memory: .*too many files open"):
        Segment()
    assert list(folder.iterdir()) == []


def test_a_killed_maker_leaves_no_file(tmp_path: Path) -> None:
    code = (
        "import os, signal; from tfkernels.transfer.shared_memory import segment, writer\n"
        "segment._anonymous_file = lambda: None\n"
        "made = segment.Segment(); writer.write(made.descriptor, [(0, bytes(10**7))])\n"
        "assert os.fstat(made.descriptor).st_size >= 10**7\n"
        "descriptor = segment.open_segment(made.address); os.kill(os.getpid(), signal.SIGKILL)"
    )
    variables = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(tmp_path.iterdir()) == []
