"""Building an environment: whole, or nothing."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from tfprovisioner.catalogue import releases
from tfprovisioner.environments import bytecode, installed, store, verify
from tfprovisioner.environments.backends import BACKENDS
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BadLock, BrokenEnvironment, BuildFailed, NoWheels
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.request import InstallRequest, Recipe
from tfprovisioner.resolution import python_of_wheels, uv_resolution
from tfprovisioner.system import locking

_WAITING = "waiting for another tfkernels that builds the same packages"


@contextmanager
def ensured(request: InstallRequest, owner: Path, report: Reporter) -> Iterator[tuple[Environment, bool]]:
    """The environment for a kernel, and whether it had to be built, because it was missing, damaged or asked for.

    ``owner`` is the folder of its kernelspec, or one with kernelspecs that share environments. While the context lasts
    nobody else builds or deletes it. Two calls at once, in any processes, do the work once.
    Raises ``UnknownRelease``, ``NoWheels``, ``NoInterpreter``, ``BuildFailed``.
    """
    check_machine(request)
    interpreter: Interpreter | None = None
    found = None if request.rebuild else store.whole(request, owner)
    if found is not None:
        recipe = found.recipe
    else:
        interpreter, recipe = chosen(request, report)
    try:
        store.root().mkdir(parents=True, exist_ok=True)
        Path(locking.lock(recipe.name).lock_file).touch()  # where only reading is allowed, all folders may be there
    except OSError as error:
        if found is not None:  # a store that somebody else looks after
            yield found, False
            return
        raise BuildFailed(
            f"The data folder {store.root().parent} cannot be written: {error.strerror}. Choose another one "
            f"with the variable TFKERNELS_HOME."
        ) from error
    with locking.held(recipe.name, lambda: report.step(_WAITING)):
        existing = store.of_kernel(recipe, owner)
        if existing is not None and existing.is_whole and not request.rebuild:
            yield existing, False
            return
        interpreter = interpreter or request.choose_interpreter()
        if interpreter.minor != recipe.python:
            raise BuildFailed("The environment was removed while this command began to use it. Run the command again.")
        yield _build(request, recipe, interpreter, report), True


def check_machine(request: InstallRequest) -> None:
    """Raises ``NoWheels`` if the release cannot be had on this machine."""
    if sys.platform == "win32":
        raise NoWheels("tfkernels runs on Linux and macOS, not on Windows.")
    if request.backend != "conda" or request.gpu:
        releases.require_wheels(request.catalogue_entry)


def chosen(request: InstallRequest, report: Reporter) -> tuple[Interpreter, Recipe]:
    """The Python and the recipe of a new environment. Raises ``NoInterpreter``, ``BuildFailed``, ``BadLock``."""
    release = request.catalogue_entry
    report.step("looking for a Python")
    interpreter = python_of_wheels.choose(request, report)
    if request.locked is not None and interpreter.minor != request.locked.python:
        raise BadLock(f"The lock is for Python {request.locked.python}, not for {interpreter.version}. Omit --python.")
    if not release.known and request.locked is None and request.backend != "conda":
        report.step(f"asking the package index for TensorFlow {release.version}")
        uv_resolution.require_published(release, interpreter.minor)
    recipe = Recipe.of(request, interpreter.minor)
    _check_path(recipe)
    return interpreter, recipe


def _check_path(recipe: Recipe) -> None:
    """Raises ``BuildFailed`` if environments do not work in the data folder because of its path."""
    path = str(store.root())
    # PATH ends there, or the first line of a script: a program such as pip would be that of another Python. Distutils,
    # which uv asks for the folders of an older Python, replaces variables.
    odd = next((sign for sign in path if sign == ":" or sign < " "), None)
    if odd is None and "$" in path and releases.order_of(recipe.python) < (3, 10):
        odd = "$"
    if odd is not None:
        shown = path if path.isprintable() else repr(path)
        raise BuildFailed(
            f"An environment with Python {recipe.python} does not work in {shown}: the path has a {odd!r} in it. "
            f"Choose another data folder with the variable TFKERNELS_HOME."
        )


def _build(request: InstallRequest, recipe: Recipe, interpreter: Interpreter, report: Reporter) -> Environment:
    try:
        with store.FOLDERS.built(recipe.name) as folder:
            fetched = BACKENDS[recipe.backend](request, interpreter, folder, report)
            if not verify.import_check_mark(recipe).exists():
                bytecode.take_over(folder, recipe, doubted=request.rebuild)
            differences = installed.differences(folder)
            environment = Environment(
                folder=folder,
                recipe=recipe,
                python_version=verify.check(request, recipe, folder, fetched, differences, report),
                base_python=os.path.realpath(folder / "bin" / "python"),
                built=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
                size=store.size(folder),
                absent=tuple(file.path for file in differences if file.missing),
            )
            environment.save()
    except BrokenEnvironment as error:
        raise BuildFailed(f"The environment was built but does not work, so it was deleted: {error}") from error
    except OSError as error:
        raise BuildFailed(
            f"The environment could not be written to {store.root()}: {error.strerror}. Nothing was changed. Free some "
            f"space, or choose another place with TFKERNELS_HOME."
        ) from error
    return environment
