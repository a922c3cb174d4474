"""Resolving the lock of every release, universal over its Pythons and platforms."""

import re
import tempfile
from collections import Counter
from pathlib import Path

from packaging.version import Version

from tfprovisioner import catalogue, locks, resolution, rules, survey
from tfprovisioner.catalogue import Release


def resolved(release: Release, keep: bool) -> tuple[list[str], dict[str, list[str]]]:
    """The pins of a release, and the hashes of each. Raises ``BuildFailed``.

    A patch release takes the versions of its line's lock wherever it can, and with ``keep`` those of the lock it has.
    """
    oldest = min(release.pythons, key=Version)
    options = ["--universal", "--python-version", oldest, *resolution.only_wheels(release)]
    if release.build_from_source:  # their setup code is asked for what they need
        interpreter = survey.best(oldest)
        options += ["--python", interpreter.path if interpreter else oldest]
    newest = catalogue.lines()[release.line]
    model = release if keep and locks.comments(release.version) else None if newest == release else newest
    preferred = locks.read(model.version) if model else ""
    with tempfile.TemporaryDirectory() as folder:
        text = resolution.resolve(
            release.requirements,
            release.constraints,
            release.overrides,
            options,
            Path(folder),
            lambda _: None,
            settings=[f'environments = ["{release.marker}"]'],
            preferred=preferred,
        )
    pins, hashes = locks.split(text)
    return _simplified(pins, release), hashes


def heading(release: Release) -> list[str]:
    """The comments above its lock: what its versions follow from."""
    applying = rules.applying((*rules.BOUNDS, *rules.SOURCES, *rules.INSTEAD), release.rule_version)
    return [
        f"TensorFlow {release.version}, Python {', '.join(release.pythons)}; by `make catalogue`, because of",
        *(f"{rule.requirement}: {rule.because}" for rule in applying),
    ]


def _simplified(pins: list[str], release: Release) -> list[str]:
    """The same for the machines that the lock is for, without repeating in every line which ones these are."""
    pins = [_without_implementation(pin) for pin in pins]
    machines = Counter(
        match[1] for pin in pins if (match := re.search(r" implementation_name == 'cpython'( and .*)$", pin))
    )
    everywhere = machines.most_common(1)[0][0]
    newest = max(Version(python) for python in release.pythons)
    known = [
        everywhere,
        "implementation_name == 'cpython'",
        f"python_full_version < '{newest.major}.{newest.minor + 1}'",
    ]
    simplified = []
    for pin in pins:
        requirement, _, marker = pin.partition(" ; ")
        for part in known:
            marker = marker.replace(part, "")
        marker = re.sub(
            r"^and | and$|^and$", "", re.sub(r"( and)+(?= and( |$))", "", re.sub(r"\s+", " ", marker)).strip()
        )
        simplified.append(f"{requirement} ; {marker}" if marker else requirement)
    return simplified


def _without_implementation(pin: str) -> str:
    """Only CPython is meant, so what holds for all but PyPy holds always."""
    pin = re.sub(r"\(platform_python_implementation != 'PyPy' and (sys_platform == '\w+')\)", r"\1", pin)
    return pin.replace(" and platform_python_implementation != 'PyPy'", "")
