"""``tfkernels install`` and ``tfkernels remove``: an environment and the kernel that points to it, together."""

from dataclasses import dataclass
from pathlib import Path

from tfkernels import kernelspecs
from tfprovisioner import build, catalogue, environments, kernelspec
from tfprovisioner.environments import Environment
from tfprovisioner.errors import ProvisionError
from tfprovisioner.progress import reporting


@dataclass(frozen=True)
class Installed:
    """What an installation did."""

    name: str
    environment: Environment
    kernelspec: Path
    built: bool
    """False if the environment was there already."""


def install(request: str, name: str | None = None, user: bool = False, rebuild: bool = False) -> Installed:
    """Builds the environment of a release if it is missing, and registers its kernel.

    Raises ``ProvisionError``; then nothing has changed.
    """
    release = catalogue.find(request)
    kernel = name or catalogue.kernel_name(request)
    kernelspec.check_name(kernel, user)  # before minutes of work
    command = " ".join(
        ["tfkernels install", request, *([f"--name {name}"] if name else []), *(["--user"] if user else [])]
    )
    with reporting(kernel) as report, build.ensured(release, report, rebuild) as (environment, built):
        folder = kernelspec.write(kernel, environment, command, user)
        if built:
            _replace_older(environment)
    return Installed(kernel, environment, folder, built)


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
        kernelspec.remove(spec.folder)
        environment = environments.load(folder)
        if environment is None:  # already broken, or gone
            if folder.is_dir() and folder.parent == environments.root():
                environments.delete(folder)
            return spec.folder, folder
        with environments.lock(environment.recipe):
            if environments.kernels_of(folder):
                return spec.folder, None
            environments.delete(folder)
            environments.sweep(environment.recipe, keep=None)
    except OSError as error:
        raise ProvisionError(
            f"Kernel {name} could not be removed completely: {error.strerror} ({error.filename}). Make that place "
            f"writable and run the same command again."
        ) from error
    return spec.folder, folder
