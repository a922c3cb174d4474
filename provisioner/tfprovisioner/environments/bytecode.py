"""Compiled modules of other environments, taken over where the source is the same. See docs/design/environments.md."""

import contextlib
import filecmp
import os
from collections.abc import Iterable
from pathlib import Path

from tfprovisioner.environments import store
from tfprovisioner.environments.store import Environment
from tfprovisioner.requirements.request import Recipe


def givers() -> Iterable[Path]:
    """The folders of environments that may give theirs."""
    return store.root().glob("*")


def take_over(folder: Path, recipe: Recipe, doubted: bool) -> None:
    """Links compiled modules of environments with the same Python into the new one of a recipe.

    One environment of the same release has nearly all; without one, all others give theirs. If those of the same recipe
    are ``doubted``, they give none.
    """
    others = map(store.load, givers())
    used = [
        other
        for other in others
        if other is not None and other.recipe.python == recipe.python and not (doubted and other.recipe == recipe)
        if any(other.folder.glob("lib/python*/site-packages/tensorflow/__pycache__/__init__.*.pyc"))
    ]
    alike = [environment for environment in used if environment.recipe.tensorflow == recipe.tensorflow]
    for environment in alike[:1] or used:
        with contextlib.suppress(OSError):  # it is deleted just now, or on a disk without hard links
            _link(environment, folder)


def _link(environment: Environment, folder: Path) -> None:
    # Package folders that the new one has as well, and no others. Thousands of files: no objects for their paths.
    for parent, folders, names in os.walk(environment.folder / "lib"):
        here = os.path.join(folder, os.path.relpath(parent, environment.folder))
        if os.path.basename(parent) == "__pycache__":
            sources = os.path.dirname(parent), os.path.dirname(here)
            # Other names were left by a process that was killed.
            compiled = [
                name for name in names if name.endswith(".pyc") and _same(f"{name.partition('.')[0]}.py", *sources)
            ]
            if compiled:
                os.makedirs(here, exist_ok=True)
            for name in compiled:
                with contextlib.suppress(FileExistsError):  # uv compiled it (UV_COMPILE_BYTECODE)
                    os.link(os.path.join(parent, name), os.path.join(here, name))
        else:
            folders[:] = [name for name in folders if name == "__pycache__" or os.path.isdir(os.path.join(here, name))]


def _same(source: str, one: str, other: str) -> bool:
    """Whether two folders have the same file of that name."""
    paths = os.path.join(one, source), os.path.join(other, source)
    with contextlib.suppress(OSError):
        return os.path.samefile(*paths) or filecmp.cmp(*paths, shallow=False)
    return False
