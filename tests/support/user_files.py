"""Files in the user's folder that have the names of libraries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

LOADED = "sorted({name.partition('.')[0] for name in __import__('sys').modules})"
"""An expression: the modules that a kernel has loaded."""

_FILE = """
with open({log!r}, "a") as log:
    log.write({name!r} + " ")
raise ImportError("imported " + __file__)
"""


def spoil(folder: Path, modules: Iterable[str]) -> Path:
    """Puts a file with the name of each module into a folder. None can be imported. Returns the log of the attempts."""
    log = folder / "imported.log"
    for name in {module.partition(".")[0] for module in modules} - {"__main__", "tfkernels"}:
        (folder / f"{name}.py").write_text(_FILE.format(log=str(log), name=name))
    return log


def imported(log: Path) -> set[str]:
    """The names of the files that a process tried to import."""
    return set(log.read_text().split()) if log.exists() else set()
