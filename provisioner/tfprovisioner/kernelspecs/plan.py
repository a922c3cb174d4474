"""What ``tfkernels install`` would do for one kernel. Nothing is built, registered or deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.conda import solve
from tfprovisioner.environments import build, differing, installed, planned, store
from tfprovisioner.environments.differing import Differing
from tfprovisioner.environments.planned import PlannedPackage
from tfprovisioner.kernelspecs import install, write
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.request import InstallRequest, made_by
from tfprovisioner.resolution import uv_resolution


@dataclass(frozen=True)
class Plan:
    """The result of a dry run."""

    name: str
    """Of the kernel."""
    state: str
    """``would be installed``, ``would be registered, environment already there`` or ``already there``."""
    tensorflow: str
    python: Interpreter
    backend: str
    kernelspec: Path
    environment: Path | None
    """The one that would be used; ``None`` if it would be built."""
    request: InstallRequest
    """With what earlier installs of the kernel asked for."""
    packages: tuple[PlannedPackage, ...]
    before: dict[str, str]
    """Versions by name in the kernel's present environment; empty if it has none."""
    notes: tuple[str, ...]

    @property
    def download(self) -> int:
        """Bytes to download, as far as they are known."""
        return sum(package.to_download for package in self.packages)

    @property
    def differing(self) -> tuple[Differing, ...]:
        """The packages in other versions than the verified ones."""
        if self.backend == "conda":
            return ()
        verified = uv_resolution.pinned(self.request.verified_lock or "", self.python.version)
        return differing.between(verified, {package.name: package.version for package in self.packages})

    @property
    def removed(self) -> dict[str, str]:
        """Packages of the present environment that the new one lacks."""
        names = {package.name for package in self.packages}
        return {name: version for name, version in self.before.items() if name not in names}


def resolved(request: InstallRequest, report: Reporter) -> tuple[Interpreter, list[PlannedPackage]]:
    """The Python and the packages of a new environment, from index and channels. Raises ``ProvisionError``."""
    interpreter, _ = build.chosen(request, report)
    return interpreter, planned.packages(request, interpreter, report)


def of(
    request: InstallRequest,
    report: Reporter,
    built: Callable[[InstallRequest, Reporter], tuple[Interpreter, list[PlannedPackage]]] = resolved,
) -> Plan:
    """The plan of one request; ``built`` says what a new environment would have.

    Raises ``ProvisionError`` as the installation would.
    """
    try:
        completed, former, cautions = install.check(request)
        for caution in cautions:
            report.note(caution)
        kernelspec = write.kernels_folder(request) / request.kernel
        before = versions(former)
        build.check_machine(completed)
        shared = install.of_others(completed, kernelspec)
        found = shared or (None if completed.rebuild else store.whole(completed, kernelspec))
        if found is not None:
            same = former == found.folder and made_by(write.described_in(kernelspec) or {}) == completed
            same = same or shared is not None
            interpreter, packages = Interpreter(found.python_version, found.python), _present(found.folder)
            state = "already there" if same else "would be registered, environment already there"
        else:
            interpreter, packages = built(completed, report)
            state = "would be installed"
    finally:
        report.end()
    return Plan(
        name=request.kernel,
        state=state,
        tensorflow=completed.catalogue_entry.version,
        python=interpreter,
        backend=completed.backend or "uv",
        kernelspec=kernelspec,
        environment=None if found is None else found.folder,
        request=completed,
        packages=tuple(packages),
        before=before,
        notes=tuple(report.notes),
    )


def _present(folder: Path) -> list[PlannedPackage]:
    return [PlannedPackage(name, version, "environment", cached=True) for name, version in versions(folder).items()]


def versions(folder: Path) -> dict[str, str]:
    """The packages of an environment; empty if there is none."""
    if store.load(folder) is None:
        return {}
    wheels = {package.name: package.version for package in installed.installed(folder).values()}
    return dict(sorted({**wheels, **solve.listed(folder)}.items()))
