"""Built environments on disk. One exists if, and only if, its record file does; the record is written last."""

import contextlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tfkernels.client import kernelspecs
from tfprovisioner.requirements.request import InstallRequest, Recipe
from tfprovisioner.system import built_folders
from tfprovisioner.system.built_folders import BuiltFolders
from tfprovisioner.system.files import replace_text

_KERNELS = "kernels.json"

FOLDERS = BuiltFolders("environments", "environment.json")

root, delete, runs = FOLDERS.root, FOLDERS.delete, built_folders.runs


@dataclass(frozen=True)
class Environment:
    """A built and checked environment."""

    folder: Path
    recipe: Recipe
    python_version: str
    base_python: str
    built: str
    """When, ISO 8601 in UTC."""
    size: int
    """Bytes on disk; files that are shared with uv's cache count too."""
    absent: tuple[str, ...] = ()
    """Files that wheels name and did not bring."""

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def problem(self) -> str | None:
        """The first problem that a quick look finds, or ``None``. It starts nothing.

        Raises ``PermissionError`` for another user's environment or Python that may not be read.
        """
        if not self.python.exists():
            if os.path.lexists(self.python):
                return f"the Python {self.base_python} that it was made from is gone"
            return f"its interpreter {self.python} is missing"
        now = re.search(r"(\d+\.\d+)", os.path.basename(os.path.realpath(self.python)))
        if now is not None and now[1] != self.recipe.python:
            return f"the Python {self.base_python} that it was made from has become Python {now[1]}"
        library = f"lib/python{self.recipe.python}"
        for package, title in (("tensorflow", "TensorFlow"), ("ipykernel", "ipykernel")):
            # In all releases; uninstalling leaves nothing behind that has an __init__.py.
            if not (self.folder / library / "site-packages" / package / "__init__.py").is_file():
                return f"{title} is no longer in it"
        return None

    @property
    def is_whole(self) -> bool:
        """Whether this user can read it, and a quick look finds no problem."""
        try:
            return self.problem() is None
        except OSError:
            return False

    def save(self) -> None:
        """Writes the record, atomically. From then on the environment exists."""
        content = asdict(self)
        del content["folder"]
        if not self.absent:  # older versions of tfkernels refuse a record with a field that they do not know
            del content["absent"]
        FOLDERS.complete(self.folder, content)


def load(folder: Path) -> Environment | None:
    """The environment in ``folder``, or ``None`` if there is none, it is incomplete, or it may not be read."""
    try:
        return read(folder)
    except OSError:
        return None


def read(folder: Path) -> Environment | None:
    """The environment in ``folder``, or ``None`` if there is none or it is incomplete.

    Fields of the record that a later version added are left out.
    Raises ``OSError``, for example ``PermissionError``, if the system does not let us know.
    """
    try:
        content: dict[str, Any] = json.loads((folder / FOLDERS.record).read_text(encoding="utf-8"))
        known = {field.name: content[field.name] for field in fields(Environment) if field.name in content}
        known |= {"recipe": Recipe.from_json(content["recipe"]), "absent": tuple(content.get("absent", ()))}
        return Environment(**{**known, "folder": folder})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError):
        return None


def of_kernel(recipe: Recipe, owner: Path) -> Environment | None:
    """The environment of a recipe that only a kernel uses, or that no other kernel ever used: the one built last.

    ``owner`` is the kernelspec's folder, or one with kernelspecs that share environments.
    """
    found = [environment for folder in FOLDERS.every(recipe.name) if (environment := load(folder)) is not None]
    own = [environment for environment in found if _is_own(environment.folder, owner)]
    return max(own, key=lambda environment: environment.built, default=None)


def whole(request: InstallRequest, owner: Path) -> Environment | None:
    """The same for a request, if it looks whole. Raises ``UnknownRelease``, ``NoInterpreter``."""
    for minor in request.python_minors():
        environment = of_kernel(Recipe.of(request, minor), owner)
        if environment is not None and environment.is_whole:
            return environment
    return None


def _is_own(folder: Path, owner: Path) -> bool:
    def within(path: Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(owner))

    try:
        users = kernels_of(folder)
        return all(map(within, users if any(map(within, users)) else noted_kernels(folder)))
    except PermissionError:  # another user's
        return False


def sweep(recipe: Recipe) -> None:
    """Deletes a recipe's environments that no kernel points to and nothing runs from.

    Call it with the recipe's lock held, and after the kernel points to its new one.
    """
    FOLDERS.sweep(recipe.name, lambda folder: kernels_of(folder) or runs(folder))


def kernels_of(folder: Path, besides: Iterable[Path] = ()) -> list[Path]:
    """The kernelspec folders, of any Jupyter environment, that point to an environment, without those of ``besides``.

    One that may not be read, in another user's home, counts as pointing to it.
    """
    found, place, seen = [], os.path.realpath(folder), set(map(os.path.realpath, besides))
    for path in (*noted_kernels(folder), *(spec.folder for spec in kernelspecs.every())):
        real = os.path.realpath(path)  # homes and data folders have further paths, through links
        if real in seen:
            continue
        seen.add(real)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            try:
                spec = json.loads((path / "kernel.json").read_text(encoding="utf-8"))
            except PermissionError:
                found.append(path)
                continue
            if os.path.realpath(spec["metadata"]["tfkernels"]["environment"]) == place:
                found.append(path)
    return found


def noted_kernels(folder: Path) -> list[Path]:
    """The kernelspec folders that pointed to an environment at some time. Raises ``PermissionError``."""
    try:
        return [Path(path) for path in json.loads((folder / _KERNELS).read_text(encoding="utf-8"))]
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return []


def note_kernel(folder: Path, kernelspec: Path) -> None:
    """Notes that a kernelspec points to an environment, which is then its own."""
    if kernelspec not in noted_kernels(folder):  # where only reading is allowed, it may be there
        paths = (kernelspec, *kernels_of(folder, besides=[kernelspec]))
        replace_text(folder / _KERNELS, json.dumps(sorted(map(str, paths))))


def size(folder: Path, shared: bool = True) -> int:
    """Bytes of the files below a folder; without ``shared`` only of files with a single name."""
    files = (os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)
    found = (os.lstat(path) for path in files)
    return sum(file.st_size for file in found if shared or file.st_nlink == 1)
