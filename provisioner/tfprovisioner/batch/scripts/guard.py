"""Leader of a script's process group. Kills the group when the command that runs the script is gone.

``python -I -S guard.py DESCRIPTOR``: standard library only. The socket brings the command and its variables as one line
of JSON, and takes back one line: the exit code (negative for a signal), or the error. When the socket closes, for
example because the command was killed, the group ends. See docs/design/batch.md.
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
            # The group's signals are for the script. A handler is not inherited by it; SIG_IGN would be.
            signal.signal(number, lambda *_: None)
        request = json.loads(owner.makefile("rb").readline())
        threading.Thread(target=_watch, args=(owner,), daemon=True).start()
        try:
            process = subprocess.Popen(request["command"], env=request["variables"], stdin=subprocess.DEVNULL)
            answer = str(process.wait())
        except OSError as error:
            answer = str(error)
        owner.sendall(f"{answer}\n".encode())
        os.killpg(0, signal.SIGKILL)


def _watch(owner: socket.socket) -> None:
    try:
        owner.recv(1)  # returns when the socket closes
    finally:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
