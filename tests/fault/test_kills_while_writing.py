"""SIGKILL in the middle of writing, of either side: the other one has right data next, and not a descriptor more."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.waiting import eventually
from tfkernels.client.kernel import Kernel
from tfkernels.errors import KernelDied
from tfkernels.transfer.segment_pool import shared
from tfkernels.transfer.shared_memory import reader, writer

LARGE = np.arange(6_000_000, dtype="f4")
"""Where a segment is used again, several threads copy it."""

# Of ``shared_memory.writer``, in any process: a fresh segment is written to, one that is used again is copied into.
DYING = """
import os, signal
from tfkernels.transfer.shared_memory import writer as writing

def die(how):
    os.write(os.open(witness, os.O_CREAT | os.O_WRONLY, 0o600), how)  # at once: several threads do it
    os.kill(os.getpid(), signal.SIGKILL)

def _write(descriptor, offset, data, real=writing._write):
    real(descriptor, offset, memoryview(data)[: len(data) // 2])
    die(b"fresh")

def _copy_part(target, part, real=writing._copy_part):
    real(target, part)
    die(b"used again")

writing._write, writing._copy_part = _write, _copy_part
"""


def segments() -> list[str]:
    """The memory files that this process has open."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(os.readlink(link))
    return [path for path in found if "memfd:tfkernels" in path]


def holdings(remote: Kernel) -> int:
    """Descriptors of this process when the pool is empty. Exact: nothing is on its way."""
    remote.run("x = y = None")
    gc.collect()
    mine = [os.dup(segment.descriptor) for segment in shared.stats().kept]
    shared.close()
    left = [os.fstat(descriptor).st_blocks for descriptor in mine]
    for descriptor in mine:
        os.close(descriptor)
    assert left == [0] * len(left), "the memory is the system's again, whoever has it mapped"
    assert segments() == []
    connection = remote._connection
    assert connection is not None
    connection.request(
        connection.message("kernel_info_request", {}), 30, "control"
    )  # the last of its sockets is connected
    return psutil.Process().num_fds()


def exchange(remote: Kernel, number: int) -> None:
    """There and back, plus the number; all of it is looked at."""
    back = remote.run(f"y = x + {number}", inputs={"x": LARGE}, outputs={"y": "y"})["y"]
    assert np.array_equal(back, LARGE + np.float32(number))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left from tests before, neither in the pool nor mapped for writing, and nothing is given back."""
    monkeypatch.setattr(shared, "idle", 1000.0)
    shared.close()
    writer.cache.clear()
    reader.cache.clear()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("how", ["fresh", "used again"])
def test_a_kernel_killed_halfway_through_its_output(remote: Kernel, how: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"

    def die() -> None:
        remote.run(DYING + "y = 7 * y", inputs={"witness": str(witness)})
        if how == "fresh":
            shared.close()
        with pytest.raises(KernelDied, match="SIGKILL"):
            remote.run("", outputs={"y": "y"})
        assert witness.read_text() == how
        witness.unlink()

    exchange(remote, 1)
    before = holdings(remote)
    for number in (2, 4):
        exchange(remote, number)
        die()
        exchange(remote, number + 1)
        assert holdings(remote) == before


@pytest.mark.usefixtures("alone")
def test_a_kernel_that_kills_itself_frees_its_values(remote: Kernel) -> None:
    exchange(remote, 1)
    before = holdings(remote)
    for number in (2, 4):
        with pytest.raises(KernelDied, match="SIGKILL"):
            remote.run("import os; os.kill(os.getpid(), 9)", inputs={"x": LARGE}, outputs={"y": "x"})
        exchange(remote, number)
        assert holdings(remote) == before


OWNER = (
    """
import sys
import numpy as np, tfkernels
from tfkernels.transfer.segment_pool import shared
name, how, witness = sys.argv[1:4]
kernel = tfkernels.kernel(name) if len(sys.argv) == 4 else tfkernels.attach(sys.argv[4], "there")
x = np.arange(6_000_000, dtype="f4")
for _ in range(3):  # the last time into a segment that was used before, which the kernel keeps mapped
    back = kernel.run("visited = x + 1", inputs={"x": x}, outputs={"y": "visited"})["y"]
    assert back[-1] == x[-1] + 1
    del back
kernel.run("x = visited = 0")
if how == "fresh":
    shared.close()
print(kernel.pid, kernel._connection.process.folder, flush=True)
"""
    + DYING
    + """
kernel["x"] = x
"""
)


def killed_owner(*arguments: str, folder: Path) -> str:
    """What an owner printed that died halfway through writing its input."""
    witness = folder / "witness"
    command = [sys.executable, "-c", OWNER, *arguments[:2], str(witness), *arguments[2:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert witness.read_text() == arguments[1]
    witness.unlink()
    return done.stdout


@pytest.mark.parametrize("how", ["fresh", "used again"])
def test_an_owner_killed_while_writing_leaves_nothing(
    installed: object, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as temporary:  # short, as the paths of sockets have to be
        monkeypatch.setenv("TMPDIR", temporary)
        pid, folder = killed_owner("tf2", how, folder=tmp_path).split()
        assert Path(folder).parent == Path(temporary)
        eventually(lambda: not psutil.pid_exists(int(pid)))
        eventually(lambda: list(Path(temporary).iterdir()) == [])


def shared_memory(pid: int) -> int:
    """Bytes of it that a process sees."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("RssShmem:")[1].split()[0]) * 1024


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("how", ["fresh", "used again"])
def test_kernels_survive_an_attached_client_killed_while_writing(remote: Kernel, how: str, tmp_path: Path) -> None:
    remote.run("x = 0\nimport os\nos.environ['TFKERNELS_POOL_IDLE'] = '0.1'")
    remote.run("get_ipython().kernel.tfkernels._expire(0.1)")
    holdings(remote)
    assert remote._connection is not None
    assert remote.pid is not None
    process, folder = psutil.Process(remote.pid), remote._connection.process.folder
    before, seen = process.num_fds(), shared_memory(process.pid)
    for _ in range(2):
        killed_owner("", how, str(folder / "connection.json"), folder=tmp_path)
        assert remote["x, visited"] == (0, 0), "what was written by half was never bound"
        # The one more is the cancel token of the last cell, an empty file. It stays until the next client's.
        eventually(lambda: process.num_fds() <= before + 1)
        eventually(lambda: shared_memory(process.pid) <= seen)
    exchange(remote, 5)
    remote.run("del os.environ['TFKERNELS_POOL_IDLE']")
