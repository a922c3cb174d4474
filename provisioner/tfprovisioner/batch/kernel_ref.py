"""A kernel's name in a form that other machines understand, and the same kernel on such a machine.

A kernel that ``tfkernels install`` made travels as its request; a machine that lacks it builds it on first use, and
registers it for nobody. Any other kernel must be there under the same name. Needs no extra of the package.
"""

import functools
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.errors import UnknownKernel
from tfprovisioner.environments import build, store
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BadLock, BrokenEnvironment, ProvisionError
from tfprovisioner.kernelspecs import health, locks
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.notebook_metadata.pinned_kernel import PinnedKernel
from tfprovisioner.progress import Reporter
from tfprovisioner.requirements.request import InstallRequest, Recipe, made_by
from tfprovisioner.system import data_dir


class KernelMissing(ProvisionError):
    """This machine does not have the kernel, and cannot build it."""


@dataclass(frozen=True)
class KernelRef:
    """A kernel, as the machine that started the batch has it. Plain data, so that it travels."""

    name: str
    request: InstallRequest | None = None
    """``None`` if tfkernels did not make the kernel."""
    recipe: Recipe | None = None
    """Of its environment; ``None`` if any environment of the request will do."""
    tensorflow: str = ""
    """The release, if known."""


def wanted(name: str) -> KernelRef:
    """The registered kernel ``name``. Raises ``UnknownKernel``, ``BrokenEnvironment``."""
    spec = kernelspecs.get(name)
    described = spec.described
    environment, trouble = health.look(spec.spec["argv"], described) if described else (None, None)
    if trouble is not None:
        raise BrokenEnvironment(health.message(str(spec.spec["display_name"]), described, trouble))
    request = made_by(described)
    if request is None or environment is None:
        return KernelRef(name, tensorflow=str(described.get("tensorflow", "")))
    recipe = environment.recipe
    exact = replace(  # the newest 2.x may be another release there, and paths mean something here only
        request,
        release=recipe.tensorflow,
        name=name,
        python=recipe.python if request.python is None or request.python_path else request.python,
        conda=None,
        user=False,
        prefix=None,
        lock=request.locked.file() if request.locked is not None else None,
    )
    return KernelRef(name, exact, recipe, recipe.tensorflow)


def wanted_of(request: InstallRequest) -> KernelRef:
    """A kernel that need not be registered anywhere. Raises ``UnknownRelease``."""
    return KernelRef(request.kernel, request, tensorflow=request.catalogue_entry.version)


def resolve(wanted: KernelRef, report: Callable[[str], None]) -> KernelSpec:
    """The kernel on this machine. Builds a missing environment, once for all processes.

    ``report`` gets the steps of the build. Raises ``ProvisionError``; ``Stopped`` if the thread's programs are stopped.
    """
    found = _registered(wanted)
    if isinstance(found, KernelSpec):
        return found
    recipe = wanted.recipe
    # A recipe that gives other packages today is an error, not an approximation.
    if recipe is not None and _portable(Recipe.of(found, recipe.python)) != _portable(recipe):
        raise KernelMissing(
            f"{socket.gethostname()} cannot build the kernel {wanted.name}: it was made from other packages than this "
            f"version of tfkernels takes. Rebuild it with: tfkernels install {found.release} --rebuild"
        )
    with build.ensured(found, data_dir.batch_kernels(), _StepReporter(wanted.name, report)) as (environment, _):
        where, _ = kernelspec.write(found, environment, kernels=data_dir.batch_kernels() / environment.recipe.name)
        os.utime(where / "kernel.json")  # its last use: see kernelspecs/gc
    return KernelSpec(wanted.name, where, json.loads((where / "kernel.json").read_text(encoding="utf-8")))


def facts(spec: KernelSpec) -> dict[str, Any]:
    """``tensorflow``, ``python`` and ``lock`` of an ``Outcome``."""
    described = spec.described
    environment = store.load(Path(described["environment"])) if "environment" in described else None
    lock = environment.recipe.lock if environment else ""
    return {"tensorflow": described.get("tensorflow", ""), "python": described.get("python", ""), "lock": lock}


def pinned(spec: KernelSpec) -> PinnedKernel | None:
    """What a notebook needs to have the kernel again; ``None`` for kernels without a lock."""
    environment = store.load(Path(spec.described["environment"])) if spec.described else None
    return _pinned(environment, spec.name) if environment is not None and environment.recipe.backend == "uv" else None


@functools.lru_cache(maxsize=64)
def _pinned(environment: Environment, name: str) -> PinnedKernel | None:
    """To compress a lock and to look for changes by hand takes a second, and a batch has many runs on one kernel."""
    try:
        lock = locks.of_environment(environment, name)
        return PinnedKernel.of(lock, environment.python, locks.changes(environment))
    except (OSError, BadLock):
        return None


def ready(wanted: KernelRef) -> bool:
    """Whether ``resolve`` has nothing to build here. Takes milliseconds."""
    try:
        found = _registered(wanted)
        return isinstance(found, KernelSpec) or store.whole(found, data_dir.batch_kernels()) is not None
    except ProvisionError:
        return False


def _registered(wanted: KernelRef) -> KernelSpec | InstallRequest:
    """This machine's kernel of that name, if it is the same; else the request to build it by.

    Raises ``KernelMissing`` if there is neither.
    """
    machine, request = socket.gethostname(), wanted.request
    try:
        spec = kernelspecs.get(wanted.name)
    except UnknownKernel as error:
        if request is not None:
            return request
        raise KernelMissing(
            f"{machine} has no kernel {wanted.name}, and cannot build it: it was not made by tfkernels install. "
            f"Register a kernel of this name there, or use one that tfkernels installs."
        ) from error
    if request is None:
        there = str(spec.described.get("tensorflow", ""))
        if wanted.tensorflow and there and there != wanted.tensorflow:
            raise KernelMissing(
                f"The kernel {wanted.name} on {machine} has TensorFlow {there}, not {wanted.tensorflow}. Register the "
                f"right one there, or under another name."
            )
        return spec
    environment, trouble = health.look(spec.spec["argv"], spec.described)
    if environment is None or trouble is not None:
        return request
    same = wanted.recipe is not None and _portable(environment.recipe) == _portable(wanted.recipe)
    return spec if same else request


def _portable(recipe: Recipe) -> Recipe:
    """Without what may differ on another machine: its kind, and the paths of its Pythons."""
    return replace(recipe, platform="", interpreter="")


class _StepReporter(Reporter):
    def __init__(self, kernel: str, report: Callable[[str], None]) -> None:
        super().__init__(kernel)
        self._report = report

    def step(self, text: str) -> None:
        self._report(text)
