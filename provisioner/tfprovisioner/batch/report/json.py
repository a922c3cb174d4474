"""``report.json``: the content of the report, for programs.

``format`` is ``"tfkernels-report"``. ``version`` grows when a name goes or changes its meaning; new names may come at
any time. Paths are relative to the document's folder, times ISO 8601 in UTC, NaN and infinity text.

* ``passed``, ``exit_code``, ``headline`` (two sentences), ``baseline``, ``tolerances`` (of the command), ``created``.
* ``kernels``: the columns, the baseline first: ``name``, ``kernel``, ``tensorflow``, ``python``.
* ``runs``: ``case`` and ``side`` (row and column), ``output`` (the executed notebook), and every fact of the outcome;
  ``failure`` has the cell's ``source`` too. ``records``: what the run recorded: ``name``, ``summary``, ``value`` (in a
  few characters), ``sha256``, ``size``, ``rtol``, ``atol``. Runs that have not ended have ``state`` ``"pending"`` and
  nothing after it.
* ``comparisons``: ``case``, ``name``, ``side``, ``verdict`` (``equal``, ``close``, ``different``, ``missing``: only the
  baseline has it, ``extra``: only this run has it, ``unreadable``, ``not compared``: one of the runs gave no value),
  ``passed`` (null if not compared), ``reason``, ``value``, ``largest_error``, ``least_tolerance``; ``comparison`` is
  ``Comparison.to_dict()`` or null, and ``parts_left_out`` counts the parts that it lacks.
"""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FORMAT, VERSION = "tfkernels-report", 1
NAME = "report.json"

Entry = dict[str, Any]
"""An object of the document."""


def to_bytes(document: Entry) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False).encode(errors="replace") + b"\n"


def earlier_order(folders: Iterable[Path]) -> list[str]:
    """The kernels of earlier reports in these folders, the baseline's first: a repeated report looks the same."""
    names = []
    for folder in folders:
        try:
            content = json.loads((folder / NAME).read_text(encoding="utf-8"))
            if content["format"] == FORMAT:
                names += [str(kernel["kernel"]) for kernel in content["kernels"]]
        except (OSError, ValueError, LookupError, TypeError):
            continue  # there is none
    return list(dict.fromkeys(names))


def relative(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, with slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()


def public_source(source: str) -> str:
    """As the user named it, without the folders of a machine and the credentials of an address."""
    address = urlsplit(source)
    if address.netloc:
        return f"{address.scheme}://{address.netloc.rpartition('@')[2]}{address.path}"
    return Path(source).name if os.path.isabs(source) else source


def plain(value: Any) -> Any:
    """Of JSON's own types."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
