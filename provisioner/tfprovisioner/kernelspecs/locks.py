"""The lock of a registered kernel, and the name of a kernel that is made from a lock."""

import re

from tfkernels.client import kernelspecs
from tfkernels.errors import TFKernelsError
from tfprovisioner.catalogue import releases
from tfprovisioner.environments import drift
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BadLock, BrokenEnvironment, ProvisionError
from tfprovisioner.kernelspecs import health, write
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.requirements.request import EXISTING, made_by

_PYTHONS = frozenset({"python", "python2", "python3"})
"""Jupyter's own names of kernels."""

_LONGEST = 60
"""Letters of a name that more are added to."""


def of_kernel(name: str) -> tuple[Lock, Environment]:
    """The lock of a kernel's environment.

    Raises ``UnknownKernel``, ``BadKernelName``, ``BadLock``, ``BrokenEnvironment``.
    """
    spec = write.registered(name)
    if spec.described["backend"] == EXISTING:
        raise BadLock(
            f"The kernel {name} has no lock: you made its environment. List its packages with: uv pip freeze --python "
            f"{spec.described['environment']}"
        )
    environment, problem = health.look(spec.spec["argv"], spec.described)
    if environment is None or problem is not None:
        raise BrokenEnvironment(f"The kernel {name} is broken: {problem}. Rebuild it with: {spec.install_command}")
    if environment.recipe.backend != "uv":
        raise BadLock(
            f"The kernel {name} has no lock: it has conda packages, and a lock has wheels only. Make a kernel of "
            f"wheels with: tfkernels install {environment.recipe.tensorflow} --name NAME"
        )
    try:
        return of_environment(environment, name), environment
    except OSError as error:
        raise BrokenEnvironment(
            f"The lock of the kernel {name} cannot be read: {error.strerror} ({error.filename}). Rebuild it with: "
            f"{spec.install_command} --rebuild"
        ) from error


def of_environment(environment: Environment, name: str) -> Lock:
    """The lock that an environment of wheels was built with. Raises ``OSError``, ``BadLock``."""
    text = (environment.folder / LOCK).read_text(encoding="utf-8")
    found = Lock.of(text, environment.recipe.python, releases.platform_name(), name)
    package = next((pin.partition(" @ ")[0] for pin in found.pins if " @ " in pin), None)
    if package is not None:
        raise BadLock(
            f"The kernel {name} has no lock: its package {package} is from an address, and a lock has packages of an "
            f"index only. List its packages with: uv pip freeze --python {environment.folder}"
        )
    return found


def changes(environment: Environment) -> tuple[str, ...]:
    """How an environment differs from its lock, because a user changed it; a phrase for each package."""
    found = drift.of(environment)
    return (*(f"{added} was added" for added in found.added), *found.changed, *found.missing)


def kernel_name(lock: Lock, wanted: str = "") -> tuple[str, bool]:
    """The name for a kernel of a lock, and whether such a kernel is registered under it.

    It is ``wanted``, or that of the kernel that the lock is from, unless a kernel with other packages has that name.
    """
    usual = releases.kernel_name(lock.release)
    first = wanted or lock.kernel
    first = first if usable(first) else usual
    other = f"{first}-{lock.fingerprint[:6]}"
    taken = {*kernelspecs.python_kernels(), *kernelspecs.find()}
    # Packages may have been added to the kernel with the digits, too.
    names = [first, other, *(f"{other}-{number}" for number in range(2, 100))]
    known = next((name for name in names if name in taken and _has(name, lock)), None)
    return known or next(name for name in names if name not in taken), known is not None


def usable(name: str) -> bool:
    """Whether a kernel can have a name that a file says."""
    return bool(re.fullmatch(write.NAME, name)) and len(name) <= _LONGEST and name not in _PYTHONS


def _has(name: str, lock: Lock) -> bool:
    """Whether a kernel is, or was, made of the packages of a lock."""
    try:
        return of_kernel(name)[0].fingerprint == lock.fingerprint
    except BrokenEnvironment:
        made = made_by(write.registered(name).described)
        if made is None or made.extras or made.as_of or made.backend == "conda":
            return False
        release, python = made.catalogue_entry.version, made.python_minors()[0]
        before = made.locked or lock_file.of_release(release, python, lock.platform, bool(made.gpu))
        return before is not None and before.fingerprint == lock.fingerprint
    except (ProvisionError, TFKernelsError):
        return False
