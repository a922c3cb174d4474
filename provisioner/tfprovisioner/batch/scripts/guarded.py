"""Programs in process groups that end with this process; ``guard`` leads each group."""

import json
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from tfprovisioner.batch.scripts import guard


def start(
    command: Sequence[str],
    variables: Mapping[str, str],
    output: int | IO[bytes] = subprocess.PIPE,
    errors: int | IO[bytes] = subprocess.PIPE,
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """The guard, which leads a process group with the program in it, and the socket to it. Raises ``OSError``."""
    owner, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    request = {"command": command, "variables": variables}
    with suppress(BrokenPipeError):  # the guard was killed: the program ends as any other
        owner.sendall(json.dumps(request).encode() + b"\n")
    owner.setblocking(False)
    return process, owner
