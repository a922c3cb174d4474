"""What was tried on this machine before: an environment of the same files needs no second try, and nothing compiled.

To import TensorFlow takes longer than to put its files in place, and the first import compiles some thousand modules.
Environments of one lock are links to the same files in uv's cache. So what a try found is kept, with the modules that
it compiled, under a name made from all that it could depend on: each file's path, size and time of change (those of an
unpacked wheel are its own, and an edited file has others), the interpreter, the machine, and the question.
"""

import contextlib
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tfprovisioner import environments, probe
from tfprovisioner.home import home
from tfprovisioner.probe import Findings

_NOTE = "tried"
"""In an environment's folder: the name of its try. The files may be others by the time that it is asked for."""

_RECORD = "try.json"
_COMPILED = "compiled"
_OF_ONE_ENVIRONMENT = {
    *("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"),
    *("_virtualenv.pth", "_virtualenv.py"),
}
"""What uv writes into each anew: what it says of a package, and what it adds to older Pythons."""


@dataclass(frozen=True)
class Try:
    """What was found, and the size of the environment: bytes on disk, as in its record."""

    findings: Findings
    size: int


def root() -> Path:
    return home() / "tried"


def key(folder: Path) -> str:
    """The name of the try of an environment, built or not. Nothing is read but names and times."""
    python = os.path.realpath(environments.python_in(folder))
    found = os.stat(python)
    told = hashlib.sha256(repr((python, found.st_size, found.st_mtime_ns, *_machine(), probe.QUESTION)).encode())
    for line in sorted(_files(str(folder / "lib"), "")):
        told.update(line.encode("utf-8", "surrogateescape"))
    return told.hexdigest()[:32]


def _files(folder: str, below: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _files(entry.path, f"{below}{entry.name}/")
            elif entry.name not in _OF_ONE_ENVIRONMENT:
                found = entry.stat(follow_symlinks=False)
                yield f"{below}{entry.name} {found.st_size} {found.st_mtime_ns}\n"


def _machine() -> tuple[str, ...]:
    """A data folder may be that of several; wheels ask for what some processors lack."""
    flags = ""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        flags = next(line for line in lines if line.startswith(("flags", "Features")))
    return platform.node(), platform.machine(), *platform.libc_ver(), flags


def recall(folder: Path, name: str) -> Try | None:
    """The try of that name, if there was one; the modules that it compiled are then in the environment."""
    kept = root() / name
    try:
        content = json.loads((kept / _RECORD).read_text(encoding="utf-8"))
        found = Try(Findings(**content["findings"]), int(content["size"]))
        _link(kept / _COMPILED, folder)
    except (OSError, ValueError, TypeError, KeyError):
        return None  # there was none, or it is being removed just now
    _note(folder, name)
    return found


def keep(folder: Path, name: str, passed: Try) -> None:
    """Remembers a try that went well. Where files cannot be shared, nothing is kept."""
    fresh = root() / f".{name}.{os.getpid()}"
    with contextlib.suppress(OSError):  # no hard links, no room: the next environment is tried again
        try:
            (fresh / _COMPILED).mkdir(parents=True)
            _link(folder, fresh / _COMPILED, "lib")
            environments.replace_text(fresh / _RECORD, json.dumps(asdict(passed)))
            fresh.rename(root() / name)
            _note(folder, name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _link(source: Path, target: Path, below: str = "") -> None:
    """The compiled modules of one tree in another as well. Raises ``OSError``."""
    for parent, names in _compiled(source / below):
        folder = os.path.join(target, os.path.relpath(parent, source))
        os.makedirs(folder, exist_ok=True)
        for name in names:
            with contextlib.suppress(FileExistsError):  # uv was told to compile (UV_COMPILE_BYTECODE)
                os.link(os.path.join(parent, name), os.path.join(folder, name))


def forget(folder: Path) -> None:
    """The next environment of the same files is tried again, because this one does not work any more."""
    with contextlib.suppress(OSError, ValueError):
        name = (folder / _NOTE).read_text(encoding="ascii")
        if re.fullmatch("[0-9a-f]{32}", name):
            shutil.rmtree(root() / name, ignore_errors=True)


def _note(folder: Path, name: str) -> None:
    (folder / _NOTE).write_text(name, encoding="ascii")


def needless() -> list[Path]:
    """What was kept for environments that are all gone, and what a killed process left."""
    return [kept for kept in sorted(root().glob("*")) if not _shared(kept)]


def _shared(kept: Path) -> bool:
    found = (os.path.join(parent, name) for parent, names in _compiled(kept) for name in names)
    return any(os.stat(path).st_nlink > 1 for path in found)


def _compiled(below: Path) -> Iterator[tuple[str, list[str]]]:
    return ((parent, names) for parent, _, names in os.walk(below) if os.path.basename(parent) == "__pycache__")
