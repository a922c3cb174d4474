"""One script on one kernel: what is started for it, its execution, and its outcome."""

import asyncio
import codecs
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

from tfkernels import recording
from tfkernels.client import kernelspecs
from tfkernels.client.process import ending
from tfkernels.output.line_prefix import PrefixedRelay
from tfprovisioner.batch import kernel_ref
from tfprovisioner.batch.outcomes import FAILED, PASSED, Failure, Outcome, without_colours
from tfprovisioner.batch.scripts import guarded
from tfprovisioner.batch.scripts.output import ScriptOutput
from tfprovisioner.batch.tasks import BadSource, Run
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import run_env
from tfprovisioner.system.files import replace_text

INTERRUPT_TIMEOUT = 5.0
"""Seconds that a script has to end after an interrupt; then it is killed."""

PIPE_TIMEOUT = 1.0
"""Seconds for the rest of a script's output. A daemon that it started may keep the pipes open for ever."""

READ_SIZE = 1 << 16
"""Bytes of one read."""

_STDERR_KEPT = 8000
"""Bytes at the end of standard error, for the description of a failure."""

_RAISED = re.compile(r"(?m)^(Traceback \(most recent call last\):\n(?:[ \t].*\n|\n)+)([A-Za-z_][\w.]*)(?::[ ](.*))?$")
"""A traceback of Python's, the exception's name and the first line of its message."""


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


def planned(run: Run, arguments: Sequence[str]) -> Script:
    """The script to start. Raises ``BadSource``, ``UnknownKernel``, ``BrokenEnvironment``."""
    spec = kernelspecs.get(run.kernel)
    # Python shall print each line at once, and as UTF-8.
    variables = run_env.variables(spec) | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    try:
        content = Path(run.source).read_bytes()
    except OSError as error:
        raise BadSource(f"Cannot read the script {run.source}: {error.strerror}.") from error
    facts, interpreter = kernel_ref.facts(spec), run_env.python(spec)
    decisive = [hashlib.sha256(content).hexdigest(), list(arguments), facts, facts["lock"] or interpreter]
    fingerprint = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    outcome = Outcome(run, PASSED, fingerprint, host=socket.gethostname(), **facts)
    return Script(outcome, (interpreter, run.source, *arguments), variables)


async def execute(script: Script, folder: Path, output: ScriptOutput) -> Outcome:
    """Runs a script, and kills what it left running.

    Its files in ``folder``: its name with ``.log``, a folder with ``.values`` if it recorded anything and, last,
    ``.json``, the outcome. A cancelled script gets SIGINT, and has no outcome. Raises ``ProvisionError``, ``OSError``.
    """
    name, kernel = script.run.name, script.run.kernel
    values = folder / f"{name}.values"
    started, clock = datetime.now(timezone.utc), time.monotonic()
    try:
        (folder / f"{name}.json").unlink(missing_ok=True)  # of an earlier attempt
        shutil.rmtree(values, ignore_errors=True)
        values.mkdir(mode=0o700)
        log = (folder / f"{name}.log").open("wb", buffering=0)
        variables = {**script.variables, **output.variables(), recording.FOLDER: str(values)}
        process, owner = guarded.start(script.command, variables)
    except OSError as error:
        raise ProvisionError(f"Cannot start {name}: {error}.") from error
    with log, owner, process:
        ended = asyncio.ensure_future(_answer(owner))
        shown = [
            asyncio.ensure_future(_show(stream, pipe, log, output.of(kernel, stream), ended))
            for stream, pipe in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        work = asyncio.gather(ended, *shown)
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            _signal(process, signal.SIGINT)
            with suppress(asyncio.TimeoutError, OSError):
                await asyncio.wait_for(work, INTERRUPT_TIMEOUT)
            raise
        finally:
            _signal(process, signal.SIGKILL)
            for task in (ended, *shown):
                task.cancel()
            await asyncio.wait((ended, *shown))
            with suppress(OSError):  # it is not empty
                values.rmdir()
    answer, stderr = ended.result(), shown[1].result()
    if answer and not answer.lstrip("-").isdigit():
        raise ProvisionError(f"Cannot start {script.command[0]}: {answer}.")
    status = int(answer or -signal.SIGKILL)
    outcome = replace(
        script.outcome,
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(time.monotonic() - clock, 3),
        exit_code=status,
    )
    if status:
        failure = _failure(status, without_colours(stderr.decode(errors="replace")))
        outcome = replace(outcome, state=FAILED, failure=failure)
    replace_text(folder / f"{name}.json", json.dumps(outcome.to_json(), indent=1))
    return outcome


async def _answer(owner: socket.socket) -> str:
    """What the guard says at the script's end; nothing if it was killed."""
    try:
        return (await asyncio.get_running_loop().sock_recv(owner, READ_SIZE)).decode().strip()
    except ConnectionError:
        return ""


async def _show(stream: str, pipe: Any, log: IO[bytes], relay: PrefixedRelay, ended: "asyncio.Future[str]") -> bytes:
    """Shows and logs a stream until it ends, or its time after ``ended`` is over. Returns its last bytes."""
    loop = asyncio.get_running_loop()
    reader, decoder, last = asyncio.StreamReader(), codecs.getincrementaldecoder("utf-8")("replace"), b""
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    ended.add_done_callback(lambda _: loop.call_later(PIPE_TIMEOUT, transport.close))
    try:
        while content := await reader.read(READ_SIZE):
            log.write(content)
            last = (last + content)[-_STDERR_KEPT:]
            relay.stream(stream, decoder.decode(content))
    finally:
        transport.close()
        relay.stream(stream, decoder.decode(b"", final=True))
        relay.end_line()
    return last


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Signals the whole group. Its leader has not been waited for, so its number is not reused."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _failure(status: int, stderr: str) -> Failure:
    raised = list(_RAISED.finditer(stderr)) if status == 1 else []
    if raised:
        found = raised[-1]
        return Failure(found[2].rpartition(".")[2], found[3] or "", traceback=stderr[found.start() :].rstrip())
    kind = "ExitCode" if status > 0 else "Signal"
    return Failure(kind, f"the script {ending(status)}", traceback="\n".join(stderr.rstrip().splitlines()[-20:]))
