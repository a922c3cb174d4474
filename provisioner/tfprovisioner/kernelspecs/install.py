"""``tfkernels install``, ``add`` and ``remove``: an environment and the kernels that point to it, together."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.catalogue import releases
from tfprovisioner.environments import build, requirements, store
from tfprovisioner.environments.request import EXISTING, AddRequest, InstallRequest, made_by
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import ProvisionError
from tfprovisioner.existing import inspect
from tfprovisioner.existing.inspect import Existing
from tfprovisioner.gpu import cuda
from tfprovisioner.gpu import devices as cards
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.progress import Reporter, reporting
from tfprovisioner.pythons import from_conda
from tfprovisioner.system import redact


@dataclass(frozen=True)
class Installed:
    """What an installation did."""

    name: str
    environment: Environment
    kernelspec: Path
    built: bool
    """False if the environment was there already."""
    registered: bool
    """False if the kernel was there already, too."""
    extras: tuple[str, ...] = ()
    """The requirements that the environment has beside TensorFlow's."""
    kept: tuple[str, ...] = ()
    """Those of them that were not asked for now: the kernel had them already."""
    choices: tuple[str, ...] = ()
    """What else was not asked for now, and is as the kernel was made: ``--backend conda``."""


def install(order: InstallRequest) -> Installed:
    """Builds the environment of an order if it is missing, and registers its kernel.

    A kernel of that name stays as it was made, but for what is asked for now. Raises ``ProvisionError``; then nothing
    has changed.
    """
    check(order)
    with reporting() as reporter_for:
        return carry_out(order, reporter_for(order.kernel))


def check(order: InstallRequest) -> None:
    """What can be told before minutes of work: an unknown release, a taken name, a password that would be kept, no GPU.

    Raises ``ProvisionError``.
    """
    for line in order.extras:
        requirements.checked(line)
    redact.refuse(order.extras)
    releases.find(order.release)
    kernelspec.check_name(order)
    _check_gpus(order.completed(made_by(_registered(order))))


def _check_gpus(order: InstallRequest) -> list[str]:
    """What to tell of the GPUs that an order is for. Raises ``NoGPU``."""
    if order.devices is not None:
        cards.check_devices(order.devices)
    if not order.gpu:
        return []
    release = releases.find(order.release)
    conda = order.backend == "conda"
    cuda.check(release, conda)
    return cards.check(cards.present(), cuda.version(release), release.version, order.devices, wheels=not conda)


def carry_out(order: InstallRequest, report: Reporter) -> Installed:
    """Does what ``install`` promises for an order that was checked."""
    before = _registered(order)
    completed = order.completed(made_by(before))
    for caution in _check_gpus(completed):
        report.step(caution)
    try:
        with build.ensured(completed, report) as (environment, built):
            folder, registered = kernelspec.write(completed, environment)
            if built:
                _replace_older(environment)
        _leave(before, environment)
    finally:
        report.end()
    kept = tuple(line for line in completed.extras if line not in order.extras)
    choices = tuple(" ".join(choice) for choice in completed.choices if choice not in order.choices)
    return Installed(order.kernel, environment, folder, built, registered, completed.extras, kept, choices)


def _registered(order: InstallRequest) -> dict[str, Any]:
    """What the kernel that an order is for says of itself, if it is there already."""
    return kernelspec.described_in(kernelspec.kernels_folder(order.user) / order.kernel) or {}


def _leave(before: dict[str, Any], environment: Environment) -> None:
    """Deletes the environment that a kernel pointed to until now, if nothing else needs it."""
    former = store.load(Path(str(before.get("environment", ""))))
    if former is None or former.recipe == environment.recipe:
        return
    with suppress(Timeout), store.lock(former.recipe.name).acquire(timeout=0):
        store.sweep(former.recipe, keep=None)


def add(path: Path, name: str | None = None, user: bool = False, install_ipykernel: bool = False) -> Installed:
    """Registers an environment that the user has; nothing is written to it.

    Without a name it is the one that a kernel of this environment has already, or a free one like ``tf2.11``. Raises
    ``ProvisionError``.
    """
    found = inspect.examine(path, install_ipykernel)
    addition = AddRequest(str(found.folder), name or _free_name(found, user), user)
    kernelspec.check_name(addition)
    environment = found.environment()
    folder, registered = kernelspec.write(addition, environment, found)
    return Installed(addition.kernel, environment, folder, False, registered)


def _free_name(found: Existing, user: bool) -> str:
    folder = kernelspec.kernels_folder(user)
    registered = {spec.name: spec.spec["metadata"]["tfkernels"] for spec in kernelspecs.every()}
    for name, described in registered.items():
        if described["backend"] == EXISTING and described["environment"] == str(found.folder):
            return name
    line = "tf" + ".".join(found.tensorflow.split(".")[:2])
    candidates = [line, f"{line}-{found.label}", *(f"{line}-{found.label}-{number}" for number in range(2, 100))]
    return next(name for name in candidates if name not in registered and not (folder / name).exists())


def _replace_older(environment: Environment) -> None:
    """Moves other kernels of the same recipe to the new environment, and deletes what is left of older ones."""
    for older in store.folders(environment.recipe):
        if older != environment.folder:
            for folder in store.kernels_of(older):
                kernelspec.repoint(folder, environment)
    store.sweep(environment.recipe, keep=environment.folder)


@dataclass(frozen=True)
class Removed:
    """Kernelspecs that are gone. ``environment`` is ``None`` if theirs stays, because of what ``stays`` says."""

    kernelspecs: tuple[Path, ...]
    environment: Path | None
    stays: str = ""


def remove(name: str) -> list[Removed]:
    """Deletes a kernel wherever this Jupyter sees it, and its environments unless other kernels use them.

    An environment that the user added stays. Raises ``UnknownKernel``.
    """
    kernelspecs.get(name)
    by_environment: dict[Path, list[KernelSpec]] = {}
    for spec in kernelspecs.every():
        if spec.name == name:
            folder = Path(spec.spec["metadata"]["tfkernels"]["environment"])
            by_environment.setdefault(folder, []).append(spec)
    return [discard(folder, specs) for folder, specs in by_environment.items()]


def discard(folder: Path, specs: list[KernelSpec]) -> Removed:
    """Deletes kernelspecs of one environment, and the environment, unless it is the user's or others point to it.

    Raises ``ProvisionError``.
    """
    going = tuple(spec.folder for spec in specs)
    try:
        if any(spec.spec["metadata"]["tfkernels"]["backend"] == EXISTING for spec in specs):
            for path in going:
                kernelspec.remove(path)
            return Removed(going, None, f"{folder} is yours and stays as it is")
        with store.lock(folder.name):
            shared = [path for path in store.kernels_of(folder) if path not in going]
            # The environment goes first: while its kernel is there, this can be run again.
            environment = store.load(folder)
            ours = environment is not None or folder.parent == store.root()
            if ours and not shared and folder.is_dir():
                store.delete(folder)
            for path in going:
                kernelspec.remove(path)
            if not shared and environment is not None:
                store.sweep(environment.recipe, keep=None)
        from_conda.sweep()  # its Python, if no other environment uses that
    except OSError as error:
        raise ProvisionError(
            f"Kernel {specs[0].name} could not be removed completely: {error.strerror} ({error.filename}). Make that "
            f"place writable and run the same command again."
        ) from error
    if shared:
        return Removed(going, None, f"its environment stays, another kernel uses it: {', '.join(map(str, shared))}")
    return Removed(going, folder)
