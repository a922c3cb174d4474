"""Standard output and standard error of a kernel: ipykernel's, which know what is still on its way.

ipykernel flushes both twice for each request, and each time waits for the thread that sends: a fifth of what an empty
cell takes. What has to be out before the message of a cell's end is what was written, and that message goes through
the same thread. So where nothing was written, nothing is waited for.

What programs and the C++ runtime write to descriptor 1 itself comes through a pipe that a thread reads. It would come
after the end of the cell now and then, so it is waited for. And it is shown once: ipykernel writes it to where the
descriptor led before, too, which in a kernel that another one started is the log of its errors, and shown as well.
"""

import codecs
import contextlib
import os
import select
import sys
import threading
import time
import typing

from ipykernel import iostream

from tfkernels.kernel_side import parent_watch, rawoutput


class OutStream(iostream.OutStream):  # type: ignore[misc] # ipykernel is untyped for this Python
    """ipykernel 5 to 7. The names of its private methods and attributes are these since 6; 5 has no pipe."""

    def __init__(self, *args: typing.Any, **options: typing.Any) -> None:
        self._reading = threading.Lock()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._written = self._flushed = object()
        super().__init__(*args, **options)  # which starts the thread

    def write(self, string: str) -> typing.Any:
        self._written = object()  # an interrupt may come in the middle
        try:
            return super().write(string)
        finally:
            self._written = object()  # a flush meanwhile may not have had it

    def flush(self) -> None:
        written = self._written
        if written is not self._flushed or self._in_child():
            super().flush()
            self._flushed = written

    def fileno(self) -> int:
        """Of ``subprocess.run(…, stdout=sys.stdout)``."""
        return 1 if self._led_to_log() else int(super().fileno())

    def settle(self) -> None:
        """Waits until the thread has passed on what is in the pipe, but not for somebody who writes all the time."""
        if getattr(self, "_fid", None) is None or self._in_child():
            return
        deadline = time.monotonic() + rawoutput.PATIENCE
        while time.monotonic() < deadline:
            if self._reading.acquire(timeout=rawoutput.PATIENCE):
                try:
                    if not rawoutput.unread(self._fid):
                        self._pass_on(self._decoder.decode(b"", final=True))  # the rest is not of the next cell
                        return
                finally:
                    self._reading.release()
            time.sleep(0.001)

    def _watch_pipe_fd(self) -> None:
        waiting = select.poll()
        waiting.register(self._fid, select.POLLIN)
        while waiting.poll():
            with self._reading:
                try:
                    content = os.read(self._fid, 64 * 1024)
                except OSError:  # a daemon has closed all descriptors
                    return
                if not content or not self._should_watch:
                    return
                self._pass_on(self._decoder.decode(content))
            if not self._led_to_log():
                with contextlib.suppress(OSError):  # nobody reads there any more
                    os.write(self._original_stdstream_copy, content)

    def _pass_on(self, text: str) -> None:
        try:
            if text:
                self.write(text)
        except Exception:  # noqa: BLE001 (ipykernel prints it in the end; a program that writes must not hang)
            self._exc = sys.exc_info()

    def _led_to_log(self) -> bool:
        """Whether what is read from the descriptor now was to be shown as an error before."""
        return self.name == "stdout" and parent_watch.FOLDER is not None and getattr(self, "_fid", None) is not None

    def _in_child(self) -> bool:
        """Whether this is a forked process: it writes by another way, and nobody here unlocks what was locked then."""
        return bool(os.getpid() != self._master_pid)
