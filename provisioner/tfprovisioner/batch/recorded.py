"""Values that a run recorded with ``tfkernels.record``, read from its notebook or a script's folder."""

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from tfkernels.errors import ExchangeError
from tfkernels.recording import FORMAT, LINES, TYPE, VALUE
from tfkernels.transfer import decoder
from tfprovisioner.errors import ProvisionError


class Unreadable(ProvisionError):
    """A recorded value is lost or damaged, or needs a package that is not installed."""


@dataclass(frozen=True)
class Record:
    """A named result. Its value is read on demand."""

    name: str
    summary: str
    """In a few words."""
    rtol: float | None
    atol: float | None
    """Recorded tolerances."""
    sha256: str
    size: int
    """Bytes."""
    inside: str | None
    """The value's bytes in base64; ``None`` if they are in ``file``."""
    file: Path

    def value(self) -> Any:
        """Raises ``Unreadable``."""
        try:
            content = self.file.read_bytes() if self.inside is None else b64decode(self.inside, validate=True)
            if hashlib.sha256(content).hexdigest() != self.sha256:
                raise ValueError("it was changed after it was recorded")
            return decoder.from_bytes(content)[VALUE]
        except OSError as error:
            raise Unreadable(f"Cannot read the value of {self.name!r}: {error.strerror} ({self.file}).") from error
        except (ExchangeError, KeyError, ValueError) as error:
            raise Unreadable(f"Cannot read the value of {self.name!r}: {error}") from error


def of_notebook(notebook: NotebookNode, values: Path) -> list[Record]:
    """In the order of the outputs; ``values`` is the folder with the large ones."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return _last([output.get("data", {}).get(TYPE) for output in outputs], values)


def of_script(folder: Path) -> list[Record]:
    """From the folder of ``TFKERNELS_RECORDS``, in order."""
    try:
        lines = (folder / LINES).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return _last(lines, folder)  # the last one is incomplete if the script was killed


def _last(entries: Iterable[Any], values: Path) -> list[Record]:
    """The last one of each name."""
    found: dict[str, Record] = {}
    for entry in entries:
        with suppress(TypeError, KeyError, ValueError, RecursionError):  # no record: a notebook may hold anything
            record = _record(entry, values)
            found.pop(record.name, None)
            found[record.name] = record
    return list(found.values())


def _record(entry: Any, values: Path) -> Record:
    """Raises ``TypeError``, ``KeyError`` and ``ValueError`` if it is no record of a known format."""
    if isinstance(entry, str):
        entry = json.loads(entry)
    if entry["format"] != FORMAT:
        raise ValueError(entry["format"])
    digest = str(entry["sha256"])
    bytes.fromhex(digest)  # it becomes a file name
    rtol, atol = (None if entry[option] is None else float(entry[option]) for option in ("rtol", "atol"))
    inside = None if entry["value"] is None else str(entry["value"])
    name, summary, size = str(entry["name"]), str(entry["summary"]), int(entry["size"])
    return Record(name, summary, rtol, atol, digest, size, inside, values / digest)
