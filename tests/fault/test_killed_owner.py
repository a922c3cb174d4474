"""The other kernel never outlives its owner, and nothing of it is left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tfkernels.client import runtime_dir as folders_module

_OWNER = """
import sys, time, numpy, tfkernels
for name in ("tf1", "tf2"):
    kernel = tfkernels.kernel(name)
    kernel.run("import subprocess; p = subprocess.Popen(['sleep', '1000'])", inputs={"x": numpy.ones(10**6)})
    print(kernel.pid, kernel["p.pid"], kernel._process.folder, flush=True)
END
"""

# Adopts orphans, as systemd and container supervisors do; then a parent's number is never 1.
_SUPERVISOR = """
import ctypes, subprocess, sys, time
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(owner.pid, flush=True)
time.sleep(300)
"""


@contextmanager
def started(command: list[str], lines: int) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A process, and the first lines that it prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, [process.stdout.readline().strip() for _ in range(lines)]
        finally:
            process.kill()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def gone(pids: list[int], folders: list[Path]) -> bool:
    alive = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    return not alive and not any(folder.exists() for folder in folders)


def memory(pid: int) -> set[str]:
    """The numbers of the memory files that a process has open or mapped."""
    found: set[str] = set()
    with contextlib.suppress(OSError):  # it has just ended, or is somebody else's
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        found.update(line.split()[4] for line in maps if "memfd:tfkernels" in line)
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if "memfd:tfkernels" in os.readlink(link):
                    found.add(str(link.stat().st_ino))
    return found


def held(files: set[str]) -> bool:
    """Whether any process has one of them. Without one a memory file is gone: it has no name."""
    return any(memory(pid) & files for pid in psutil.pids())


def parse(lines: list[str]) -> tuple[list[int], list[Path]]:
    words = [line.split() for line in lines]
    return [int(number) for word in words for number in word[:2]], [Path(word[2]) for word in words]


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_killed_owner(installed: object, signal_number: int, busy: bool) -> None:
    ending = "kernel.run('import time\\nwhile True: pass')" if busy else "time.sleep(300)"
    with started([sys.executable, "-c", _OWNER.replace("END", ending)], 2) as (owner, lines):
        pids, folders = parse(lines)
        assert all(folder.exists() for folder in folders)
        time.sleep(0.5)
        files = memory(owner.pid)
        assert files & memory(pids[0]), "values are in memory of the owner, and the kernel looks into it"
        assert held(files)
        owner.send_signal(signal_number)
        owner.wait(10)
        assert within(30, lambda: gone(pids, folders)), f"{pids} or {folders} are still there"
        assert within(30, lambda: not held(files))


def test_killed_owner_under_a_supervisor_that_adopts_orphans(installed: object) -> None:
    code = _OWNER.replace("END", "time.sleep(300)")
    with started([sys.executable, "-c", _SUPERVISOR, code], 3) as (_, lines):
        pids, folders = parse(lines[1:])
        os.kill(int(lines[0]), signal.SIGKILL)
        assert within(30, lambda: gone(pids, folders)), f"{pids} or {folders} are still there"


@pytest.mark.parametrize("delay", [0.05, 0.3, 0.6])
def test_owner_killed_while_the_kernel_starts(installed: object, delay: float, tmp_path: Path) -> None:
    code = "import tfkernels, threading, time\nk = tfkernels.kernel('tf2')\nthreading.Thread(target=k.start).start()\n"
    code += "while k.pid is None: time.sleep(0.01)\nprint(k.pid, 0, k._process.folder, flush=True)\ntime.sleep(100)"
    with started([sys.executable, "-c", _SUPERVISOR, code], 2) as (_, lines):
        pids, folders = parse(lines[1:])
        time.sleep(delay)
        os.kill(int(lines[0]), signal.SIGKILL)
        assert within(30, lambda: gone(pids[:1], folders)), f"{pids} or {folders} are still there"


def test_what_two_killed_processes_left_is_swept_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as base:  # a path that is short enough for sockets; pytest's may not be
        monkeypatch.setattr("tempfile.tempdir", base)
        left, alive = Path(base, "tfkernels-left"), Path(base, "tfkernels-alive")
        for folder in (left, alive):
            folder.mkdir()
            (folder / "owner").touch()
            os.utime(folder, (1, 1))
        with (alive / "owner").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            made = folders_module.make()
        assert made.parent == Path(base)
        assert not left.exists()
        assert alive.exists()
        folders_module.remove(made)
        assert not made.exists()


def test_an_owner_that_simply_ends_takes_it_along(installed: object) -> None:
    with started([sys.executable, "-c", _OWNER.replace("END", "")], 2) as (owner, lines):
        pids, folders = parse(lines)
        owner.wait(30)
        assert gone(pids, folders)


def test_a_forked_child_does_not_end_the_kernels_of_its_parent(installed: object) -> None:
    code = _OWNER.replace("END", "import os\nif os.fork() == 0: sys.exit()\nos.wait(); print(kernel['1 + 1'])")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "2"
