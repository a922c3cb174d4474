"""``tfkernels doctor``: what is really the matter with a kernel, and the command that mends it."""

from dataclasses import dataclass
from pathlib import Path

from tfkernels import kernelspecs
from tfkernels.kernelspecs import KernelSpec
from tfprovisioner import environments
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.kernel_provisioner import check
from tfprovisioner.probe import Findings, probe


@dataclass(frozen=True)
class Diagnosis:
    """One kernel's health. ``problem`` and ``remedy`` (a command) are ``None`` if it is well."""

    name: str
    ok: bool
    findings: Findings | None
    problem: str | None
    remedy: str | None


def examine(name: str) -> Diagnosis:
    """Imports TensorFlow in a kernel's environment and runs an op. Raises ``UnknownKernel``."""
    spec = kernelspecs.get(name)
    try:
        check(spec.spec["display_name"], spec.spec["metadata"]["tfkernels"])
        _check_launcher(spec)
        findings = probe(environments.python_in(Path(spec.spec["metadata"]["tfkernels"]["environment"])))
    except BrokenEnvironment as error:
        return Diagnosis(name, False, None, str(error), _remedy(spec))
    return Diagnosis(name, True, findings, None, None)


def _check_launcher(spec: KernelSpec) -> None:
    launcher = Path(spec.spec["argv"][1])
    if not launcher.exists():
        raise BrokenEnvironment(f"the tfkernels that registered it was at {launcher.parent} and is not there any more")


def _remedy(spec: KernelSpec) -> str:
    """An environment that looks whole is not built again by installing alone."""
    environment = environments.load(Path(spec.spec["metadata"]["tfkernels"]["environment"]))
    looks_whole = environment is not None and environment.problem() is None
    return f"{spec.install_command} --rebuild" if looks_whole else spec.install_command
