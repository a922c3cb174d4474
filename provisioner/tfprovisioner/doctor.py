"""``tfkernels doctor``: what is really the matter with a kernel, and the command that mends it."""

from dataclasses import dataclass
from pathlib import Path

from tfkernels import kernelspecs
from tfkernels.kernelspecs import KernelSpec
from tfprovisioner import cards, environments
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.kernel_provisioner import check
from tfprovisioner.probe import Findings, gpus_seen, probe


@dataclass(frozen=True)
class Diagnosis:
    """One kernel's health. ``problem`` and ``remedy`` (a command) are ``None`` if it is well."""

    name: str
    ok: bool
    findings: Findings | None
    problem: str | None
    remedy: str | None
    gpus: tuple[str, ...] | None = None
    """Those that TensorFlow sees in a kernel that was installed with --gpu."""


def examine(name: str) -> Diagnosis:
    """Imports TensorFlow in a kernel's environment and runs an op. Raises ``UnknownKernel``."""
    spec = kernelspecs.get(name)
    try:
        check(spec.spec["display_name"], spec.spec["metadata"]["tfkernels"])
        _check_launcher(spec)
        python = environments.python_in(Path(spec.spec["metadata"]["tfkernels"]["environment"]))
        findings = probe(python)
        gpus = _gpus(spec, python)
    except BrokenEnvironment as error:
        return Diagnosis(name, False, None, str(error), _remedy(spec))
    return Diagnosis(name, True, findings, None, None, gpus)


def _gpus(spec: KernelSpec, python: Path) -> tuple[str, ...] | None:
    if not spec.spec["metadata"]["tfkernels"].get("gpu"):
        return None
    seen = gpus_seen(python, spec.spec["env"])
    if not seen and cards.present() and spec.spec["env"].get("CUDA_VISIBLE_DEVICES") != "-1":
        names = ", ".join(card.name for card in cards.present())
        raise BrokenEnvironment(f"TensorFlow sees no GPU, though there is {names}")
    return seen


def _check_launcher(spec: KernelSpec) -> None:
    launcher = Path(spec.spec["argv"][1])
    if not launcher.exists():
        raise BrokenEnvironment(f"the tfkernels that registered it was at {launcher.parent} and is not there any more")


def _remedy(spec: KernelSpec) -> str:
    """An environment that looks whole is not built again by installing alone."""
    environment = environments.load(Path(spec.spec["metadata"]["tfkernels"]["environment"]))
    looks_whole = environment is not None and environment.problem() is None
    return f"{spec.install_command} --rebuild" if looks_whole else spec.install_command
