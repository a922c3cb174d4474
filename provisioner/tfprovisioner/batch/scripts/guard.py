"""Stands above one script, and ends it with all that it has started when the command that runs it is gone.

However that one ended, ``kill -9`` included: the socket between the two closes. It leads the process group in which the
script is, so that there is no moment in which the script is alone. Run by path, by our own Python, with the standard
library only: ``python -I -S guard.py DESCRIPTOR``. The socket first brings the command and its variables, one line of
JSON, and takes back one line: the exit code (negative for a signal), or why there is none.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as owner:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Sent to the group, they are for the script. It gets them: a handler is not inherited, ignoring would be.
            signal.signal(number, lambda *_: None)
        said = json.loads(owner.makefile("rb").readline())
        threading.Thread(target=_watch, args=(owner,), daemon=True).start()
        try:
            answer = str(subprocess.Popen(said["command"], env=said["variables"], stdin=subprocess.DEVNULL).wait())
        except OSError as error:
            answer = str(error)
        owner.sendall(f"{answer}\n".encode())
        _end_group()


def _watch(owner: socket.socket) -> None:
    try:
        owner.recv(1)  # nothing more is said
    finally:
        _end_group()


def _end_group() -> None:
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
