"""``tfkernels.record``: results that a batch compares across kernels. Python 3.6 and newer.

A batch names a folder in ``TFKERNELS_RECORDS``. In a notebook a record is an output of its cell; in a script it is a
line in ``records.jsonl``. A small value is inside, as base64; a large one is a file there, named by its SHA-256.
"""

import base64
import hashlib
import json
import math
import os
import sys
import tempfile
import typing

from tfkernels.errors import ExchangeError, NotPortable, UsageError
from tfkernels.imports import own_imports

FOLDER = "TFKERNELS_RECORDS"  # the variable with the folder of the batch that runs, if one does
TYPE = "application/vnd.tfkernels.record+json"
LINES = "records.jsonl"  # in the folder: what a script has recorded
VALUE = "value"  # the name that a recorded value has in its message
INLINE = 16 * 1024  # bytes; larger values are files, so that notebooks stay small
FORMAT = 1


def record(
    name: str, value: typing.Any, rtol: typing.Optional[float] = None, atol: typing.Optional[float] = None
) -> None:
    """A result under a name, for the report of ``tfkernels run``, which compares it across kernels.

    ``value`` is anything that can be passed to another kernel. ``rtol`` and ``atol`` are its tolerances, as
    ``tfkernels.compare`` takes them, if they are not to be those of the report. The same name again replaces what was
    recorded before. Outside of a batch this only shows the value.

    Raises ``NotPortable`` if a part of the value cannot be passed, ``UsageError`` for a bad name or tolerance, and
    ``ExchangeError`` if the value cannot be written. Then nothing is recorded.
    """
    if not isinstance(name, str) or not name.strip():
        raise UsageError(f"record() needs a non-empty string as name, got {name!r}.")
    for option, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance is not None and not _is_tolerance(tolerance):
            raise UsageError(f"{option} must be a number from 0 on, got {tolerance!r}.")
    folder = os.environ.get(FOLDER)
    if not folder:
        if not _display(value):
            print(repr(value))
        return
    with own_imports():
        from tfkernels.transfer.encoder import ValueMessage  # imports NumPy

    try:
        content = ValueMessage({VALUE: value}).to_bytes()
    except NotPortable as error:
        raise NotPortable(f"cannot record {name!r}: {error}") from None
    digest = hashlib.sha256(content).hexdigest()
    small = len(content) <= INLINE
    entry = {
        "format": FORMAT,
        "name": name,
        "rtol": None if rtol is None else float(rtol),
        "atol": None if atol is None else float(atol),
        "summary": _summary(value),
        "sha256": digest,
        "size": len(content),
        "value": base64.b64encode(content).decode("ascii") if small else None,
    }
    try:
        if not small:
            _write(os.path.join(folder, digest), content)
        shown = {TYPE: entry, "text/plain": f"recorded {name}: {entry['summary']}"}
        if not _display(shown, raw=True):
            with open(os.path.join(folder, LINES), "a", encoding="utf-8") as lines:
                lines.write(json.dumps(entry) + "\n")
    except OSError as error:
        raise ExchangeError(
            f"Cannot record {name!r}: {error.strerror} ({folder}). Free some space there, or record less."
        ) from error


def _is_tolerance(value: typing.Any) -> bool:
    try:
        return math.isfinite(value) and value >= 0
    except TypeError:
        return False


def _display(value: typing.Any, raw: bool = False) -> bool:
    """Puts a value among the outputs of the cell that runs; says whether there is one."""
    if "IPython" not in sys.modules:
        return False
    with own_imports():
        from IPython import get_ipython
        from IPython.display import display

    if not hasattr(get_ipython(), "kernel"):
        return False
    display(value, raw=raw)
    return True


def _write(path: str, content: typing.Union[bytes, bytearray]) -> None:
    """Whole or not at all, and for this user's eyes only."""
    if os.path.exists(path):
        return  # named by what is in it
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _summary(value: typing.Any) -> str:
    """What a value is, in a few words: ``float32 (3, 4)``, a number or a short text itself."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape and dtype is not None:
        return f"{getattr(dtype, 'name', dtype)} {tuple(int(length) for length in shape)}"
    if isinstance(value, (list, tuple, dict, set, frozenset)) and value:
        return f"{type(value).__name__} of {len(value)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:40]} … {text[-16:]}"
