"""Whether a new environment works: by importing TensorFlow in it, or by less where that was done before.

To import TensorFlow takes longer than to put its files in place, and the first time it compiles some thousand modules.
Of the very files that the catalogue was verified with, on this platform, only what differs between machines can be
wrong: an interpreter that was built without some of its parts, a processor without AVX, an older C library, a disk that
nothing may be executed from; and files that were changed in uv's cache, which environments share. All that takes
tenths of a second to see. (A few packages of old releases are built here. They are small, and of Python alone.)

The import decides wherever more has to be known: of what nobody verified, if somebody asks for a rebuild, and if the
last import of the release here did not pass. And if files were just fetched: beside the download it costs little, and
it leaves compiled modules.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.environments import installed as packages
from tfprovisioner.environments.plan import Plan
from tfprovisioner.environments.probe import loads, probe
from tfprovisioner.environments.recipe import Recipe
from tfprovisioner.environments.wheels import LOCK
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.progress import Reporter
from tfprovisioner.system.data_dir import home

_IMPORTED = ("import", "op", "kernel")
"""The catalogue's checks that an import in a new environment would repeat."""


def checked(plan: Plan, folder: Path, fetched: bool, report: Reporter) -> str:
    """The version of the Python of an environment that works. Raises ``BrokenEnvironment``.

    ``fetched``: the index had to be asked for some of its files.
    """
    python, library = folder / "bin" / "python", _library(folder)
    trusted = not fetched and not plan.order.rebuild and not is_doubted(plan.recipe) and _verified(plan, folder)
    if trusted and library is not None:
        report.step("checking: its files, TensorFlow's libraries")
        with ThreadPoolExecutor(1) as beside, contextlib.suppress(BrokenEnvironment):  # the import says more of it
            looking = beside.submit(_damage, folder)
            version = loads(python, library)
            damage = looking.result()
            if not damage:
                return version
            report.note(f"not all files are as they came, so it is imported: {', '.join(damage[:3])}")
    report.step("checking: importing TensorFlow, running an op")
    doubt(plan.recipe)  # an interrupt does not say that it would have passed
    version = probe(python).python
    _doubted(plan.recipe).unlink(missing_ok=True)
    return version


def doubt(recipe: Recipe) -> None:
    """Environments of this release and Python are imported, whatever the catalogue says, until one passes."""
    with contextlib.suppress(OSError):  # where nothing can be written, nothing can be installed
        _doubted(recipe).parent.mkdir(parents=True, exist_ok=True)
        _doubted(recipe).touch()


def is_doubted(recipe: Recipe) -> bool:
    return _doubted(recipe).exists()


def _doubted(recipe: Recipe) -> Path:
    return home() / "doubted" / f"{recipe.tensorflow}-py{recipe.python}"


def _verified(plan: Plan, folder: Path) -> bool:
    """Whether what was installed is to the last hash what the catalogue has seen working on this platform."""
    result, lock = plan.release.result(plan.recipe.python), folder / LOCK
    if plan.recipe.backend != "uv" or result is None or result.platform != catalogue.platform_name():
        return False
    passed = all(result.checks.get(name) == "ok" for name in _IMPORTED)
    return passed and lock.read_text(encoding="utf-8") == plan.release.lock


def _library(folder: Path) -> Path | None:
    """The library that brings in all others of TensorFlow."""
    found = (site.glob("tensorflow*/python/_pywrap_tensorflow*.so") for site in packages.site_packages(folder))
    return next((path for paths in found for path in sorted(paths)), None)


def _damage(folder: Path) -> list[str]:
    """The files that do not have the size that they came with."""
    return [file for package in packages.installed(folder).values() for file in package.damage()]
