"""One script on one kernel: what is started for it, its processes and their output, and its outcome."""

import codecs
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from tfkernels import recording
from tfkernels.client import kernelspecs
from tfkernels.client.process import ending
from tfprovisioner.batch import kernel_ref
from tfprovisioner.batch.outcomes import FAILED, PASSED, Failure, Outcome, host, plain
from tfprovisioner.batch.scripts import guard
from tfprovisioner.batch.tasks import Run
from tfprovisioner.errors import ProvisionError, Unusable
from tfprovisioner.kernelspecs import python_shim, run_env

READ_SIZE = 1 << 16
"""Bytes of one read."""

_STDERR_KEPT = 8000
"""Bytes at the end of standard error, for the description of a failure."""

_KILL_TIMEOUT = 5.0
"""Seconds that a killed process may take to end."""

_RAISED = re.compile(r"(?m)^(Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)+)([A-Za-z_][\w.]*)(?::[ ](.*))?$")
"""A traceback of Python's, the exception's name and the first line of its message."""


class NoScript(Unusable):
    """The script's file cannot be read."""


class NotStarted(ProvisionError):
    """The system did not start the script's interpreter."""


@dataclass(frozen=True)
class Script:
    """Everything that one run of a script needs."""

    outcome: Outcome
    """What is known of it before the start."""
    command: tuple[str, ...]
    variables: Mapping[str, str]

    @property
    def run(self) -> Run:
        return self.outcome.run


def planned(runs: Sequence[Run], arguments: Sequence[str]) -> list[Script]:
    """The scripts to start, with the same arguments each.

    Raises ``NoScript``, ``UnknownKernel``, ``BrokenEnvironment``.
    """
    return [_planned(run, arguments) for run in runs]


def _planned(run: Run, arguments: Sequence[str]) -> Script:
    spec = kernelspecs.get(run.kernel)
    # Python shall print each line at once, and as UTF-8.
    variables = run_env.variables(spec) | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        content = Path(run.source).read_bytes()
    except OSError as error:
        raise NoScript(f"Cannot read the script {run.source}: {error.strerror}.") from error
    described, facts = spec.described, kernel_ref.facts(spec)
    exact = facts["lock"] or python_shim.behind(spec.spec["argv"], described)
    kernel = [described.get("tensorflow"), described.get("python"), exact]
    decisive = [hashlib.sha256(content).hexdigest(), list(arguments), kernel]
    fingerprint = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    outcome = Outcome(run, PASSED, fingerprint, host=host(), **facts)
    return Script(outcome, (run_env.python(spec), run.source, *arguments), variables)


class ScriptProcess:
    """A running script, with all that it starts, in a process group led by a guard (see ``guard``)."""

    def __init__(self, script: Script, values: Path, log: IO[bytes]) -> None:
        """``values`` is the folder for recorded values; ``log`` gets both output streams. Raises ``OSError``."""
        self.script = script
        self._log = log
        self._stderr = b""
        self._answer = b""
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        self._started, self._clock = datetime.now(timezone.utc), time.monotonic()
        self.guard, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except BaseException:
            self.guard.close()
            raise
        finally:
            theirs.close()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.streams: dict[str, IO[bytes]] = {"stdout": self.process.stdout, "stderr": self.process.stderr}
        request = {"command": script.command, "variables": {**script.variables, recording.FOLDER: str(values)}}
        with suppress(BrokenPipeError):  # the guard was killed: the script ends as any other
            self.guard.sendall(json.dumps(request).encode() + b"\n")

    def read(self, name: str) -> str | None:
        """New text of a stream; ``None`` at its end. Blocks if there is none."""
        content = os.read(self.streams[name].fileno(), READ_SIZE)
        self._log.write(content)
        self._log.flush()
        if name == "stderr":
            self._stderr = (self._stderr + content)[-_STDERR_KEPT:]
        text = self._decoders[name].decode(content, final=not content)
        return text if content or text else None

    def read_guard(self) -> bool:
        """Takes what the guard says; true if the script has ended."""
        try:
            content = self.guard.recv(READ_SIZE)
        except OSError:
            content = b""
        self._answer += content
        return not content or b"\n" in self._answer

    def finish(self) -> Outcome:
        """Kills what the script left running; its outcome. Raises ``NotStarted``."""
        seconds = time.monotonic() - self._clock
        self.close()
        answer = self._answer.decode().strip()
        if answer and not answer.lstrip("-").isdigit():
            raise NotStarted(f"Cannot start {self.script.command[0]}: {answer}.")
        # Without an answer the guard was killed; it may not be gone yet.
        status = int(answer) if answer else self.process.returncode or -signal.SIGKILL
        started = self._started.isoformat(timespec="milliseconds")
        outcome = replace(self.script.outcome, started=started, seconds=round(seconds, 3), exit_code=status)
        if not status:
            return outcome
        return replace(outcome, state=FAILED, failure=_failure(status, plain(self._stderr.decode(errors="replace"))))

    def signal(self, number: int) -> None:
        """Signals the whole group. Its leader is waited for in ``close`` only, so its number is not reused before."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def close(self) -> None:
        """Kills what is left of it."""
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_KILL_TIMEOUT)
        self.guard.close()
        for stream in self.streams.values():
            stream.close()


def _failure(status: int, stderr: str) -> Failure:
    raised = list(_RAISED.finditer(stderr)) if status == 1 else []
    if raised:
        found = raised[-1]
        return Failure(found[2].rpartition(".")[2], found[3] or "", traceback=stderr[found.start() :].rstrip())
    kind = "ExitCode" if status > 0 else "Signal"
    return Failure(kind, f"the script {ending(status)}", traceback="\n".join(stderr.rstrip().splitlines()[-20:]))
