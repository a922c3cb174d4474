"""What a bundle gets: the kernels with all their packages, resolved for its platform, and tfkernels itself."""

import hashlib
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement

import tfkernels
from tfprovisioner.bundles import own_wheel, package_files
from tfprovisioner.bundles.contents import LOCKS, WHEELS, Kernel
from tfprovisioner.bundles.package_files import PackageFile
from tfprovisioner.bundles.platforms import Platform
from tfprovisioner.catalogue import locks, releases
from tfprovisioner.errors import BadRequirement, NoWheels, Unusable
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.lines import divided, holding, name_of, without_hashes
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import resolve, source_builds
from tfprovisioner.resolution.resolve import OtherMachine
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed

_LEAST_OWN = (3, 10)


@dataclass(frozen=True)
class Plan:
    """Everything that a bundle gets, before it is fetched. ``own`` are the files of tfkernels itself.

    ``spare`` are those for the Python that makes the bundle, ``spare_python``: they are needed only if the bundle gets
    none of ``own_pythons``.
    """

    platform: Platform
    kernels: tuple[Kernel, ...]
    files: tuple[PackageFile, ...]
    own_pythons: tuple[str, ...]
    own_requirements: tuple[str, ...]
    own: tuple[PackageFile, ...]
    spare_python: str | None = None
    spare: tuple[PackageFile, ...] = ()

    @property
    def packages(self) -> tuple[PackageFile, ...]:
        """All files of packages, each once."""
        return tuple({file.name: file for file in (*self.files, *self.own)}.values())

    def for_pythons(self, brought: Collection[str]) -> "Plan":
        """The plan when it is known which minor versions of Python are in the bundle."""
        if self.spare_python is None or set(self.own_pythons) & set(brought):
            return replace(self, spare_python=None, spare=())
        pythons = tuple(sorted({*self.own_pythons, self.spare_python}, key=releases.order_of))
        return replace(self, own_pythons=pythons, own=(*self.own, *self.spare), spare_python=None, spare=())

    @property
    def minors(self) -> tuple[str, ...]:
        """The Pythons that its kernels need."""
        return tuple(sorted({kernel.python for kernel in self.kernels}, key=releases.order_of))


def plan(
    requests: Sequence[InstallRequest],
    platform: Platform,
    own_pythons: Sequence[str],
    also: Sequence[str],
    folder: Path,
    report: Reporter,
    brought: bool | None = None,
) -> Plan:
    """Resolves everything for a platform. ``folder`` gets the wheel of tfkernels itself. Raises ``ProvisionError``.

    ``brought``: with Pythons; ``None``: with those that can be fetched.
    """
    kernels, files = [], []
    for request in requests:
        kernel, needed = _kernel(request, platform, folder, report)
        kernels.append(kernel)
        files += needed
    report.step("resolving tfkernels itself")
    wheel = own_wheel.make(folder, report.uv_says)
    chosen, spare_python = tuple(own_pythons), None
    if not chosen:
        chosen, spare_python = pythons_of_tfkernels(kernels, brought)
    own_lines, others = _divided(also)
    extras = sorted({extra for line in own_lines for extra in Requirement(line).extras})
    bracket = f"[{','.join(extras)}]" if extras else ""
    wanted = [f"tfkernels{bracket} @ {wheel.as_uri()}", *others]

    def files_for(*pythons: str) -> tuple[PackageFile, ...]:
        return tuple(file for one in pythons for file in package_files.of(wanted, one, platform, report.uv_says))

    spare = () if spare_python is None else files_for(spare_python)
    installed = (f"tfkernels{bracket}=={tfkernels.__version__}", *others)
    own = files_for(*chosen)
    return Plan(platform, tuple(kernels), tuple(files), chosen, installed, own, spare_python, spare)


def _divided(also: Sequence[str]) -> tuple[list[str], list[str]]:
    """The lines for tfkernels itself, ``tfkernels[batch]``, and the others."""
    return [line for line in also if name_of(line) == "tfkernels"], [
        line for line in also if name_of(line) != "tfkernels"
    ]


def pythons_of_tfkernels(kernels: Sequence[Kernel], brought: bool | None) -> tuple[tuple[str, ...], str | None]:
    """The Pythons of the kernels that tfkernels itself runs on, and the one that runs it here.

    The latter is apart if the bundle gets one of the others: the other machine then needs no Python of its own.
    """
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    fitting = {kernel.python for kernel in kernels if releases.order_of(kernel.python) >= _LEAST_OWN}
    apart = brought is not False and bool(fitting) and here not in fitting
    return tuple(sorted(fitting if apart else {here, *fitting}, key=releases.order_of)), here if apart else None


def _kernel(
    request: InstallRequest, platform: Platform, folder: Path, report: Reporter
) -> tuple[Kernel, list[PackageFile]]:
    release = request.catalogue_entry
    if request.python is not None and re.fullmatch(r"3\.\d+", request.python) is None:
        raise Unusable(
            f"--python {request.python} cannot be chosen: a bundle gets the newest Python of a minor version. Name "
            f"that, such as --python 3.10."
        )
    if platform.name not in release.platforms:
        raise NoWheels(
            f"TensorFlow {release.version} has no wheels for {platform.name}, only for "
            f"{', '.join(release.platforms)}. Choose another release: tfkernels releases"
        )
    verified = request.verified_lock
    if not release.known:
        raise Unusable(
            f"TensorFlow {release.version} is newer than this tfkernels, which has no tested packages for it. Choose "
            f"a release that `tfkernels releases` shows."
        )
    (minor, *_) = request.python_minors()
    report.step(f"resolving TensorFlow {release.version} for Python {minor} on {platform.name}")
    addresses = [line for line, _, one in holding(divided(request.extras)[0], minor) if one.url]
    if addresses:
        raise BadRequirement(
            f"{without_hashes(addresses[0])!r} has an address, which the other machine cannot reach. Put the wheel "
            f"into a folder, name that with --find-links, and require the package by its name."
        )
    machine = OtherMachine(platform.name, ("--python-version", uv.newest_of(minor), "--python-platform", platform.uv))
    lock = resolve.lock(request, Interpreter(minor, None, "uv"), Path(sys.executable), folder, report, machine=machine)
    pins, hashes = locks.chosen(lock, minor, platform.name), locks.split(lock)[1]
    allowed = {digest for pin in pins for digest in hashes[pin]}
    sources = [name_of(row) for row in source_builds.known(release, pins, minor)]
    sources = [name for name in sources if name in map(name_of, pins)]
    try:
        needed = package_files.of(pins, minor, platform, report.uv_says, ["--no-deps"], allowed, sources)
    except UvFailed as error:
        if re.search(uv.NO_WHEEL, " ".join(error.output.split())) is None:
            raise
        raise BadRequirement(
            f"A package has no wheel for Python {minor} on {platform.name}, and a bundle has wheels only. Build one "
            f"there (pip wheel PACKAGE), and name its folder with --find-links. uv reported:\n{error.output}"
        ) from error
    if sources and "wheel" not in map(name_of, pins):  # what builds them wants it
        needed += package_files.of(["wheel"], minor, platform, report.uv_says, ["--no-deps"])
    files = [f"{WHEELS}/{file.name}" for file in needed]
    name, digest = "", hashlib.sha256((verified or "").encode()).hexdigest()
    if lock != verified:
        name, digest = f"{LOCKS}/{request.kernel}.txt", ""
        (folder / LOCKS).mkdir(exist_ok=True)
        (folder / name).write_text(Lock.of(lock, minor, platform.name, request.kernel).file(), encoding="utf-8")
        files.append(name)
    kernel = Kernel(request.release, release.version, minor, digest, name, request.extras, tuple(files))
    return kernel, needed
