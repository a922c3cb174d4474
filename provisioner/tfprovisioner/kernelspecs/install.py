"""``tfkernels install``, ``add`` and ``remove``: environments together with their kernels."""

import os
import sysconfig
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.errors import TFKernelsError
from tfkernels.sigint import redirected
from tfprovisioner.environments import build, differing, store
from tfprovisioner.environments.backends import LOCK
from tfprovisioner.environments.differing import Differing
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BadRequirement, BuildFailed, NoInterpreter, ProvisionError, Unusable
from tfprovisioner.existing import inspect
from tfprovisioner.gpu import cuda, devices
from tfprovisioner.kernelspecs import other_users, write
from tfprovisioner.progress import Reporter, reporting
from tfprovisioner.pythons import from_conda
from tfprovisioner.requirements import lines
from tfprovisioner.requirements.request import EXISTING, AddRequest, InstallRequest, Recipe, made_by
from tfprovisioner.resolution.conflicts.explain import Conflicts
from tfprovisioner.system import locking, redact, subprocesses

POLL_INTERVAL = 0.1  # seconds between two looks whether the user pressed Ctrl-C


@dataclass(frozen=True)
class Installed:
    """The result of an installation."""

    name: str
    environment: Environment
    kernelspec: Path
    built: bool
    """False if the environment existed already."""
    registered: bool
    """False if the kernel existed already, too."""
    extras: tuple[str, ...] = ()
    """The environment's requirements beside TensorFlow's."""
    kept: tuple[str, ...] = ()
    """Those of ``extras`` that were requested in earlier installs only."""
    choices: tuple[str, ...] = ()
    """Options of earlier installs that still apply: ``--backend conda``."""
    warnings: tuple[str, ...] = ()
    """What may not work, and what helps."""
    notes: tuple[str, ...] = ()
    """What was said while the environment was built."""
    command: str = ""
    """The command that makes the kernel again."""

    @property
    def differing(self) -> tuple[Differing, ...]:
        """The packages in other versions than the verified ones."""
        return differing.of(self.environment.folder / LOCK, self.environment.recipe)

    @property
    def state(self) -> str:
        """What was done, in the words of all commands."""
        if self.built:
            return "installed"
        return "registered, environment already there" if self.registered else "already there"


Outcome = Installed | ProvisionError | TFKernelsError
Result = TypeVar("Result")


class Interrupted(Exception):
    """The user pressed Ctrl-C. ``requests`` are those that were not carried out; nothing has changed for them."""

    def __init__(self, requests: Sequence[InstallRequest]) -> None:
        super().__init__(requests)
        self.requests = requests


def install(request: InstallRequest) -> Installed:
    """Builds the environment of a request if it is missing, and registers its kernel.

    Options that are left out keep the values of the kernel's last install. Raises ``ProvisionError``; then nothing
    has changed.
    """
    with reporting() as reporter_for:
        return _carry_out(request, reporter_for(request.kernel))


def install_all(requests: Sequence[InstallRequest], report: Callable[[InstallRequest, Outcome], None]) -> None:
    """Installs all. A failure does not stop the others. Raises ``Interrupted``."""
    for_all(requests, _carry_out, report)


def for_all(
    requests: Sequence[InstallRequest],
    work: Callable[[InstallRequest, Reporter], Result],
    report: Callable[[InstallRequest, Result | ProvisionError | TFKernelsError], None],
) -> None:
    """Does work for all, as many at a time as there are processors: one is downloaded while another is unpacked.

    ``report`` gets the outcome of each as it comes. A failure does not stop the others. An interrupt stops all; raises
    ``Interrupted`` when they have cleaned up.
    """
    pressed: list[bool] = []
    pending, futures = list(requests), dict[Future[Result], InstallRequest]()

    def ended(request: InstallRequest, outcome: Result | ProvisionError | TFKernelsError) -> None:
        report(request, outcome)
        pending.remove(request)

    # Where Python would raise it, an interrupt could lose a request between two lists, or keep the lock of a future.
    with redirected(lambda *_: pressed.append(True)), reporting() as reporter_for, _threads(len(requests)) as threads:
        try:
            for request in requests:
                try:
                    check(request)
                except (ProvisionError, TFKernelsError) as error:
                    ended(request, error)
                else:
                    future = threads.submit(lambda one: work(one, reporter_for(one.kernel)), request)
                    futures[future] = request
                _stop_if(pressed)
            running = set(futures)
            while running:
                done, running = wait(running, POLL_INTERVAL, FIRST_COMPLETED)
                for future in [one for one in futures if one in done]:
                    ended(futures[future], _outcome(future))
                _stop_if(pressed and running)
        except KeyboardInterrupt:
            subprocesses.stop()
            threads.shutdown(wait=True, cancel_futures=True)
            for future, request in futures.items():
                if request in pending and not future.cancelled() and not isinstance(future.exception(), _STOPPED):
                    ended(request, _outcome(future))
            raise Interrupted(pending) from None
        finally:
            subprocesses.resume()


_STOPPED = (subprocesses.Stopped, KeyboardInterrupt)


def _threads(requests: int) -> ThreadPoolExecutor:
    # Python 3.11 and older set these up without a lock, and each thread needs them to find uv.
    sysconfig.get_config_vars()
    return ThreadPoolExecutor(max_workers=min(requests, _processors()), thread_name_prefix="install")


def _stop_if(pressed: Collection[object]) -> None:
    if pressed:
        raise KeyboardInterrupt


def _outcome(future: "Future[Any]") -> Any:
    try:
        return future.result()
    except (ProvisionError, TFKernelsError) as error:
        return error


def _processors() -> int:
    """Those that this process may use: in containers fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check(request: InstallRequest) -> tuple[InstallRequest, Path, list[str]]:
    """Refuses, before minutes of work, unknown releases, taken names, passwords that would be stored, missing GPUs.

    Returns the request with what earlier installs of the kernel requested, the environment that the kernel points to
    until now (``.`` if there is no such kernel), and cautions. Raises ``ProvisionError``.
    """
    for line in request.extras:
        lines.checked(line)
    redact.refuse(request.extras)
    folder = write.kernels_folder(request) / request.kernel
    described = write.described_in(folder) or {}
    completed = request.completed(made_by(described))
    release, conda, cautions = completed.catalogue_entry, completed.backend == "conda", list[str]()
    if completed.as_of and conda:
        raise Unusable(
            f"--as-of {completed.as_of} cannot be used for this kernel: it has conda packages. Choose --backend uv, or "
            f"drop the day: --as-of usual"
        )
    if completed.devices is not None:
        devices.check_devices(completed.devices)
    if completed.gpu:
        cuda.check(release, conda)
        here, version = devices.present(), cuda.version(release)
        cautions = devices.check(here, version, release.version, completed.devices, wheels=not conda)
    write.check_name(request)
    former = Path(str(described.get("environment", "")))
    whole = None if completed.rebuild else store.whole(completed, folder)
    if whole is None and (completed.rebuild or of_others(completed, folder) is None):
        write.check_writable(completed)
    from_bundle = _from_bundle(request)
    if from_bundle is not None and whole is not None and whole.folder == former:  # it stays, so its packages do
        completed = replace(completed, bundle=from_bundle.bundle)
    return completed, former, cautions


def of_others(request: InstallRequest, kernelspec: Path) -> Environment | None:
    """The environment of a kernel that this user may not change, if the kernel is what the request asks for."""
    described = write.described_in(kernelspec)
    if request.rebuild or described is None or os.access(kernelspec, os.W_OK):
        return None
    environment = store.load(Path(described["environment"]))
    if environment is None or not environment.is_whole:
        return None
    recipes = (Recipe.of(request, minor) for minor in request.python_minors())
    return environment if environment.recipe in recipes else None


def relaxed(request: InstallRequest, conflicts: Conflicts) -> InstallRequest:
    """The request with its requirements loosened as ``conflicts`` propose, also those of earlier installs."""
    before = made_by(write.described_in(write.kernels_folder(request) / request.kernel) or {})
    extras = conflicts.relaxed(request.completed(before).extras)
    return replace(request, extras=extras, without=lines.lost(before.extras if before else (), extras), relax=False)


def _carry_out(request: InstallRequest, report: Reporter) -> Installed:
    """Does what ``install`` promises. Raises ``ProvisionError``."""
    try:
        completed, former, cautions = check(request)
        for caution in cautions:
            report.step(caution)
        owner = write.kernels_folder(request) / request.kernel
        shared = of_others(completed, owner)
        if shared is not None:
            return Installed(request.kernel, shared, owner, False, False, completed.extras, command=completed.command)
        with build.ensured(completed, owner, report) as (environment, built):
            folder, registered = write.write(completed, environment)
            if registered:
                store.sweep(environment.recipe)
        _delete_former(former, environment)
    except (BadRequirement, BuildFailed, NoInterpreter) as error:
        bundled = _from_bundle(request)
        if bundled is None:
            raise
        again = f"{bundled.command}{' --rebuild' * request.rebuild}"
        raise BuildFailed(
            f"{error}\nIts packages came from the bundle {bundled.bundle}. To take them from there again: {again}"
        ) from error
    finally:
        report.end()
    kept = tuple(line for line in completed.extras if line not in request.extras)
    choices = tuple(" ".join(choice) for choice in completed.choices if choice not in request.choices)
    warnings = other_users.warnings(request, environment, folder) if registered else ()
    return Installed(
        request.kernel, environment, folder, built, registered, completed.extras, kept, choices, warnings,
        tuple(report.notes), completed.command,
    )  # fmt: skip


def _from_bundle(request: InstallRequest) -> InstallRequest | None:
    """The request that a kernel was installed from a bundle by, if it is not installed from one now."""
    former = made_by(write.described_in(write.kernels_folder(request) / request.kernel) or {})
    return former if former is not None and former.bundle and request.bundle is None else None


def _delete_former(folder: Path, environment: Environment) -> None:
    """Deletes the environment that a kernel pointed to until now, if nothing else uses it."""
    former = store.load(folder)
    if former is None or former.recipe == environment.recipe:
        return
    with suppress(TimeoutError), locking.lock(former.recipe.name).acquire(timeout=0):
        store.sweep(former.recipe)


def add(
    path: Path, name: str | None = None, user: bool = False, install_ipykernel: bool = False, prefix: str | None = None
) -> Installed:
    """Registers an environment of the user's as a kernel; the environment is not changed.

    The default name is that of the environment's present kernel, else a free one like ``tf2.11``. Raises
    ``ProvisionError``.
    """
    environment, package, warnings = inspect.examine(path, install_ipykernel)
    addition = AddRequest(str(environment.folder), name or "", user, prefix)
    if name is None:
        addition = replace(addition, kernel=_free_name(environment, write.kernels_folder(addition)))
    write.check_name(addition)
    folder, registered = write.write(addition, environment, package)
    warnings = (*warnings, *other_users.warnings(addition, environment, folder))
    return Installed(addition.kernel, environment, folder, False, registered, warnings=warnings)


def _free_name(environment: Environment, folder: Path) -> str:
    label = inspect.label(environment.folder)
    registered = {spec.name: spec.described for spec in kernelspecs.every()}
    for name, described in registered.items():
        if described["backend"] == EXISTING and described["environment"] == str(environment.folder):
            return name
    line = "tf" + ".".join(environment.recipe.tensorflow.split(".")[:2])
    candidates = [line, f"{line}-{label}", *(f"{line}-{label}-{number}" for number in range(2, 100))]
    return next(name for name in candidates if name not in registered and not (folder / name).exists())


@dataclass(frozen=True)
class Removed:
    """Deleted kernelspecs and their environment; it is ``None`` if the environment stays, and ``stays`` says why."""

    kernelspecs: tuple[Path, ...]
    environment: Path | None
    stays: str = ""


def remove(name: str) -> list[Removed]:
    """Deletes a kernel in all folders of this Jupyter, and its environments unless other kernels use them.

    Environments that the user added stay. Raises ``UnknownKernel``, ``ProvisionError``.
    """
    write.registered(name)
    by_environment: dict[str, list[KernelSpec]] = {}
    for spec in kernelspecs.every():
        if spec.name == name:
            by_environment.setdefault(spec.described["environment"], []).append(spec)
    return [discard(Path(folder), specs) for folder, specs in by_environment.items()]


def discard(folder: Path, specs: list[KernelSpec]) -> Removed:
    """Deletes kernelspecs of one environment, and the environment. Raises ``ProvisionError``."""
    going = tuple(spec.folder for spec in specs)
    try:
        if any(spec.described["backend"] == EXISTING for spec in specs):
            for path in going:
                write.remove(path)
            return Removed(going, None, f"{folder} is yours and is not changed")
        with locking.lock(folder.name):
            shared = store.kernels_of(folder, besides=going)
            # The environment goes first: while its kernel is there, this can be run again.
            environment = store.load(folder)
            ours = environment is not None or os.path.realpath(folder.parent) == os.path.realpath(store.root())
            if ours and not shared and folder.is_dir():
                store.delete(folder)
            for path in going:
                write.remove(path)
            if not shared and environment is not None:
                store.sweep(environment.recipe)
        from_conda.sweep()  # its Python, if no other environment uses that
    except OSError as error:
        untouched = (folder / store.FOLDERS.record).exists() and all((path / "kernel.json").exists() for path in going)
        extent = ", and nothing was changed" if untouched else " completely"
        raise ProvisionError(
            f"Kernel {specs[0].name} could not be removed{extent}: {error.strerror} ({error.filename}). Make that "
            f"place writable and run the same command again."
        ) from error
    if not shared:
        return Removed(going, folder)
    others = ", ".join(map(str, shared))
    return Removed(going, None, f"its environment stays, because another kernel uses it: {others}")
