"""Packages without a wheel among requirements. Packages that only these need are not looked at."""

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tfprovisioner.errors import BuildFailed
from tfprovisioner.requirements.lines import is_exact, name_of
from tfprovisioner.resolution import pylock
from tfprovisioner.resolution.conflicts import uv_facts
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed

_REQUIRED = re.compile(r"Wheels are required for `([\w.-]+)`")
_NAME = r"([A-Za-z0-9][\w.-]*)"
_UNUSABLE = re.compile(rf"{_NAME}==\S+ (?:has no [^.]*?wheels|depends on Python)")
_UNKNOWN = re.compile(rf"there is no version of {_NAME}==|{_NAME} was not found in the package")
"""In uv's words, with single spaces."""


class Answer(NamedTuple):
    """What the index has of some lines for this machine and a Python."""

    built: set[str]
    """The packages of which only a source distribution fits."""
    unusable: set[str]
    """Those of which nothing fits."""
    versions: dict[str, str]
    """The version of each other package that fits best: the newest one, with a wheel if any has one."""


def among(lines: Iterable[str], python: str) -> Answer:
    """The packages among lines that have no wheel. uv is asked for all lines at once, and builds nothing.

    Lines with an address are left out.
    """
    left = [line for line in lines if not Requirement(line).url]  # uv runs setup code for the version of an address
    built, unusable, versions = set[str](), set[str](), dict[str, str]()
    while left:
        try:
            found = _newest(left, python)
            built = {canonicalize_name(package["name"]) for package in found if pylock.is_built(package)}
            versions = {canonicalize_name(package["name"]): package.get("version", "") for package in found}
            break
        except UvFailed as error:
            words = " ".join(error.output.split())
        lacking = {canonicalize_name(name) for name in _UNUSABLE.findall(words)}
        unknown = {canonicalize_name(name) for one in _UNKNOWN.findall(words) for name in one if name}
        rest = [line for line in left if name_of(line) not in lacking | unknown]
        if len(rest) == len(left):  # another failure, which the installation reports
            break
        unusable |= lacking
        left = rest
    # An older version may have a wheel.
    left = [line for line in left if name_of(line) in built and not is_exact(Requirement(line))]
    built -= set(map(name_of, left))
    while left:
        answer = wheels(left, python)
        names = required(answer.output) if isinstance(answer, UvFailed) else set()
        built |= names
        left = [line for line in left if name_of(line) not in names] if names else []
        if isinstance(answer, str):
            versions |= dict(re.findall(rf"^{_NAME}==(\S+)", answer, re.MULTILINE))
    return Answer(built, unusable, versions)


def _newest(lines: Iterable[str], python: str) -> list[dict[str, Any]]:
    """The newest fitting versions, with a wheel or without. Raises ``BuildFailed``."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", *uv.for_python(None, python)]
        return pylock.packages(
            "\n".join(lines), options, Path(folder), lambda words: uv.run(words, Path(folder), lambda _: None)
        )


def wheels(lines: Iterable[str], python: str) -> str | BuildFailed:
    """Versions that have wheels, without what they need; or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, found = Path(folder, "wanted.txt"), Path(folder, "found.txt")
        wanted.write_text("\n".join(lines), encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate"]
        arguments += ["--only-binary", ":all:", *uv.for_python(None, python)]
        arguments += [str(wanted), "--output-file", str(found)]
        try:
            uv.run(arguments, Path(folder), lambda _: None)
        except BuildFailed as failure:
            return failure
        return found.read_text(encoding="utf-8")


def required(output: str) -> set[str]:
    """The packages that have no wheel, according to uv.

    It also names those of which only some versions have none. Those can wait whose other versions need what has none.
    """
    words = " ".join(output.split())  # uv breaks its lines where it likes
    names: set[str] = {canonicalize_name(name) for name in _REQUIRED.findall(words)}
    facts = ((fact.name, re.split(r"[^\w.-]", fact.needs)[0]) for fact in uv_facts.facts(output))
    return names - {canonicalize_name(name) for name, needed in facts if canonicalize_name(needed) in names} or names
