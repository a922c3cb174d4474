"""Standard output and error of a kernel: what is written reaches the notebook before the cell's end, and once.

``OutStream`` is that of our own kernels; the functions do the same in foreign ones, as far as possible. Programs and
the C++ runtime write to file descriptor 1, which ipykernel reads through a pipe. See docs/design/kernel-side.md.
"""

import codecs
import contextlib
import fcntl
import os
import select
import sys
import termios
import threading
import time
import typing

from ipykernel import iostream

from tfkernels import start_notes

MAX_DRAIN_SECONDS = 0.2  # a server that a cell started may write all the time


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
        if written is not self._flushed or not self._is_master_process():  # a forked process writes in another way
            super().flush()
            self._flushed = written

    def read_to_end(self) -> bool:
        """Whether the thread has passed on the content of the pipe. Half a character is not of the next cell."""
        if not self._reading.acquire(timeout=MAX_DRAIN_SECONDS):
            return False
        try:
            empty = not _unread(self._fid)
            if empty:
                self._pass_on(self._decoder.decode(b"", final=True))
            return empty
        finally:
            self._reading.release()

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
                if self.name == "stderr" and start_notes.dropped(os.environ):
                    content = start_notes.without(content)
                self._pass_on(self._decoder.decode(content))
            with contextlib.suppress(OSError):  # its reader is gone
                os.write(self._original_stdstream_copy, content)

    def _pass_on(self, text: str) -> None:
        try:
            if text:
                self.write(text)
        except Exception:  # noqa: BLE001 (ipykernel prints it in the end; a program that writes must not hang)
            self._exc = sys.exc_info()


def drain() -> None:
    """Waits until the pipes of descriptors 1 and 2 are read. On a busy machine they would come after the cell's end."""
    _drain(sys.stdout)
    _drain(sys.stderr)


def _drain(stream: typing.Any) -> None:
    pipe: typing.Optional[int] = getattr(stream, "_fid", None)  # no public name; not there in ipykernel 5
    if pipe is None or not stream._is_master_process():  # noqa: SLF001 (in a fork, locks of the parent stay locked)
        return
    deadline = time.monotonic() + MAX_DRAIN_SECONDS
    while not (stream.read_to_end() if isinstance(stream, OutStream) else not _unread(pipe)):
        if time.monotonic() > deadline:
            return
        time.sleep(0.001)


def log_errors(folder: str) -> None:
    """Connects file descriptor 2 to the log of the kernel that started this one, in its private folder.

    ipykernel's pipe would lose the last words of a crash. ipykernel also copies the content of descriptor 1's pipe to
    where that led before, which is this log. The log is shown, so the copy is stopped.
    """
    with open(os.path.join(folder, "stderr"), "ab") as log:
        os.dup2(log.fileno(), 2)
    stream: typing.Any = sys.stdout
    before: typing.Optional[int] = getattr(stream, "_original_stdstream_copy", None)  # no public name
    if before is not None:
        with open(os.devnull, "ab") as nowhere:
            os.dup2(nowhere.fileno(), before)
        stream.fileno = lambda: 1  # `subprocess.run(…, stdout=sys.stdout)`: it was the same


def _unread(pipe: int) -> int:
    """How many bytes are in it."""
    try:
        return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:
        return 0
