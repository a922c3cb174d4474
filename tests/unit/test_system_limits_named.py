"""Limits of the system end a command with one sentence, and no advice to rebuild what is whole."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from typer import Exit

from tfkernels.errors import KernelStartError
from tfprovisioner.cli.console import answering
from tfprovisioner.errors import ProvisionError
from tfprovisioner.system import locking


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("can't start new thread"), "the limit of processes and threads is reached. End some programs"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "the limit of processes and threads"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x"), "No space left on device: '/x'. Free some space."),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), "/x"), "quota exceeded: '/x'. Free some space."),
    ],
)
def test_commands_name_the_limit(error: Exception, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Exit), answering():
        raise error
    assert words in capsys.readouterr().err


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="a bug"), answering():
        raise RuntimeError("a bug")


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "Free some space"),
        ("OSError: [Errno 122] Disk quota exceeded", "Free some space"),
        ("Resource temporarily unavailable (src/thread.cpp:241)", "End some programs or raise the limit"),
        ("ImportError: no module", "Find the cause with: tfkernels doctor tf1"),
    ],
)
def test_a_kernel_that_ends_at_a_limit(said: str, advice: str) -> None:
    report = f"ended with exit code 1. Last lines of its standard error:\n{said}"
    *_, last = str(KernelStartError.ended("tf1", report, "Find the cause with: tfkernels doctor tf1")).splitlines()
    assert last.startswith(advice)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """As some network disks answer; imitated."""

    def refused(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setenv("TFKERNELS_HOME", str(tmp_path))
    monkeypatch.setattr(fcntl, "flock", refused)
    with (
        pytest.raises(ProvisionError, match=r"cannot be locked: .*\. Choose a data folder on another disk"),
        locking.held("some", lambda: None),
    ):
        pass
