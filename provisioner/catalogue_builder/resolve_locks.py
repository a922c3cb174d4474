"""Resolving the lock of every release, universal over its Pythons and platforms, and its overlay for GPUs."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from packaging.version import Version

from tfprovisioner.catalogue import locks
from tfprovisioner.catalogue import pins as rules
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.gpu import cuda
from tfprovisioner.pythons import find
from tfprovisioner.resolution import uv_resolution as resolution
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system.uv import Settings


def resolve_lock(release: Release, keep: bool) -> tuple[list[str], dict[str, list[str]]]:
    """The pins of a release, and the hashes of each. Raises ``BuildFailed``.

    A patch release takes the versions of its line's lock wherever it can, and with ``keep`` those of the lock it has.
    """
    oldest = min(release.pythons, key=Version)
    options = ["--universal", "--python-version", oldest]
    if release.build_from_source:  # their setup code is asked for what they need
        options += ["--python", next((python.path for python in find.pythons(oldest)), oldest)]
    newest = catalogue.lines()[release.line]
    model = release if keep and locks.comments(release.version) else None if newest == release else newest
    preferred = locks.read(model.version) if model else ""
    settings = {
        "environments": [release.marker],
        # Every package must have a wheel for every machine that TensorFlow has one for.
        "required-environments": release.machines,
    }
    rows = rules.requirements(rules.SOURCES, release.version)
    sources = SourceBuilds(dict(row.split("==") for row in rows), oldest)
    pins, hashes = run_uv(release.requirements, release, release.overrides, options, sources, settings, preferred)
    return simplified(pins, release), hashes


def gpu_path(release: Release) -> Path:
    """The file with what the lock of a release has instead, or in addition, for GPUs."""
    return cuda.OVERLAYS / f"{release.version}.txt"


def resolve_gpu(release: Release) -> str:
    """The GPU distribution and the CUDA libraries, from metadata only: nothing of it was tried. Raises ``BuildFailed``.

    The rest is in the release's lock.
    """
    oldest = min(release.pythons, key=Version)
    # Not universal: the libraries are the same for every Python, and there is but one platform.
    options = ["--python-version", oldest, "--python-platform", "x86_64-manylinux_2_28"]
    if not any("[and-cuda]" in requirement for requirement in cuda.requirements(release)):
        options.append("--no-deps")  # all libraries are named, and TensorFlow's own requirements are in its lock
    wheels = SourceBuilds({}, oldest)
    pins, hashes = run_uv(cuda.requirements(release), release, [*release.overrides, *cuda.NEVER], options, wheels)
    names = [pin.partition(" ;")[0] for pin in pins]
    chosen = [name for name in names if name.startswith(("nvidia-", f"{release.gpu}=="))]
    return locks.joined(chosen, {name: sorted(hashes[name]) for name in chosen})


def run_uv(
    requirements: Iterable[str],
    release: Release,
    overrides: Iterable[str],
    options: Iterable[str],
    builds: SourceBuilds,
    settings: Settings | None = None,
    preferred: str = "",
) -> tuple[list[str], dict[str, list[str]]]:
    with tempfile.TemporaryDirectory() as folder:
        wanted = (requirements, release.constraints, overrides, options)
        return locks.split(resolution.resolve(*wanted, Path(folder), lambda _: None, builds, settings, preferred))


def heading_of(release: Release) -> list[str]:
    """The comments above its lock: what its versions follow from."""
    applying = rules.applying((*rules.BOUNDS, *rules.SOURCES, *rules.INSTEAD), release.version)
    return [
        f"TensorFlow {release.version}, Python {', '.join(release.pythons)}; by `make catalogue`",
        f"with {', '.join(rules.requirements(rules.WITH, release.version))}; because of",
        *(f"{rule.requirement}: {rule.because}" for rule in applying),
    ]


def simplified(pins: Iterable[str], release: Release) -> list[str]:
    """The same for the machines that a release's lock is for, with markers that a person can read.

    uv repeats in every line which machines these are, and splits by patch releases of Python too; of those the last of
    each minor version counts here.
    """
    chosen: dict[str, dict[str, list[str]]] = {}
    text = "\n".join(pins)
    for platform in release.platforms:
        for python in release.pythons:
            for pin in locks.chosen(text, python, platform):
                chosen.setdefault(pin, {}).setdefault(platform, []).append(python)
    return [
        f"{pin} ; {marker}" if (marker := _marker(platforms, release)) else pin
        for pin, platforms in sorted(chosen.items())
    ]


def _marker(platforms: dict[str, list[str]], release: Release) -> str:
    """A marker that holds on these Pythons of these platforms; empty if these are all."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for platform, pythons in platforms.items():
        groups.setdefault(tuple(pythons), []).append(platform)
    clauses = []
    for of, where in groups.items():
        versions = [f"python_version == '{python}'" for python in sorted(of, key=Version)]
        machines = [catalogue.machine_marker(name) for name in where]
        both = ((versions, release.pythons), (machines, release.platforms))
        parts = [part for part, every in both if len(part) < len(every)]
        clauses.append(" and ".join(f"({' or '.join(part)})" if len(part) > 1 else part[0] for part in parts))
    return " or ".join(clauses)
