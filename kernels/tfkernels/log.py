"""The log of this process, under the loggers ``tfkernels.*``.

Starts, signals and ends are kept in memory, and shown to nobody. With ``TFKERNELS_LOG`` or ``%tfkernels log debug``,
every message to and from another kernel is recorded, too, and all of it goes to a file. No record has a value in it.
"""

import collections
import contextlib
import glob
import logging
import os
import sys
import typing

from tfkernels.env_vars import LOG
from tfkernels.imports import own_imports

LEVELS = ("debug", "info", "warning")
"""What ``TFKERNELS_LOG`` and ``%tfkernels log`` take."""

_FORMAT = "%(asctime)s.%(msecs)03d %(process)d %(levelname)-7s %(name)s: %(message)s"
_KEPT_LINES = 500
_KEPT_FILES = 20


class _Recent(logging.Handler):
    """The last lines, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: typing.Deque[str] = collections.deque(maxlen=_KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


_root = logging.getLogger("tfkernels")
_recent = _Recent()
_file: typing.Optional[logging.FileHandler] = None


def logger(name: str) -> logging.Logger:
    """The logger ``tfkernels.<name>``."""
    return _root.getChild(name)


def configure(level: str) -> None:
    """Sets the log up as ``TFKERNELS_LOG`` says. A wrong level is recorded and ignored."""
    _add(_recent)
    _root.setLevel(logging.INFO)
    _root.propagate = False  # TensorFlow and others print whatever reaches the root logger
    if level:
        try:
            enable(level)
        except ValueError as error:
            _root.warning("%s is ignored: %s", LOG, error)


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT, "%Y-%m-%d %H:%M:%S"))
    _root.addHandler(handler)


def recent(count: int = _KEPT_LINES) -> typing.List[str]:
    """The last ``count`` lines of this process, the oldest first."""
    return list(_recent.lines)[-count:]


def short_id(message_id: str) -> str:
    """A message's id for the log: the session's first letters and the message's number."""
    return f"{message_id[:4]}-{message_id.rpartition('_')[2][:6]}"


def files() -> typing.List[str]:
    """The log files of this user, the newest first."""
    changed = {}
    for path in glob.glob(os.path.join(glob.escape(_folder()), "*.log")):
        with contextlib.suppress(OSError):  # another process has just removed it
            changed[path] = os.path.getmtime(path)
    return sorted(changed, key=lambda path: (changed[path], path), reverse=True)


def _folder() -> str:
    """The private folder of the log files of this user."""
    with own_imports():
        from jupyter_core.paths import jupyter_runtime_dir

    return os.path.join(jupyter_runtime_dir(), "tfkernels-log")


def enable(level: str) -> str:
    """Records from ``level`` on, also to a file. Returns the file's path, or why there is none.

    Raises ``ValueError`` for a level that is none of ``LEVELS``.
    """
    global _file
    if level.lower() not in LEVELS:
        raise ValueError(f"{level!r} is no log level. Use one of: {', '.join(LEVELS)}.")
    _root.setLevel(level.upper())
    if _file is None:
        try:
            _file = _open()
        except OSError as error:
            return f"in memory only ({error.strerror}: {error.filename})"
        _add(_file)
    return _file.baseFilename


def _open() -> logging.FileHandler:
    os.makedirs(_folder(), mode=0o700, exist_ok=True)
    for path in files()[_KEPT_FILES - 1 :]:
        os.remove(path)
    path = os.path.join(_folder(), f"{os.getpid()}.log")
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))
    return logging.FileHandler(path, encoding="utf-8", delay=True)


def disable() -> None:
    """Back to a few lines in memory."""
    global _file
    _root.setLevel(logging.INFO)
    if _file is not None:
        _root.removeHandler(_file)
        _file.close()
        _file = None


def show_on_stderr() -> None:
    """From now on every line also appears on standard error, if ``TFKERNELS_LOG`` asks for a log."""
    if os.environ.get(LOG):
        _add(logging.StreamHandler(sys.stderr))


configure(os.environ.get(LOG, ""))
