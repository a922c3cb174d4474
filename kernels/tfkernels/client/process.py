"""The process of another kernel: started, interrupted, ended, and what its end looked like."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_client.connect import write_connection_file

from tfkernels import env_vars
from tfkernels.client import runtime_dir
from tfkernels.client.bootstrap import Facts
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.errors import KernelStartError

if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # Python 3.7 has none

PATIENCE = 2.0
"""Seconds that a kernel has for a clean exit. TensorFlow's servers and queues never finish by themselves."""


FILES = 32
"""What a kernel's start opens here is half of it. Where libzmq cannot open what it needs, it ends the process."""


class Process(Protocol):
    """What a conversation wants of a kernel's process: of one that is ours, or of one that is only attached."""

    connection: dict[str, Any]
    folder: Path
    """Where its connection file is."""

    @property
    def owned(self) -> bool:
        """Whether it is ours to end."""

    @property
    def invited(self) -> bool:
        """Whether it has to be sent what the exchange of values needs."""

    @property
    def by_message(self) -> bool:
        """Whether it wants a message for an interrupt instead of a signal."""

    @property
    def pid(self) -> int | None: ...

    @property
    def remedy(self) -> str:
        """What to do when it does not start."""

    @property
    def afterwards(self) -> str:
        """What happens after its end."""

    @property
    def last_resort(self) -> str:
        """What is done when it does not react to an interrupt, and the user insists."""

    def order(self) -> dict[str, Any] | None:
        """For one that is invited and owned: what it has to watch and to log to."""

    def meet(self, facts: Facts) -> None:
        """What an invited one said about itself."""

    def alive(self) -> bool: ...
    def new_stderr(self) -> str: ...
    def interrupt(self) -> None: ...
    def nudge(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...
    def obituary(self) -> str: ...


class KernelProcess:
    """A kernel that belongs to this process; it ends with it (see ``tfkernels.kernel_side.parent_watch``)."""

    owned = True
    last_resort = "ends it, and its variables are lost"
    _said = b""

    def __init__(self, spec: KernelSpec) -> None:
        _look_for_files_left(spec.name)
        self._spec = spec
        self.invited = not spec.ours
        self.by_message = spec.spec.get("interrupt_mode") == "message"
        # One private folder (mode 700) for the sockets and the error log, removed as a whole.
        try:
            self.folder = runtime_dir.make()
        except OSError as error:
            raise KernelStartError(
                f"kernel {spec.name} cannot be started: no folder for its sockets can be made ({error}). Free some "
                f"space, or set TMPDIR to a folder that you can write."
            ) from error
        try:
            self.connection = self._connection()
            variables = spec.environment(env_vars.cleaned(env_vars.AT_START))
            variables["JPY_PARENT_PID"] = str(os.getpid())
            if spec.ours:  # others are told when the package is there
                variables["TFKERNELS_FOLDER"] = str(self.folder)
            with (self.folder / "stderr").open("ab") as stderr:
                self._process = subprocess.Popen(
                    spec.command(str(self.folder / "connection.json")),
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    env=variables,
                    start_new_session=True,
                )
            self._stderr = (self.folder / "stderr").open("rb", buffering=0)
        except OSError as error:
            runtime_dir.remove(self.folder)
            if error.filename is not None and error.filename == spec.command("")[0]:
                raise KernelStartError(
                    f"kernel {spec.name} cannot be started: {error.strerror} ({error.filename}). Its environment may "
                    f"be gone or damaged; {spec.remake}"
                ) from error
            raise KernelStartError(
                f"kernel {spec.name} cannot be started: {error.strerror or error}. Free what is short and run the cell "
                f"again."
            ) from error
        except BaseException:
            runtime_dir.remove(self.folder)
            raise

    @property
    def remedy(self) -> str:
        return self._spec.remedy

    @property
    def afterwards(self) -> str:
        return "The next cell that uses it starts a fresh one: run the cells that define what you need again."

    def order(self) -> dict[str, Any]:
        return {"folder": str(self.folder), "group": self.pid}

    def meet(self, facts: Facts) -> None:
        """Its own process may not be the one that was launched; it is of its group."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def new_stderr(self) -> str:
        """What came on file descriptor 2 since the last look."""
        fresh = self._stderr.read()
        self._said = (self._said + fresh)[-4000:]
        return fresh.decode(errors="replace")

    def _connection(self) -> dict[str, Any]:
        path, _ = write_connection_file(
            str(self.folder / "connection.json"),
            ip=str(self.folder / "s") if os.name == "posix" else "127.0.0.1",
            transport="ipc" if os.name == "posix" else "tcp",
            key=os.urandom(32).hex().encode(),
        )
        connection: dict[str, Any] = json.loads(Path(path).read_text())
        return connection

    def alive(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        """SIGINT to the kernel and to the programs that its cell started, as Jupyter does."""
        self._signal(signal.SIGINT)

    def nudge(self) -> None:
        """After an interrupt. Python takes note of a signal, and acts when a system call is over: one that comes right
        before ``time.sleep(60)`` takes effect after it. A second interrupt would hit who cleans up after the first.
        SIGURG ends the call, and is otherwise ignored by everybody (see ``tfkernels.kernel_side.interrupt``)."""
        if os.name == "posix":
            self._signal(signal.SIGURG)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def close(self) -> None:
        """Waits a moment for the process to end, then ends it and all it left running; removes its folder."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        self.kill()
        self._process.wait()
        self._stderr.close()
        runtime_dir.remove(self.folder)

    def obituary(self) -> str:
        """How the process ended: signal or exit code, and its last words."""
        how = ending(self._process.wait())
        self.new_stderr()
        tail = "\n".join(self._said.decode(errors="replace").strip().splitlines()[-10:])
        return f"{how}. Its last words were:\n{tail}" if tail else how


def ending(status: int) -> str:
    """How a process ended, from its return code: ``ended with exit code 3``, ``was ended by signal SIGSEGV``."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    guess = " (somebody's kill -9, or the system ran out of memory)" if status == -signal.SIGKILL else ""
    return f"was ended by signal {name}{guess}"


def _look_for_files_left(name: str) -> None:
    taken: list[int] = []
    try:
        while len(taken) < FILES:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        raise KernelStartError(
            f"kernel {name} cannot be started ({error.strerror}): this process has too many files open; close some, or "
            f"raise the limit (ulimit -n)"
        ) from error
    finally:
        for descriptor in taken:
            os.close(descriptor)
