"""Requirements that users want beside TensorFlow, one a line: their names, hashes and markers."""

import re
from collections.abc import Iterable, Iterator

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name

from tfprovisioner.catalogue import locks
from tfprovisioner.errors import BadRequirement
from tfprovisioner.system.redact import redacted

LIMIT = "-c "
"""Begins a requirement that installs nothing: it limits the versions of a package that another one brings."""

HASH = " --hash="
_HASHED = re.compile(rf"({HASH}sha256:[0-9a-fA-F]{{64}})*")
_BETWEEN_PACKAGES = re.compile(r",(?![^\[]*\])(?=\s*[A-Za-z0-9])")


def checked(line: str) -> str:
    """A requirement, perhaps with hashes; after ``-c`` one that only limits versions. Raises ``BadRequirement``."""
    plain = without_hashes(line)
    if not _HASHED.fullmatch(line.removeprefix(plain)):
        raise BadRequirement(
            f"{redacted(plain)!r} has a hash that is not of the form {HASH[1:]}sha256:… Correct or delete it."
        )
    try:
        requirement = Requirement(plain.removeprefix(LIMIT))
    except InvalidRequirement as error:
        raise BadRequirement(
            f"{redacted(plain)!r} is no requirement that can be resolved together with TensorFlow's. Write a package's "
            f"name and, if you like, versions: 'pandas', 'matplotlib<3.5', 'name @ https://…/name.whl'. To build from "
            f"a folder or from version control, use a cell in the kernel: !pip install …"
        ) from error
    if requirement.url and "${" in requirement.url:
        # uv would put in the user's variables, which may be secrets. A file may be somebody else's.
        raise BadRequirement(f"{redacted(plain)!r} has a variable in its address. Write the address without it.")
    try:
        if requirement.marker is not None:
            requirement.marker.evaluate(locks.machine("3"))
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        raise BadRequirement(f"{redacted(plain)!r} has a condition that is none: {error}. Correct it.") from error
    return line


def split(text: str) -> list[str]:
    """The requirements in one ``--with``: ``pandas<2,>1,tqdm`` has two."""
    try:
        Requirement(without_hashes(text))
    except InvalidRequirement:
        return [part.strip() for part in _BETWEEN_PACKAGES.split(text)]
    return [text]


def without_hashes(line: str) -> str:
    """A requirement without the hashes that files of requirements may have."""
    return line.partition(HASH)[0]


def hashes_of(line: str) -> list[str]:
    """The SHA-256 of the files that a requirement allows; none if it allows all."""
    return [part.strip().removeprefix("sha256:").lower() for part in line.split(HASH)[1:]]


def holding(lines: Iterable[str], python: str) -> Iterator[tuple[str, str, Requirement]]:
    """Requirements whose markers hold for a CPython (``3.7.16``, ``3.7``) on this machine, each after its package."""
    for line in lines:
        requirement = Requirement(without_hashes(line))
        if requirement.marker is None or requirement.marker.evaluate(locks.machine(python)):
            yield line, canonicalize_name(requirement.name), requirement


def is_exact(requirement: Requirement) -> bool:
    """Whether it asks for one version, which no index changes any more."""
    exact = (one.operator == "==" and "*" not in one.version for one in requirement.specifier)
    return bool(requirement.url) or any(exact)


def of_the_line(part: Specifier) -> Specifier:
    """A version of TensorFlow as its authors meant it: ``==1.15`` is any patch release of 1.15.

    TensorFlow's versions have three numbers, so whoever writes two does not choose a patch release.
    """
    two = part.operator == "==" and re.fullmatch(r"\d+(\.\d+)?", part.version)
    return Specifier(f"=={part.version}.*") if two else part


def name_of(requirement: str) -> str:
    """The normalized name of the package."""
    return canonicalize_name(Requirement(without_hashes(requirement)).name)


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


def lost(before: Iterable[str], lines: Iterable[str]) -> tuple[str, ...]:
    """The packages of the requirements ``before`` that no line names, as ``merged`` takes them out."""
    left = set(map(_key, lines))
    return tuple(dict.fromkeys(key for key in map(_key, before) if key not in left))


def _key(line: str) -> str:
    return (LIMIT if line.startswith(LIMIT) else "") + name_of(line.removeprefix(LIMIT))
