"""``tfkernels install`` and ``tfkernels remove``: an environment and the kernel that points to it, together."""

from dataclasses import dataclass
from pathlib import Path

from tfkernels import kernelspecs
from tfprovisioner import build, cards, catalogue, credentials, cuda, environments, kernelspec
from tfprovisioner.conda import pythons
from tfprovisioner.environments import Environment
from tfprovisioner.errors import ProvisionError
from tfprovisioner.order import Order
from tfprovisioner.progress import Reporter, reporting


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


def install(order: Order) -> Installed:
    """Builds the environment of an order if it is missing, and registers its kernel.

    Raises ``ProvisionError``; then nothing has changed.
    """
    check(order)
    with reporting() as reporter_for:
        return carry_out(order, reporter_for(order.kernel))


def check(order: Order) -> None:
    """What can be told before minutes of work: an unknown release, a taken name, a password that would be kept, no GPU.

    Raises ``ProvisionError``.
    """
    credentials.refuse(order.extras)
    release = catalogue.find(order.release)
    if order.devices is not None:
        cards.check_devices(order.devices)
    if order.gpu:
        cuda.check(release, order.backend)
        _check_cards(order)
    kernelspec.check_name(order)


def _check_cards(order: Order) -> list[str]:
    release = catalogue.find(order.release)
    return cards.check(cards.present(), cuda.version(release), release.version, order.devices)


def carry_out(order: Order, report: Reporter) -> Installed:
    """Does what ``install`` promises for an order that was checked."""
    for caution in _check_cards(order) if order.gpu else ():
        report.step(caution)
    try:
        with build.ensured(order, report) as (environment, built):
            folder, registered = kernelspec.write(order, environment)
            if built:
                _replace_older(environment)
    finally:
        report.end()
    return Installed(order.kernel, environment, folder, built, registered)


def _replace_older(environment: Environment) -> None:
    """Moves other kernels of the same recipe to the new environment, and deletes what is left of older ones."""
    for older in environments.folders(environment.recipe):
        if older != environment.folder:
            for folder in environments.kernels_of(older):
                kernelspec.repoint(folder, environment)
    environments.sweep(environment.recipe, keep=environment.folder)


def remove(name: str) -> tuple[Path, Path | None]:
    """Deletes a kernel, and its environment unless another kernel uses it.

    Returns the kernelspec's folder and the environment's, ``None`` if that stays. Raises ``UnknownKernel``.
    """
    spec = kernelspecs.get(name)
    folder = Path(spec.spec["metadata"]["tfkernels"]["environment"])
    try:
        with environments.lock(folder.name):
            shared = [path for path in environments.kernels_of(folder) if path != spec.folder]
            # The environment goes first: while its kernel is there, this can be run again.
            environment = environments.load(folder)
            ours = environment is not None or folder.parent == environments.root()
            if ours and not shared and folder.is_dir():
                environments.delete(folder)
            kernelspec.remove(spec.folder)
            if not shared and environment is not None:
                environments.sweep(environment.recipe, keep=None)
        pythons.sweep()  # its Python, if no other environment uses that
    except OSError as error:
        raise ProvisionError(
            f"Kernel {name} could not be removed completely: {error.strerror} ({error.filename}). Make that place "
            f"writable and run the same command again."
        ) from error
    return spec.folder, None if shared else folder
