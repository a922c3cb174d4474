"""Kernels for a conversion: of a name or a release, registered or built for it."""

from collections.abc import Callable
from typing import NamedTuple

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.batch import kernel_ref
from tfprovisioner.catalogue import releases
from tfprovisioner.errors import ProvisionError
from tfprovisioner.kernelspecs import health
from tfprovisioner.requirements.request import InstallRequest


class Wanted(NamedTuple):
    """A release that a conversion needs, and packages that its environment must have beside TensorFlow's."""

    release: str
    """The name of a kernel, or of a release as for ``tfkernels install``."""
    packages: tuple[str, ...] = ()


def version(wanted: str) -> str:
    """The exact release of a kernel's name or of a release's. Raises ``UnknownRelease``."""
    registered = kernelspecs.find().get(wanted)
    if registered is not None:
        return str(registered.described["tensorflow"])
    return releases.find(wanted).version


def ready(wanted: Wanted) -> KernelSpec | None:
    """A kernel that can be used at once: the one of this name, or any of the release, or ``None``.

    A kernel that the user installed may have packages that custom objects need.
    """
    known = kernelspecs.find()
    if wanted.release in known:
        return known[wanted.release]
    if wanted.packages:
        return None
    exact = releases.find(wanted.release).version
    for spec in known.values():
        described = spec.described
        if described["tensorflow"] == exact and health.look(spec.spec["argv"], described)[1] is None:
            return spec
    return None


def is_ready(wanted: Wanted) -> bool:
    """Whether nothing has to be built. Takes milliseconds."""
    try:
        return ready(wanted) is not None or kernel_ref.ready(kernel_ref.wanted_of(_request(wanted)))
    except ProvisionError:
        return False


def get(wanted: Wanted, report: Callable[[str], None]) -> KernelSpec:
    """The kernel; its environment is built if need be, and registered for nobody. Raises ``ProvisionError``."""
    return ready(wanted) or kernel_ref.resolve(kernel_ref.wanted_of(_request(wanted)), report)


def _request(wanted: Wanted) -> InstallRequest:
    return InstallRequest(wanted.release, extras=wanted.packages)
