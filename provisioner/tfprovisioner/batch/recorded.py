"""What a run recorded with ``tfkernels.record``, read from its notebook, or from the folder that a script wrote to."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from tfkernels.errors import ExchangeError
from tfkernels.recording import FORMAT, LINES, TYPE, VALUE
from tfkernels.transfer import message
from tfprovisioner.errors import ProvisionError


class Unreadable(ProvisionError):
    """A recorded value is there no more, is damaged, or wants a package that is not installed."""


@dataclass(frozen=True)
class Record:
    """A result under its name; its value is read when it is asked for."""

    name: str
    summary: str
    """What it is, in a few words."""
    rtol: float | None
    atol: float | None
    """The tolerances that were recorded with it."""
    sha256: str
    size: int
    """Bytes."""
    inside: str | None
    """The value's bytes in base64, or ``None`` if they are in ``file``."""
    file: Path

    def value(self) -> Any:
        """The value, as in ``tfkernels.compare``. Raises ``Unreadable``."""
        try:
            content = self.file.read_bytes() if self.inside is None else b64decode(self.inside, validate=True)
        except OSError as error:
            raise Unreadable(
                f"the file with the value of {self.name!r} cannot be read: {error.strerror} ({self.file})"
            ) from error
        except ValueError as error:
            raise Unreadable(f"the value of {self.name!r} is damaged: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise Unreadable(f"the value of {self.name!r} is damaged: it is not the one that was recorded")
        try:
            return message.of_bytes(content)[VALUE]
        except (ExchangeError, KeyError) as error:
            raise Unreadable(f"the value of {self.name!r} cannot be read: {error}") from error


def of_notebook(notebook: NotebookNode, values: Path) -> list[Record]:
    """The results in the notebook's outputs, in order; ``values`` is the folder with the large ones."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return _last([output.get("data", {}).get(TYPE) for output in outputs], values)


def of_script(folder: Path) -> list[Record]:
    """The results that a script has written to the folder of ``TFKERNELS_RECORDS``, in order."""
    try:
        lines = (folder / LINES).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return _last(map(_parsed, lines), folder)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None  # the script was killed while it wrote


def _last(entries: Iterable[Any], values: Path) -> list[Record]:
    """One for each name: the last."""
    found: dict[str, Record] = {}
    for entry in entries:
        record = _record(entry, values)
        if record is not None:
            found.pop(record.name, None)
            found[record.name] = record
    return list(found.values())


def _record(entry: Any, values: Path) -> Record | None:
    """``None`` for what is no record of a known format: anybody may write anything into a notebook."""
    entry = _parsed(entry) if isinstance(entry, str) else entry
    try:
        if entry["format"] != FORMAT:
            return None
        digest = str(entry["sha256"])
        bytes.fromhex(digest)  # it becomes the name of a file
        rtol, atol = (None if entry[option] is None else float(entry[option]) for option in ("rtol", "atol"))
        inside = None if entry["value"] is None else str(entry["value"])
        return Record(
            str(entry["name"]), str(entry["summary"]), rtol, atol, digest, int(entry["size"]), inside, values / digest
        )
    except (TypeError, KeyError, ValueError):
        return None
