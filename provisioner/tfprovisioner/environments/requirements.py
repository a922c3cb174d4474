"""The packages that users want beside TensorFlow: ``--with`` and ``--requirements``."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tfprovisioner.catalogue import locks
from tfprovisioner.errors import BadRequirement

LIMIT = "-c "
"""Begins a requirement that installs nothing: it limits the versions of a package that another one brings."""

_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)[ =]?\s*(.+)")


def checked(line: str) -> str:
    """A requirement, or ``-c`` and one that only limits versions. Raises ``BadRequirement``."""
    try:
        Requirement(line.removeprefix(LIMIT))
    except InvalidRequirement as error:
        raise BadRequirement(
            f"{line!r} is no requirement that can be resolved together with TensorFlow's. Write a package's name and, "
            f"if you like, versions: 'pandas', 'matplotlib<3.5', 'name @ https://…/name.whl'. To build from a folder "
            f"or from version control, use a cell in the kernel: !pip install …"
        ) from error
    return line


def holding(lines: Iterable[str], python: str) -> Iterator[tuple[str, str, Requirement]]:
    """Requirements whose markers hold for a CPython (``3.7.16``, ``3.7``) on this machine, each after its package."""
    for line in lines:
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate(locks.machine(python)):
            yield line, canonicalize_name(requirement.name), requirement


def name_of(requirement: str) -> str:
    """The normalized name of the package."""
    return canonicalize_name(Requirement(requirement).name)


def read(path: Path) -> tuple[str, ...]:
    """The requirements in a file and in those that it includes, without comments and hashes: the lock has new ones.

    Lines of a file of constraints begin with ``-c``. Raises ``BadRequirement``.
    """
    return tuple(dict.fromkeys(_read(path, "", ())))


def _read(path: Path, prefix: str, within: tuple[Path, ...]) -> Iterator[str]:
    if path in within:
        raise BadRequirement(f"{path} includes itself.")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequirement(f"The requirements in {path} cannot be read: {error}.") from error
    for raw in re.sub(r"\\\r?\n", " ", text).splitlines():
        line = re.sub(r"\s--hash[ =]\S+", "", re.sub(r"(^|\s)#.*", "", raw)).strip()
        included = _INCLUDE.fullmatch(line)
        if included:
            limits = LIMIT if included[1] in ("-c", "--constraint") else prefix
            yield from _read(path.parent / included[2].strip(), limits, (*within, path))
        elif line.startswith("-"):
            raise BadRequirement(
                f"{path} has {line.split()[0]!r}, which is not taken from requirement files, so that no password gets "
                f"into a record. Delete that line, and choose an index with --index or UV_DEFAULT_INDEX."
            )
        elif line:
            yield prefix + checked(line)


def divided(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """The lines that install packages, and those that only limit versions."""
    lines = list(lines)
    packages = [line for line in lines if not line.startswith(LIMIT)]
    return packages, [line.removeprefix(LIMIT) for line in lines if line.startswith(LIMIT)]


def merged(kept: Iterable[str], asked: Iterable[str], without: Iterable[str] = ()) -> tuple[str, ...]:
    """The requirements that a kernel was made with, and those that are asked for now.

    The new ones replace older ones for the same package; of several lines given together all hold.
    """
    asked = tuple(asked)
    newer = {_key(line) for line in asked}
    lines = list(dict.fromkeys([*(line for line in kept if _key(line) not in newer), *asked]))
    for name in without:
        left = [line for line in lines if _key(line) != canonicalize_name(name)]
        if left == lines:
            present = ", ".join(dict.fromkeys(map(_key, lines))) or "nothing"
            raise BadRequirement(f"--without {name}: the kernel was not made with it. It was made with: {present}.")
        lines = left
    return tuple(lines)


def _key(line: str) -> str:
    return (LIMIT if line.startswith(LIMIT) else "") + name_of(line.removeprefix(LIMIT))
