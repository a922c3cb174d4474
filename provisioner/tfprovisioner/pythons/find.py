"""Finds the Pythons on this machine, and asks each about itself."""

import contextlib
import functools
import json
import os
import platform
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from findpython.providers import ALL_PROVIDERS

from tfkernels import env_vars
from tfprovisioner.conda import search
from tfprovisioner.errors import NoInterpreter
from tfprovisioner.system import subprocesses
from tfprovisioner.system.data_dir import home

TIMEOUT = 10.0
"""Seconds. A shim may wait for somebody to answer a question."""

_QUESTION = """
import json, os, sys
numbers, level, serial = list(sys.version_info[:3]), sys.version_info[3], sys.version_info[4]
final = level == "final"
suffix = "" if final else {"alpha": "a", "beta": "b"}.get(level, "rc") + str(serial)
above = os.path.dirname(os.path.dirname(sys.executable))
print("tfkernels-answer " + json.dumps({
    "path": sys.executable, "numbers": numbers, "final": final,
    "version": ".".join(map(str, numbers)) + suffix,
    "implementation": sys.implementation.name, "machine": os.uname()[4].lower(),
    "bits": 64 if sys.maxsize > 2**32 else 32, "free_threaded": "free-threading" in sys.version,
    "virtual": os.path.exists(os.path.join(above, "pyvenv.cfg")),
    "conda": os.path.isdir(os.path.join(sys.base_prefix, "conda-meta")), "prefix": sys.prefix,
    "sites": [os.path.abspath(path) for path in sys.path if os.path.isdir(path)]}))
"""
"""Without ``platform`` and ``sysconfig``: they take most of the time of a start, and there may be dozens."""


@dataclass(frozen=True)
class Python:
    """One interpreter, as it describes itself."""

    path: str
    version: str
    """``3.7.16``, ``3.14.0rc1``"""
    numbers: list[int]
    implementation: str
    machine: str
    bits: int
    free_threaded: bool
    final: bool
    """Not an alpha, a beta or a release candidate."""
    virtual: bool
    """Of a virtual environment."""
    conda: bool
    prefix: str
    sites: list[str]
    """The folders that it imports from."""

    @property
    def minor(self) -> str:
        """``3.7``"""
        return ".".join(str(number) for number in self.numbers[:2])

    def objection(self) -> str | None:
        """Why TensorFlow has no wheels for it, whatever its version, or ``None``."""
        here = platform.machine().lower()
        if self.implementation != "cpython":
            return f"it is {self.implementation}, and TensorFlow has wheels for CPython only"
        if self.bits != 64:
            return f"it is a {self.bits}-bit program, and TensorFlow has wheels for 64 bits only"
        if self.machine != here:
            return f"it was made for {self.machine}, and this machine is {here}"
        if self.free_threaded:
            return "it is free-threaded, and TensorFlow has wheels for the ordinary CPython only"
        return None


def pythons(minor: str | None = None) -> tuple[Python, ...]:
    """All Pythons of this machine that TensorFlow can have wheels for, or those of a version (``3.7``), the best first.

    Each is started once, all at the same time. Programs that do not answer as a Python does are left out.
    """
    with _searching:  # the first of several threads searches, the others wait for what it finds
        return tuple(python for python in _search(minor) if minor in (None, python.minor))


_searching = threading.Lock()


@functools.cache
def _search(minor: str | None = None) -> tuple[Python, ...]:
    # The version may be in the name of the program that a path leads to.
    named = {path: re.fullmatch(r"python(\d\.\d+)", path.resolve().name) for path in _candidates()}
    asked = [path for path, name in named.items() if minor is None or name is None or name[1] == minor]
    with ThreadPoolExecutor(max_workers=2 * (os.cpu_count() or 1)) as threads:
        answers = list(threads.map(_answer, asked))
    found = {answer.path: answer for answer in answers if answer is not None and answer.objection() is None}
    return tuple(sorted(found.values(), key=_rank))


def forget() -> None:
    """Lets the next search look again: a Python was installed meanwhile."""
    with _searching:
        _search.cache_clear()
        _answer.cache_clear()


class NoAnswer(Exception):
    """Why a script in a Python gave no answer. The last line says most."""


def answer(python: Path, arguments: Sequence[str], variables: Mapping[str, str], timeout: float) -> Any:
    """The JSON in the line ``tfkernels-answer …`` of a script. ``arguments`` end with it. Raises ``NoAnswer``."""
    # -I: what lies in the current folder (a random.py, say) is not part of the environment
    command = [python, "-I", *arguments]
    try:
        options = {"env": variables, "stderr": subprocess.PIPE, "start_new_session": True}
        with subprocesses.started(command, **options) as process:
            try:
                output, complaints = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # the children of a shim, too: they keep the pipe open
                raise NoAnswer(f"it did not answer within {timeout:.0f} s") from None
    except OSError as error:
        raise NoAnswer(f"it cannot be started: {error.strerror}") from None
    for line in output.splitlines():
        if line.startswith("tfkernels-answer "):
            with contextlib.suppress(ValueError):
                return json.loads(line.partition(" ")[2])
    last = "\n".join((complaints or output).strip().splitlines()[-6:])
    raise NoAnswer(f"{last} (exit code {process.returncode})".lstrip())


def ask(path: Path, site: bool = False, timeout: float | None = None) -> Python:
    """The interpreter at ``path``, as it describes itself. Raises ``NoInterpreter`` if it does not work.

    ``site``: with the ``prefix`` and the ``sites`` of its environment, which takes longer.
    """
    options = ["-B", *([] if site else ["-S"]), "-c", _QUESTION]
    try:
        python = Python(**answer(path, options, env_vars.cleaned(os.environ), timeout or TIMEOUT))
    except (NoAnswer, TypeError) as error:
        raise NoInterpreter(f"{path} is not a Python that works: {str(error).splitlines()[-1]}.") from None
    if not os.path.isfile(python.path):
        raise NoInterpreter(f"{path} is not a Python that works: it says that it is {python.path}.")
    return python


@functools.cache
def _answer(path: Path) -> Python | None:
    with contextlib.suppress(NoInterpreter):
        return ask(path)
    return None


def _rank(python: Python) -> tuple[object, ...]:
    """Final releases first, then the newest; of equals one that nobody deletes with a project."""
    major, minor, patch = python.numbers
    return (not python.final, -major, -minor, -patch, python.virtual, python.conda, len(python.path), python.path)


def _candidates() -> list[Path]:
    """Each file once, though it has several names; without our own environments."""
    chosen: dict[object, Path] = {}
    for path in _names():
        try:
            real = path.resolve(strict=True)
            status = real.stat()
        except OSError:
            continue
        # Shims of all versions may be links to one program, which looks at the name that it was called by.
        name = "" if real.name.lower().startswith("python") else path.name
        if home() not in path.parents:
            chosen.setdefault((status.st_dev, status.st_ino, name), path)
    return list(chosen.values())


def _names() -> Iterator[Path]:
    for provider in ALL_PROVIDERS.values():
        there = provider.create()
        for python in there.find_pythons() if there is not None else ():
            shim = python.executable.parent.name == "shims"
            yield from (shim and _installs(python.executable.parent.parent)) or [python.executable]
    yield from search.pythons()
    yield from _homebrew()
    yield Path(os.path.realpath(sys.executable))  # the one that runs this may be nowhere else


@functools.cache
def _installs(root: Path) -> list[Path]:
    """The Pythons beside the shims of pyenv, asdf and mise. A shim takes a third of a second, mostly to refuse."""
    patterns = ("versions/*/bin/python3", "installs/python/*/bin/python3")
    return [python for pattern in patterns for python in root.glob(pattern)]


def _homebrew() -> Iterator[Path]:
    """Homebrew links only its newest Python into PATH; the others stay in folders of their own."""
    prefixes = {os.environ.get("HOMEBREW_PREFIX"), "/opt/homebrew", "/usr/local", "/home/linuxbrew/.linuxbrew"}
    for prefix in sorted(filter(None, prefixes)):
        yield from Path(prefix).glob("opt/python@*/bin/python3.*[0-9]")
