"""``tfkernels doctor``: what is really the matter with a kernel, and the command that mends it."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.errors import UnknownKernel
from tfprovisioner.catalogue import releases
from tfprovisioner.conda import channels
from tfprovisioner.environments import drift, store, verify
from tfprovisioner.environments.drift import Drift
from tfprovisioner.environments.recipe import Recipe
from tfprovisioner.environments.request import EXISTING, InstallRequest, made_by
from tfprovisioner.environments.verify import Findings, gpus_seen, probe
from tfprovisioner.errors import BrokenEnvironment, UnknownRelease
from tfprovisioner.gpu import devices
from tfprovisioner.kernelspecs import health, python_shim, write


@dataclass(frozen=True)
class Diagnosis:
    """One kernel's health. ``problem`` and ``remedy`` (a command) are ``None`` if it is well."""

    name: str
    ok: bool
    findings: Findings | None
    problem: str | None
    remedy: str | None
    warnings: tuple[str, ...] = ()
    """What may matter: versions that are not the verified ones, files that were edited."""
    notes: tuple[str, ...] = ()
    """What is only told: packages that were added."""
    mended: str | None = None
    """The command that ``--fix`` ran."""
    gpus: tuple[str, ...] | None = None
    """Those that TensorFlow sees in a kernel that was installed with --gpu."""


def names() -> list[str]:
    """All that can be examined: kernels, and kernelspec folders of ours that no Jupyter can read any more."""
    return sorted({*kernelspecs.find(), *_damaged()})


def known(name: str) -> None:
    """Raises ``UnknownKernel`` if there is nothing to examine under a name."""
    if name not in _damaged():
        kernelspecs.get(name)


def examine(name: str) -> Diagnosis:
    """Imports TensorFlow in a kernel's environment and runs an op. Raises ``UnknownKernel``."""
    try:
        spec = kernelspecs.get(name)
    except UnknownKernel:
        damaged = _damaged()
        if name not in damaged:
            raise
        problem = f"{damaged[name] / 'kernel.json'} cannot be read, so no Jupyter shows the kernel"
        return Diagnosis(name, False, None, problem, _guess(name, damaged[name]))
    described = spec.spec["metadata"]["tfkernels"]
    theirs = described["backend"] == EXISTING
    environment = health.environment_of(described)
    trouble = health.problem(spec.spec["argv"], described, environment)
    if trouble is not None:
        return Diagnosis(name, False, None, trouble, _remedy(spec))
    drifted = Drift() if environment is None else drift.of(environment)
    python = Path(python_shim.behind(spec.spec["argv"], described)) if environment is None else environment.python
    mixed = _mixed(described)
    try:
        findings = probe(python, writing=not theirs)
        gpus = _gpus(spec, python)
    except BrokenEnvironment as error:
        if environment is not None:
            verify.require_import_check(environment.recipe)
        causes = (*mixed, *drifted.deleted, *drifted.changed, *drifted.missing)
        problem = "; ".join((str(error), *causes))
        return Diagnosis(name, False, None, problem, _remedy(spec))
    if drifted.deleted:
        problem = f"files of its environment were deleted: {'; '.join(drifted.deleted)}"
        return Diagnosis(name, False, None, problem, _remedy(spec))
    warnings = [*mixed, *drifted.changed, *drifted.missing, *drifted.edited]
    notes = [f"{added} was added" for added in drifted.added]
    outdated = _outdated(described, findings)
    return Diagnosis(
        name,
        True,
        findings,
        None,
        _remedy(spec) if (outdated if theirs else mixed) else None,
        tuple(warnings + outdated if theirs else warnings),
        tuple(notes if theirs else notes + outdated),
        gpus=gpus,
    )


def _mixed(described: dict[str, Any]) -> list[str]:
    """What to say of two TensorFlows in one environment: ``!pip install`` of what asks for the other name brings it."""
    found = drift.tensorflows(Path(described["environment"]))
    if not found:
        return []
    told = f"{' and '.join(found)} lie over each other, so what is imported is a mixture"
    if described["backend"] == EXISTING:
        return [f"{told}: uninstall them there, and install the one that you want again"]
    return [f"{told}: have the environment made anew, and name what brought the other with --with, not !pip install"]


def _gpus(spec: KernelSpec, python: Path) -> tuple[str, ...] | None:
    order = made_by(spec.spec["metadata"]["tfkernels"])
    if order is None or not order.gpu:
        return None
    seen = gpus_seen(python, spec.spec["env"])
    if not seen and devices.present() and spec.spec["env"].get("CUDA_VISIBLE_DEVICES") != "-1":
        names = ", ".join(card.name for card in devices.present())
        raise BrokenEnvironment(f"TensorFlow sees no GPU, though there is {names}")
    return seen


def _outdated(described: dict[str, Any], findings: Findings) -> list[str]:
    """Upgrades underneath a kernel that works all the same."""
    registered = {"TensorFlow": (described["tensorflow"], findings.tensorflow)}
    registered["Python"] = (described["python"], findings.python)
    return [f"{title} is {now} now, it was {then}" for title, (then, now) in registered.items() if not _is(now, then)]


def _is(now: str, registered: str) -> bool:
    """Whether a version is the one that was registered: of a newer line that is its first two numbers, ``2.22``.

    TensorFlow leaves the end of its own ``2.15.0.post1`` out.
    """
    line = registered.count(".") == 1 and now.startswith(f"{registered}.")
    return line or now == re.sub(r"\.post\d+$", "", registered)


def _remedy(spec: KernelSpec) -> str:
    """An environment that looks whole is not built again by installing alone."""
    described = spec.spec["metadata"]["tfkernels"]
    environment = health.environment_of(described)
    whole = environment is not None and health.problem(spec.spec["argv"], described, environment) is None
    return f"{spec.install_command} --rebuild" if whole else spec.install_command


def _damaged() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for base in kernelspecs.folders():
        for start in base.glob(f"*/{write.START}"):
            if write.damaged(start.parent):
                found.setdefault(start.parent.name, start.parent)
    return {name: folder for name, folder in found.items() if name not in kernelspecs.find()}


def _guess(name: str, folder: Path) -> str | None:
    """The command for a kernel that does not tell it any more, as far as its environment or its name does."""
    user = folder.parent == write.kernels_folder(user=True)
    try:
        named = releases.find(name).version
    except UnknownRelease:
        named = ""
    recipe = _recorded(folder)
    if recipe is None:
        return InstallRequest(name, user=user).command if named else f"tfkernels install RELEASE --name {name}"
    of_conda = recipe.backend == "conda"
    order = (
        InstallRequest(name, user=user) if named == recipe.tensorflow else InstallRequest(recipe.tensorflow, name, user)
    )
    return replace(
        order,
        extras=recipe.extras,
        python=recipe.interpreter or None,
        backend=recipe.backend if of_conda else None,
        channels=recipe.channels if of_conda and recipe.channels != channels.chosen(()) else (),
        gpu=recipe.gpu or None,
    ).command


def _recorded(kernel: Path) -> Recipe | None:
    """What the environment was made from that a kernelspec folder was last made to point to."""
    noted = (folder for folder in store.root().glob("*") if kernel in store.noted_kernels(folder))
    found = [environment for folder in noted if (environment := store.load(folder)) is not None]
    return max(found, key=lambda environment: environment.built).recipe if found else None
