"""The packages that users want beside TensorFlow: ``--with`` and ``--requirements``."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from tfprovisioner.environments.installed import normalized
from tfprovisioner.errors import BadRequirement

LIMIT = "-c "
"""Begins a requirement that installs nothing: if another one brings the package, it is to be one of these versions."""

_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)[ =]?\s*(.+)")


def checked(line: str) -> str:
    """A requirement, or ``-c`` and one that only limits versions. Raises ``BadRequirement``."""
    try:
        Requirement(line.removeprefix(LIMIT))
    except InvalidRequirement as error:
        raise BadRequirement(
            f"{line!r} is no requirement that can be resolved together with TensorFlow's: write a package's name and, "
            f"if you like, versions ('pandas', 'matplotlib<3.5', 'name @ https://…/name.whl'). What is built from a "
            f"folder or from version control goes into a kernel with a cell that says: !pip install …"
        ) from error
    return line


def read(path: Path) -> tuple[str, ...]:
    """The requirements in a file, and in those that it includes; without comments and hashes, which the lock has anew.

    What stands in a file of constraints begins with ``-c``. Raises ``BadRequirement``.
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
                f"{path} says {line.split()[0]!r}, which is not taken from requirement files: an index is chosen with "
                f"--index or UV_DEFAULT_INDEX, so that no password gets into a record. Take that line out."
            )
        elif line:
            yield prefix + checked(line)


def divided(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """What is to be installed, and what only limits versions."""
    lines = list(lines)
    wanted = [line for line in lines if not line.startswith(LIMIT)]
    return wanted, [line.removeprefix(LIMIT) for line in lines if line.startswith(LIMIT)]


def merged(kept: Iterable[str], asked: Iterable[str], without: Iterable[str] = ()) -> tuple[str, ...]:
    """What a kernel was made with and what is asked for now.

    What is asked for now replaces the older wishes for the same package; of several lines given together all hold.
    """
    asked = tuple(asked)
    newer = {_name(line) for line in asked}
    lines = list(dict.fromkeys([*(line for line in kept if _name(line) not in newer), *asked]))
    for name in without:
        left = [line for line in lines if _name(line) != normalized(name)]
        if left == lines:
            present = ", ".join(dict.fromkeys(map(_name, lines))) or "nothing"
            raise BadRequirement(f"--without {name}: the kernel was not made with it. It was made with: {present}.")
        lines = left
    return tuple(lines)


def _name(line: str) -> str:
    limits = LIMIT if line.startswith(LIMIT) else ""
    return limits + normalized(Requirement(line.removeprefix(LIMIT)).name)
