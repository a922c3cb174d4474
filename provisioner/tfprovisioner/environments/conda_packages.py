"""The backend ``conda``: conda packages; or conda's Python and wheels, for releases that the channels lack."""

from pathlib import Path

from packaging.requirements import Requirement

from tfprovisioner.catalogue import pins, releases
from tfprovisioner.catalogue.pins import Rule
from tfprovisioner.conda import channels, solve
from tfprovisioner.conda.channels import PackageRequest, Subject
from tfprovisioner.environments import wheels
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.environments.requirements import divided, holding
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.gpu import cuda
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter

_NAMES = {"matplotlib": "matplotlib-base"}
"""Conda's other name for the same package."""


def create(request: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
    """Makes the environment in ``folder``. Raises ``BuildFailed``."""
    release, version = request.catalogue_entry, interpreter.version
    taken = channels.chosen(request.channels)
    python = f"python={version}"
    if request.gpu:  # TensorFlow's own builds, and conda's CUDA where there are no wheels of it
        solve.fill(folder, PackageRequest(taken, (python, *cuda.by_conda(release))), request.conda, report)
        return wheels.install(request, interpreter, folder, report)
    # In the newest versions that go together: a channel's Python 3.7 ends with other ones than the wheels for it.
    asked, limits = divided(sorted(request.extras))
    beside = (requirement.name for requirement in _requirements(pins.WITH, release.version, version))
    names = (_NAMES.get(name, name) for name in beside)
    specs = (python, f"tensorflow=={release.version}", *names, *_specs(asked, version))
    subject = Subject("tensorflow", release.version, interpreter.minor)
    try:
        bounds = tuple(map(str, _requirements(pins.BOUNDS, release.version, version)))
        package_request = PackageRequest(taken, specs, bounds, subject, _specs(limits, version))
        solve.fill(folder, package_request, request.conda, report)
    except PackageNotInChannels as missing:
        if releases.platform_name() not in release.platforms:
            raise BuildFailed(
                f"{missing}; nor has TensorFlow {release.version} wheels for {releases.platform_name()}. Nothing was "
                f"changed. Name a channel that has it with --channel, or take another release: tfkernels releases"
            ) from missing
        report.note(f"{missing}. It is made of conda's Python and wheels instead")
        solve.fill(folder, PackageRequest(taken, (python,)), request.conda, report)
        return wheels.install(request, interpreter, folder, report)
    return True  # or not: its programs do not say


def _requirements(table: tuple[Rule, ...], release: str, python: str) -> list[Requirement]:
    """The requirements of a table for a release on its Python."""
    lines = (rule.requirement for rule in pins.applying(table, release))
    return [requirement for _, _, requirement in holding(lines, python)]


def _specs(lines: list[str], python: str) -> tuple[str, ...]:
    """Pip's requirements in conda's words, without those for other Pythons. Raises ``BuildFailed``."""
    specs = []
    for line, _, requirement in holding(lines, python):
        if requirement.url or requirement.extras:
            raise BuildFailed(f"{line!r} is more than a name and versions, which is all that conda understands.")
        specs.append(f"{requirement.name}{requirement.specifier}".lower())
    return tuple(specs)
