"""Compiled modules of other environments, taken over where the source is the same file.

Compiling what ``import tensorflow`` needs takes twice as long as importing it, and is most of what an environment costs
on disk: the rest are links into uv's cache.
"""

import contextlib
import filecmp
import os
from pathlib import Path

from tfprovisioner import environments
from tfprovisioner.environments import Environment


def take_over(folder: Path, minor: str) -> None:
    """Links the compiled modules of all whole environments with the same Python (``3.7``) into a new one.

    A compiled module belongs to its source by time and size only, and wheels of two versions may agree in both. So it
    is taken only if the sources are one file (a hard link), or the same byte by byte. Python checks the rest.
    """
    for other in environments.root().glob("*"):
        environment = environments.load(other)
        if other != folder and environment is not None and environment.recipe.python == minor:
            with contextlib.suppress(OSError):  # it is deleted just now, or on a disk without hard links
                _link(environment, folder)


def _link(environment: Environment, folder: Path) -> None:
    # Package folders that the new one has as well, and no others
    for parent, folders, _ in os.walk(environment.folder / "lib"):
        here = folder / Path(parent).relative_to(environment.folder)
        if Path(parent).name == "__pycache__":
            for compiled in Path(parent).glob("*.pyc"):
                _link_one(compiled, here / compiled.name)
        else:
            folders[:] = [name for name in folders if name == "__pycache__" or (here / name).is_dir()]


def _link_one(compiled: Path, target: Path) -> None:
    source = f"{compiled.name.partition('.')[0]}.py"
    theirs, ours = compiled.parent.parent / source, target.parent.parent / source
    if ours.is_file() and not target.exists() and _same(theirs, ours):
        target.parent.mkdir(exist_ok=True)
        os.link(compiled, target)


def _same(one: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)
    return False
