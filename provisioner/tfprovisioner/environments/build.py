"""Building an environment: whole, or nothing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from tfprovisioner.catalogue import releases
from tfprovisioner.environments import bytecode, plan, resolve, store, verify
from tfprovisioner.environments.backends import BACKENDS
from tfprovisioner.environments.plan import Plan
from tfprovisioner.environments.recipe import Recipe
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.environments.store import Environment
from tfprovisioner.errors import BrokenEnvironment, BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import choose as interpreters
from tfprovisioner.system import files as durable
from tfprovisioner.system import locking


@contextmanager
def ensured(order: InstallRequest, report: Reporter) -> Iterator[tuple[Environment, bool]]:
    """The environment for an order, and whether it had to be built, because it was missing, damaged or asked for.

    While the context lasts nobody else builds or deletes it. Two calls at once, in any processes, do the work once.
    Raises ``UnknownRelease``, ``NoWheels``, ``NoInterpreter``, ``BuildFailed``.
    """
    release = releases.find(order.release)
    if order.backend != "conda" or order.gpu:
        releases.require_wheels(release)
    recipe = plan.choose(order, release)
    with _locked(recipe, report):
        existing = store.current(recipe)
        if existing is not None and existing.problem() is None and not order.rebuild:
            yield existing, False
            return
        if not release.known and recipe.backend == "uv":
            report.step(f"asking the package index for TensorFlow {release.version}")
            resolve.require_published(release, recipe.python)
        report.step("looking for a Python")
        interpreter = interpreters.find(order, release)
        if interpreter.minor != recipe.python:
            raise BuildFailed("The environment was removed while this command began to use it. Run the command again.")
        yield _build(Plan(release, recipe, interpreter, order), report), True


@contextmanager
def _locked(recipe: Recipe, report: Reporter) -> Iterator[None]:
    try:
        store.root().mkdir(parents=True, exist_ok=True)
        lock = store.lock(recipe.name)
        Path(lock.lock_file).touch()  # where only reading is allowed, all folders may be there
    except OSError as error:
        raise BuildFailed(
            f"The data folder {store.root().parent} cannot be written: {error.strerror}. Choose another one "
            f"with the variable TFKERNELS_HOME."
        ) from error
    with locking.held(lock, lambda: report.step("waiting for another tfkernels that builds the same environment")):
        yield


def _build(plan: Plan, report: Reporter) -> Environment:
    folder = store.new_folder(plan.recipe)
    try:
        fetched = BACKENDS[plan.recipe.backend](plan, folder, report)
        if not verify.is_doubted(plan.recipe):
            bytecode.take_over(folder, plan.recipe)
        version = verify.checked(plan, folder, fetched, report)
        environment = Environment(
            folder=folder,
            recipe=plan.recipe,
            python_version=version,
            base_python=os.path.realpath(folder / "bin" / "python"),
            built=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            size=store.size(folder),
        )
        # The record is one small file, and would survive a power cut that its environment's files do not.
        durable.flush(folder)
        environment.save()
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, BrokenEnvironment):
            raise BuildFailed(
                f"The environment was built but does not work, so it was taken away again: {error}"
            ) from error
        if isinstance(error, OSError):
            raise BuildFailed(
                f"The environment could not be written to {folder.parent}: {error.strerror}. Nothing was changed. Free "
                f"some space, or choose another place with TFKERNELS_HOME."
            ) from error
        raise
    return environment
