"""The other kernel never outlives its owner, and nothing of it is left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.support.debugger import Debugger
from tests.support.processes import alive, ended, gone, parse, started
from tests.support.waiting import DEADLINE, eventually
from tfkernels.client import runtime_dir as folders_module
from tfkernels.client.process import signal_group

_OWNER = """
import sys, time, numpy, tfkernels
for name in ("tf1", "tf2"):
    kernel = tfkernels.kernel(name)
    kernel.run("import subprocess; p = subprocess.Popen(['sleep', '1000'])", inputs={"x": numpy.ones(10**6)})
    print(kernel.pid, kernel["p.pid"], kernel._connection.process.folder, flush=True)
END
"""

_BUSY = 'kernel.run("print(1, flush=True)\\nwhile True: pass", show=lambda output: print("busy", flush=True))'

# Adopts orphans, as systemd and container supervisors do; then a parent's number is never 1.
_SUPERVISOR = """
import ctypes, subprocess, sys, time
PR_SET_CHILD_SUBREAPER = 36
assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
owner = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(owner.pid, flush=True)
time.sleep(1000)
"""


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


@pytest.mark.parametrize(("signal_number", "busy"), [(signal.SIGKILL, True), (signal.SIGTERM, False)])
def test_killed_owner(installed: object, signal_number: int, busy: bool) -> None:
    ending = _BUSY if busy else "print('idle', flush=True)\ntime.sleep(1000)"
    with started([sys.executable, "-c", _OWNER.replace("END", ending)], 3) as (owner, lines):
        pids, folders = parse(lines[:2])
        assert all(folder.exists() for folder in folders)
        files = memory(owner.pid)
        assert files & memory(pids[0]), "values are in memory of the owner, and the kernel looks into it"
        assert held(files)
        owner.send_signal(signal_number)
        owner.wait(DEADLINE)
        eventually(lambda: gone(pids, folders))
        eventually(lambda: not held(files))


def test_killed_owner_under_a_supervisor_that_adopts_orphans(installed: object) -> None:
    code = _OWNER.replace("END", "time.sleep(1000)")
    with started([sys.executable, "-c", _SUPERVISOR, code], 3) as (_, lines):
        pids, folders = parse(lines[1:])
        os.kill(int(lines[0]), signal.SIGKILL)
        eventually(lambda: gone(pids, folders))


@pytest.mark.parametrize("delay", [0.05, 0.3, 0.6])
def test_owner_killed_while_the_kernel_starts(installed: object, delay: float, tmp_path: Path) -> None:
    code = "import tfkernels, threading, time\nk = tfkernels.kernel('tf2')\nthreading.Thread(target=k.start).start()\n"
    code += "while k.pid is None: time.sleep(0.01)\n"
    code += "print(k.pid, 0, k._connection.process.folder, flush=True)\ntime.sleep(1000)"
    with started([sys.executable, "-c", _SUPERVISOR, code], 2) as (supervisor, lines):
        pids, folders = parse(lines[1:])
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(delay)
        os.kill(int(lines[0]), signal.SIGKILL)
        eventually(lambda: gone(pids[:1], folders))


def test_what_a_process_left_running_is_killed() -> None:
    command = ["sh", "-c", "sleep 1000 >&- & echo $!"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as leader:
        left = int(leader.communicate()[0])
    assert alive(left)
    signal_group(leader, signal.SIGKILL)
    eventually(lambda: not alive(left))


def test_a_freed_number_leads_to_no_other_process() -> None:
    with ended(subprocess.Popen(["sleep", "1000"], start_new_session=True)) as other:
        former: Any = SimpleNamespace(pid=other.pid, returncode=0)
        signal_group(former, signal.SIGKILL)
        assert other.poll() is None
        signal_group(other, signal.SIGKILL)
        assert other.wait(DEADLINE) == -signal.SIGKILL


_SERVER = """
import time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(startup_timeout=240, kernel_name=KERNEL)
print(manager.provisioner.pid, 0, manager.connection_file, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("kernel", ["tf1", "tf2"])
def test_killed_server_of_a_kernel_at_a_breakpoint(installed: object, kernel: str) -> None:
    with started([sys.executable, "-c", _SERVER.replace("KERNEL", repr(kernel))], 1) as (server, lines):
        [pid, _], [file] = parse(lines)
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels()
        try:
            Debugger(client).stop_in("a = 1\nb = 2", line=2)
            server.kill()
            server.wait(DEADLINE)
            eventually(lambda: not alive(pid))
        finally:
            client.stop_channels()


def test_folders_of_killed_processes_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
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
        owner.wait(DEADLINE)
        assert gone(pids, folders)


def test_forked_children_do_not_end_kernels(installed: object) -> None:
    code = _OWNER.replace("END", "import os\nif os.fork() == 0: sys.exit()\nos.wait(); print(kernel['1 + 1'])")
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "2"


_WITH_A_FOLDER_THAT_STAYS = """
import os, signal
os.setpgrp()
from tfkernels.kernel_side import parent_watch
parent_watch.DELETION_TIMEOUT = 0.2
parent_watch.watch_folder("/proc/self/fdinfo", os.getpid())
signal.pause()
"""


def test_a_kernel_ends_although_its_folder_cannot_be_deleted() -> None:
    done = subprocess.run([sys.executable, "-c", _WITH_A_FOLDER_THAT_STAYS], timeout=DEADLINE, check=False)
    assert done.returncode == -signal.SIGKILL
