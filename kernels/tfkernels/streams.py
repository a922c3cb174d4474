"""Standard output and standard error of a kernel: ipykernel's, which know what is still on its way.

ipykernel flushes both twice for each request, and each time waits for the thread that sends: a fifth of what an empty
cell takes. What has to be out before the message of a cell's end is what was written, and that message goes through
the same thread. So where nothing was written, nothing is waited for.

What programs and the C++ runtime write to descriptor 1 itself comes through a pipe that a thread reads. It may come
after the end of the cell, so that is waited for; and once, though ipykernel writes it to where the descriptor led
before, too: in a kernel that another one started that is the log of its errors, which is shown as well.
"""

import codecs
import os
import select
import sys
import threading
import time
import typing

from ipykernel import iostream

from tfkernels import owner, rawoutput


class OutStream(iostream.OutStream):  # type: ignore[misc] # ipykernel is untyped for this Python
    """ipykernel 5 to 7. The names of its private methods and attributes are these since 6; 5 has no pipe."""

    def __init__(self, *args: typing.Any, **options: typing.Any) -> None:
        self._reading = threading.Lock()
        self._written = True
        super().__init__(*args, **options)  # which starts the thread

    def write(self, string: str) -> typing.Any:
        count = super().write(string)
        self._written = True
        return count

    def flush(self) -> None:
        if not self._written and os.getpid() == self._master_pid:  # a forked child's goes another way
            return
        self._written = False  # not after it: what is written meanwhile may not be in it
        try:
            super().flush()
        except BaseException:  # an interrupt, while it waited
            self._written = True
            raise

    def fileno(self) -> int:
        """Of ``subprocess.run(…, stdout=sys.stdout)``."""
        return 1 if self._is_ours() else int(super().fileno())

    def settle(self) -> None:
        """Waits until the thread has passed on what is in the pipe, but not for somebody who writes all the time."""
        if getattr(self, "_fid", None) is None or not hasattr(self, "_should_watch"):
            return
        deadline = time.monotonic() + rawoutput.PATIENCE
        while time.monotonic() < deadline:
            with self._reading:
                if not rawoutput.unread(self._fid):
                    return
            time.sleep(0.001)

    def _watch_pipe_fd(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        waiting = select.poll()
        waiting.register(self._fid, select.POLLIN)
        try:
            while waiting.poll():
                with self._reading:
                    content = os.read(self._fid, 64 * 1024)
                    if not content or not self._should_watch:
                        return
                    text = decoder.decode(content)
                    if text:
                        self.write(text)
                if not self._is_ours():
                    os.write(self._original_stdstream_copy, content)
        except Exception:  # noqa: BLE001 (ipykernel prints it in the end)
            self._exc = sys.exc_info()

    def _is_ours(self) -> bool:
        """Whether descriptor 1 is read, and led to the log before."""
        return self.name == "stdout" and owner.FOLDER is not None and getattr(self, "_fid", None) is not None
