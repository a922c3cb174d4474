"""The catalogue's bounds, applied to any environment: packages that are known to break its TensorFlow."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tfprovisioner.catalogue import pins
from tfprovisioner.catalogue.pins import Rule
from tfprovisioner.environments import installed
from tfprovisioner.requirements.lines import LIMIT, holding


@dataclass(frozen=True)
class Outside:
    """A package outside its bound. ``sentence`` says so, without its end."""

    requirement: str
    """The bound, ``h5py<3``."""
    sentence: str
    late: bool
    """Whether TensorFlow is imported all the same."""
    beside: bool
    """Whether all of TensorFlow works all the same."""


def outside(sites: Iterable[Path]) -> list[Outside]:
    """The packages outside the bounds of the TensorFlow in folders of packages. Nothing is started."""
    packages = installed.found_in(sites)
    tensorflow = installed.tensorflow_of(packages)
    # A build with a label of its own (1.15.5+nv23.3) may have other bounds.
    if tensorflow is None or "+" in tensorflow.version:
        return []
    found = []
    for rule in pins.applying(pins.BOUNDS, tensorflow.version):
        requirement = Requirement(rule.requirement)
        package = packages.get(canonicalize_name(requirement.name))
        with suppress(InvalidVersion):
            if package is None or requirement.specifier.contains(version := Version(package.version), prereleases=True):
                continue
            if not rule.later or version >= Version(rule.later):
                who = f"{rule.beside} beside " if rule.beside else ""
                needs = f"{package.name} is {version}, and {who}TensorFlow {tensorflow.version} needs {requirement}"
                sentence = f"{needs}: {rule.because}"
                found.append(Outside(rule.requirement, sentence, late=bool(rule.later), beside=bool(rule.beside)))
    return found


def overridden(lines: Iterable[str], tensorflow: str, python: str) -> list[Rule]:
    """The bounds that lines of the user's are beyond, of those with which TensorFlow is still imported."""
    named: dict[str, list[Requirement]] = {}
    for _, name, requirement in holding((line.removeprefix(LIMIT) for line in lines), python):
        named.setdefault(name, []).append(requirement)
    free = [*(rule for rule in pins.BOUNDS if rule.later), *pins.COMPANIONS]
    rules = [(rule, Requirement(rule.requirement)) for rule in pins.applying(free, tensorflow)]
    return [rule for rule, bound in rules if any(_beyond(one, bound) for one in named.get(bound.name, ()))]


def _beyond(asked: Requirement, bound: Requirement) -> bool:
    """Whether its exact version, or one of its lower ends, is outside of the bound."""
    ends = (one.version.removesuffix(".*") for one in asked.specifier if one.operator in ("==", "===", "~=", ">=", ">"))
    return any(not bound.specifier.contains(end, prereleases=True) for end in ends)
