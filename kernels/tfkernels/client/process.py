"""The process of another kernel: start, signals, end, crash report."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from jupyter_client.connect import write_connection_file

from tfkernels import debugger, env_vars, log, start_notes
from tfkernels.client import runtime_dir
from tfkernels.client.kernelspecs import KernelSpec, missing_files
from tfkernels.errors import KernelStartError

EXIT_TIMEOUT = 2.0  # seconds for a clean exit; TensorFlow's servers and queues never finish by themselves
FILES_NEEDED = 32  # that have to be free; a start opens half of them. Without, libzmq ends this process

_CRASH_LOG_SIZE = 4000  # bytes of standard error that are kept
_CRASH_LOG_LINES = 10
_NOTES_SIZE = 64 * 1024  # bytes of TensorFlow's notes that are kept until a cell's end


_log = log.logger("client.process")


class Process(ABC):
    """A kernel's process, with the interface that the connection uses."""

    owned = False  # whether this process started it and ends it
    needs_setup = True  # whether the kernel has to be prepared for values
    interrupt_by_message = True
    pid: int | None = None
    connection: dict[str, Any]  # the content of its connection file
    folder: Path  # the folder of its connection file
    start_hint = ""  # the command for a kernel that does not start
    after_end = ""  # what happens to the next cell after its end
    second_interrupt = ""  # the effect of a second interrupt, when the first had none

    @abstractmethod
    def alive(self) -> bool: ...

    @abstractmethod
    def crash_report(self) -> str:
        """The rest of a sentence: how the process ended."""

    def parent_watch(self) -> dict[str, Any] | None:
        """Folder and process group for ``kernel_side.parent_watch``, for a kernel that needs setup."""
        return None

    @abstractmethod
    def identify(self, pid: int, reachable: bool) -> None:
        """Gets what a kernel that needs setup reported: its process, and whether it can open memory of this one."""

    def new_stderr(self, notes_dropped: bool | None = None) -> str:  # noqa: ARG002 (for kernels of tfkernels)
        """The text on file descriptor 2 since the last call.

        ``notes_dropped`` is what a cell's reply says: a cell may have set that TensorFlow's notes are shown.
        """
        return ""

    @abstractmethod
    def send_signal(self, number: int) -> None:
        """To the kernel and the programs that its cell started, as Jupyter does. An attached kernel gets none."""

    @abstractmethod
    def close(self) -> None: ...


class KernelProcess(Process):
    """A kernel that this process starts. It ends with this process (see ``tfkernels.kernel_side.parent_watch``)."""

    owned = True
    second_interrupt = "end the kernel and lose its variables"
    after_end = "The next cell that uses it starts a fresh one. Run the cells again that define what you need."

    def __init__(self, spec: KernelSpec) -> None:
        problem = missing_files(FILES_NEEDED)
        if problem:
            raise KernelStartError.of(spec.name, problem)
        self.start_hint = spec.diagnose_hint
        self.needs_setup = not spec.ours
        self.interrupt_by_message = spec.spec.get("interrupt_mode") == "message"
        self._stderr_tail = self._notes = b""
        try:
            self.folder = runtime_dir.make()
        except OSError as error:
            cause = f"its socket folder cannot be created ({error})"
            command = "Free some space, or set TMPDIR to a folder that you can write."
            raise KernelStartError.of(spec.name, cause, command) from error
        try:
            self._start(spec)
        except BaseException as error:
            runtime_dir.remove(self.folder)
            if not isinstance(error, OSError):
                raise
            if error.filename is not None and error.filename == spec.command("")[0]:
                cause = f"{error.strerror} ({error.filename}); its environment may be deleted or damaged"
                raise KernelStartError.of(spec.name, cause, spec.rebuild_hint) from error
            raise KernelStartError.no_resource(spec.name, error) from error
        self.pid: int = self._process.pid
        _log.info("kernel %s started, process %d", spec.name, self.pid)
        _log.debug("kernel %s: command %s, folder %s", spec.name, self._process.args, self.folder)

    def _start(self, spec: KernelSpec) -> None:
        """Starts the process; its sockets and its standard error lie in the private folder."""
        file, key = str(self.folder / "connection.json"), os.urandom(32).hex().encode()
        self.connection = dict(write_connection_file(file, ip=str(self.folder / "s"), transport="ipc", key=key)[1])
        variables = spec.environment(env_vars.AT_START)
        variables[env_vars.PARENT] = str(os.getpid())
        if spec.ours:  # other kernels get it when they are set up
            variables["TFKERNELS_FOLDER"] = str(self.folder)
        self._ours = spec.ours
        self._quiet = spec.ours and start_notes.dropped(variables)
        with contextlib.ExitStack() as failed, (self.folder / "stderr").open("ab") as stderr, debugger.kept_out():
            self._stderr = failed.enter_context((self.folder / "stderr").open("rb", buffering=0))
            self._process = subprocess.Popen(
                spec.command(file),
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env=variables,
                start_new_session=True,
            )
            failed.pop_all()  # last: from here on, a process is there to be ended

    def identify(self, pid: int, reachable: bool) -> None:
        """Its process is known since the start."""

    def parent_watch(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "group": self.pid}

    def alive(self) -> bool:
        return self._process.poll() is None

    def new_stderr(self, notes_dropped: bool | None = None) -> str:
        fresh = self._stderr.read()
        self._stderr_tail = (self._stderr_tail + fresh)[-_CRASH_LOG_SIZE:]
        if self._quiet:
            self._notes = (self._notes + start_notes.only(fresh))[-_NOTES_SIZE:]
            fresh = start_notes.without(fresh)
        if self._ours and notes_dropped is not None:
            if not notes_dropped:
                fresh = self._notes + fresh
            self._quiet, self._notes = notes_dropped, b""
        return fresh.decode(errors="replace")

    def send_signal(self, number: int) -> None:
        level = logging.DEBUG if number == signal.SIGURG else logging.INFO
        _log.log(level, "process group %d gets %s", self.pid, signal.Signals(number).name)
        signal_group(self._process, number)

    def close(self) -> None:
        """Waits a moment for the process to end, then ends it and its children; removes its folder."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_TIMEOUT)
        self.send_signal(signal.SIGKILL)
        _log.info("process %d has ended, return code %d", self.pid, self._process.wait())
        self._stderr.close()
        runtime_dir.remove(self.folder)

    def crash_report(self) -> str:
        end = ending(self._process.wait())
        self.new_stderr()
        tail = "\n".join(self._stderr_tail.decode(errors="replace").strip().splitlines()[-_CRASH_LOG_LINES:])
        return f"{end}. Last lines of its standard error:\n{tail}" if tail else f"{end}."


def signal_group(leader: subprocess.Popen[Any], number: int) -> None:
    """Signals a process group, also what is left of it without its leader, and never another one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if leader.returncode is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader.pid, 0)
                return  # a new process has that number, so nothing is left: the system reuses no number of a group
        os.killpg(leader.pid, number)


def ending(status: int) -> str:
    """End of a process from its return code: ``ended with exit code 3``, ``was ended by signal SIGSEGV``."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    guess = " (a kill -9, or the system ran out of memory)" if status == -signal.SIGKILL else ""
    return f"was ended by signal {name}{guess}"
