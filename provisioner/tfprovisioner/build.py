"""Building an environment: whole, or nothing."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from tfprovisioner import environments, interpreters, uv
from tfprovisioner.catalogue import Release
from tfprovisioner.environments import Environment
from tfprovisioner.errors import BrokenEnvironment, BuildFailed
from tfprovisioner.interpreters import Interpreter
from tfprovisioner.probe import probe
from tfprovisioner.progress import Reporter
from tfprovisioner.recipe import Recipe, recipe_for


@contextmanager
def ensured(release: Release, report: Reporter, rebuild: bool = False) -> Iterator[tuple[Environment, bool]]:
    """The environment of a release, and whether it had to be built, because it was missing, damaged or asked for.

    While the context lasts nobody else builds or deletes it. Two calls at once, in any processes, do the work once.
    Raises ``NoInterpreter``, ``BuildFailed``.
    """
    recipe = _choose(release, rebuild)
    with _locked(recipe, report):
        existing = environments.current(recipe)
        if existing is not None and existing.problem() is None and not rebuild:
            yield existing, False
            return
        report.step("looking for a Python")
        interpreter = interpreters.find(release)
        if interpreter.minor != recipe.python:
            raise BuildFailed("The environment was removed while this command began to use it. Run the command again.")
        yield _build(release, recipe, interpreter, report), True


def _choose(release: Release, rebuild: bool) -> Recipe:
    """The recipe of an environment that is there, before interpreters are searched, which takes seconds."""
    if not rebuild:
        for minor in release.pythons:
            recipe = recipe_for(release, minor)
            existing = environments.current(recipe)
            if existing is not None and existing.problem() is None:
                return recipe
    return recipe_for(release, interpreters.find(release).minor)


@contextmanager
def _locked(recipe: Recipe, report: Reporter) -> Iterator[None]:
    try:
        environments.root().mkdir(parents=True, exist_ok=True)
        lock = environments.lock(recipe.name)
    except OSError as error:
        raise BuildFailed(
            f"The data folder {environments.root().parent} cannot be written: {error.strerror}. Choose another one "
            f"with the variable TFKERNELS_HOME."
        ) from error
    try:
        lock.acquire(timeout=0)
    except TimeoutError:
        report.step("waiting for another tfkernels that builds the same environment")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(release: Release, recipe: Recipe, interpreter: Interpreter, report: Reporter) -> Environment:
    folder = environments.new_folder(recipe)
    try:
        report.step(f"creating an environment with Python {interpreter.version}")
        wanted = str(interpreter.path) if interpreter.path else interpreter.version
        preference = [] if interpreter.path else ["--managed-python"]
        uv.run(["venv", "--no-project", *preference, "--python", wanted, str(folder)], folder.parent, report.uv_says)
        report.step(f"installing TensorFlow {release.version}")
        uv.run(_install(release, folder), folder, report.uv_says)
        report.step("checking: importing TensorFlow, running an op")
        findings = probe(environments.python_in(folder))
        environment = Environment(
            folder=folder,
            recipe=recipe,
            python_version=findings.python,
            base_python=os.path.realpath(environments.python_in(folder)),
            built=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            size=_size(folder),
        )
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


def _install(release: Release, folder: Path) -> list[str]:
    lock = str(release.lock)
    arguments = ["pip", "install", "--python", str(environments.python_in(folder)), "--require-hashes"]
    arguments += ["--only-binary", ":all:"]
    for package in release.build_from_source:
        arguments += ["--no-binary", package]
    # What is built is built with pinned and hashed tools as well.
    return [*arguments, "--build-constraints", lock, "--requirements", lock]


def _size(folder: Path) -> int:
    files = (Path(parent) / name for parent, _, names in os.walk(folder) for name in names)
    return sum(path.lstat().st_size for path in files)
