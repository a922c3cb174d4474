"""One script while it runs: its processes, what they say, and their end."""

import codecs
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from tfkernels import recording
from tfprovisioner.batch.scripts import guard
from tfprovisioner.batch.scripts.script import Script
from tfprovisioner.errors import ProvisionError

READ = 1 << 16
"""Bytes at once."""

_TAIL = 8000
"""Bytes of standard error that are kept, for a failure's description."""

_ANSWER = 5.0
"""Seconds that the end of a process may take after it was killed."""


class NotStarted(ProvisionError):
    """The system would not start the script's interpreter."""


class Running:
    """A script, with all that it starts, in a process group below a guard (see there). Raises ``OSError``."""

    def __init__(self, script: Script, values: Path, log: IO[bytes]) -> None:
        """``values`` is the folder for what it records; ``log`` gets what it prints, both streams."""
        self.script = script
        self.status: int | None = None
        """Its exit code or, below 0, its signal; ``None`` while it runs."""
        self._log = log
        self._said = b""
        self._answer = b""
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in ("stdout", "stderr")}
        self.started, self._clock = datetime.now(timezone.utc), time.monotonic()
        self.seconds = 0.0
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
        order = {"command": script.command, "variables": {**script.variables, recording.FOLDER: str(values)}}
        with suppress(BrokenPipeError):  # it is gone; its end is seen as that of any other
            self.guard.sendall(json.dumps(order).encode() + b"\n")

    def read(self, name: str) -> str | None:
        """What is there of a stream; ``None`` at its end. Waits if there is nothing."""
        content = os.read(self.streams[name].fileno(), READ)
        self._log.write(content)
        self._log.flush()
        if name == "stderr":
            self._said = (self._said + content)[-_TAIL:]
        text = self._decoders[name].decode(content, final=not content)
        return text if content or text else None

    def answered(self) -> bool:
        """Takes what the guard says; whether that was the last of it, which is when the script has ended."""
        try:
            content = self.guard.recv(READ)
        except OSError:
            content = b""
        self._answer += content
        return not content or b"\n" in self._answer

    def finish(self) -> None:
        """Ends what is left, once the script has ended. Raises ``NotStarted``."""
        self.seconds = time.monotonic() - self._clock
        self.close()
        answer = self._answer.decode().strip()
        if not answer:  # somebody has killed the guard
            self.status = self.process.returncode
        elif answer.lstrip("-").isdigit():
            self.status = int(answer)
        else:
            raise NotStarted(f"{self.script.command[0]} cannot be started: {answer}")

    def signal(self, number: int) -> None:
        """Sent to the whole group. Its leader is not waited for before the end, so its number is nobody else's."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def close(self) -> None:
        """Kills what is left of it."""
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(_ANSWER)
        self.guard.close()
        for stream in self.streams.values():
            stream.close()

    def outcome(self) -> Any:
        assert self.status is not None
        said = self._said.decode(errors="replace")
        return self.script.outcome(self.status, self.started.isoformat(timespec="milliseconds"), self.seconds, said)
