"""Log of the programs that this process runs."""

import functools
import os
import shlex
import sys
from typing import Any

from tfkernels import log
from tfprovisioner.system.redact import redacted

_LONGEST = 1000
"""Characters of a command. Programs that are handed over as text are longer."""


@functools.cache
def record_commands() -> None:
    """From now on each program that this process starts is in the log, without secrets.

    An audit hook sees all of them, those of libraries included. It cannot be removed: only the command line calls this.
    """
    logger = log.logger("commands")

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen":
            _, words, folder, _ = arguments
            words = words if isinstance(words, (list, tuple)) else [words]
            where = f" (in {os.fsdecode(folder)})" if folder else ""
            command = redacted(shlex.join(os.fsdecode(word) for word in words)).replace("\n", "\\n")
            logger.info("run: %s%s", command[:_LONGEST], where)

    sys.addaudithook(note)
