"""Which kernel a name means, said so that another machine can have the same one, and having it there.

What ``tfkernels install`` made travels as its order, and is built on first use where it is missing; nothing is
registered for the user of that machine. A kernel that somebody else made has to be there under the same name.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tfkernels.client import kernelspecs
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.errors import UnknownKernel
from tfprovisioner.catalogue import releases
from tfprovisioner.environments import build, plan
from tfprovisioner.environments.recipe import Recipe, recipe_for
from tfprovisioner.environments.request import InstallRequest, made_by
from tfprovisioner.errors import BrokenEnvironment, ProvisionError
from tfprovisioner.kernelspecs import health
from tfprovisioner.kernelspecs import write as kernelspec
from tfprovisioner.progress import Reporter
from tfprovisioner.system.data_dir import home


class KernelMissing(ProvisionError):
    """A machine that is to run something does not have the kernel, and cannot make it."""


@dataclass(frozen=True)
class KernelRef:
    """What a kernel's name means on the machine that a batch is started on. Plain data, so that it travels."""

    name: str
    order: Mapping[str, Any] | None = None
    """What to make the kernel from; ``None`` if that is not for tfkernels to do."""
    recipe: Mapping[str, Any] | None = None
    """Of the environment that it has there; ``None`` if any that the order gives will do."""
    tensorflow: str = ""
    """The release, as far as it is known."""


def folder() -> Path:
    """Where the kernelspecs are that no Jupyter sees."""
    return home() / "batch"


def wanted(name: str) -> KernelRef:
    """What a registered kernel's name means. Raises ``UnknownKernel``, ``BrokenEnvironment``."""
    spec = kernelspecs.get(name)
    described = _described(spec)
    trouble = health.problem(spec.spec["argv"], described, health.environment_of(described)) if described else None
    if trouble is not None:
        raise BrokenEnvironment(health.told(str(spec.spec["display_name"]), described, trouble))
    order, environment = made_by(described), health.environment_of(described)
    if order is None or environment is None:
        return KernelRef(name, tensorflow=str(described.get("tensorflow", "")))
    # The newest 2.x there may be another release; a path means something here only.
    exact = replace(
        order,
        release=environment.recipe.tensorflow,
        name=name,
        python=environment.recipe.python if order.python is None or order.python_path else order.python,
        conda=None,
        user=False,
    )
    return KernelRef(name, exact.to_json(), asdict(environment.recipe), environment.recipe.tensorflow)


def wanted_of(order: InstallRequest) -> KernelRef:
    """A kernel that need not be registered anywhere. Raises ``UnknownRelease``."""
    return KernelRef(order.kernel, order.to_json(), tensorflow=releases.find(order.release).version)


def resolve(wanted: KernelRef, report: Callable[[str], None]) -> KernelSpec:
    """The wanted kernel on this machine; its environment is built if it is missing, once, whoever else wants it.

    ``report`` is told the steps of that. Raises ``ProvisionError``; ``Stopped`` if the thread's programs are stopped.
    """
    known = _registered(wanted)
    if known is not None:
        return known
    order = _order(wanted)
    _check_recipe(wanted, order)
    with build.ensured(order, _Told(wanted.name, report)) as (environment, _):
        where, _ = kernelspec.write(order, environment, kernels=folder() / environment.recipe.name)
        os.utime(where / "kernel.json")  # it is used: see ``unused``
    return KernelSpec(wanted.name, where, json.loads((where / "kernel.json").read_text(encoding="utf-8")))


def ready(wanted: KernelRef) -> bool:
    """Whether ``resolve`` has nothing to build here. Takes milliseconds."""
    try:
        if _registered(wanted) is not None:
            return True
        order = _order(wanted)
        return plan.existing(order, releases.find(order.release)) is not None
    except ProvisionError:
        return False


def unused(before: float) -> Iterator[Path]:
    """The kernelspecs of ours that nothing was run with since ``before``, in seconds since 1970."""
    for path in sorted(folder().glob("*/*/kernel.json")):
        if path.stat().st_mtime < before:
            yield path.parent


def _registered(wanted: KernelRef) -> KernelSpec | None:
    """The kernel of that name which this machine has, if it is the wanted one.

    Raises ``KernelMissing`` if only such a one would do.
    """
    try:
        spec = kernelspecs.get(wanted.name)
    except UnknownKernel as error:
        if wanted.order is None:
            raise KernelMissing(
                f"The kernel {wanted.name} was not made by tfkernels install, so it cannot be made on other machines, "
                f"and {_host()} has none of this name. Register one there, or use one that tfkernels installs."
            ) from error
        return None
    described = _described(spec)
    if wanted.order is None:
        return _the_same_release(wanted, spec, described)
    environment = health.environment_of(described)
    if environment is None or health.problem(spec.spec["argv"], described, environment) is not None:
        return None
    same = wanted.recipe is not None and _essence(environment.recipe) == _essence(Recipe.from_json(dict(wanted.recipe)))
    return spec if same else None


def _the_same_release(wanted: KernelRef, spec: KernelSpec, described: Mapping[str, Any]) -> KernelSpec:
    theirs = str(described.get("tensorflow", ""))
    if wanted.tensorflow and theirs and theirs != wanted.tensorflow:
        raise KernelMissing(
            f"The kernel {wanted.name} on {_host()} has TensorFlow {theirs}, not {wanted.tensorflow}. It was not made "
            f"by tfkernels install, so it cannot be made there. Register the right one there, or under another name."
        )
    return spec


def _order(wanted: KernelRef) -> InstallRequest:
    assert wanted.order is not None
    try:
        return InstallRequest.from_json(wanted.order)
    except TypeError as error:
        raise KernelMissing(f"What the kernel {wanted.name} is to be made from cannot be read: {error}") from error


def _check_recipe(wanted: KernelRef, order: InstallRequest) -> None:
    """Raises ``KernelMissing`` if the order gives something else today than it did where the kernel was made."""
    if wanted.recipe is None:
        return
    theirs = Recipe.from_json(dict(wanted.recipe))
    ours = recipe_for(order, releases.find(order.release), theirs.python)
    if _essence(ours) != _essence(theirs):
        raise KernelMissing(
            f"The kernel {wanted.name} was made from other packages than this version of tfkernels takes, so "
            f"{_host()} cannot have the same one. Make it anew with: tfkernels install {order.release} --rebuild"
        )


def _essence(recipe: Recipe) -> Recipe:
    """What has to be the same on another machine, which may be of another kind and have its Pythons elsewhere."""
    return replace(recipe, platform="", interpreter="")


def _described(spec: KernelSpec) -> Mapping[str, Any]:
    return dict(spec.spec["metadata"]["tfkernels"]) if spec.ours else {}


def _host() -> str:
    return socket.gethostname()


class _Told(Reporter):
    """Tells the steps of a build to somebody else than standard error."""

    def __init__(self, kernel: str, report: Callable[[str], None]) -> None:
        super().__init__(kernel)
        self._report = report

    def step(self, text: str) -> None:
        self._report(text)
