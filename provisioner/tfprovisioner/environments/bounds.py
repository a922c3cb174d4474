"""The catalogue's bounds, applied to any environment: packages that are known to break its TensorFlow."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tfprovisioner.catalogue import pins
from tfprovisioner.environments import installed


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
