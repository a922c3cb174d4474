"""Whether a new environment works: by importing TensorFlow in it, or by less where that was done before.

To import TensorFlow takes longer than to put its files in place, and the first time it compiles some thousand modules.
Of the very files that the catalogue was verified with, on this platform, only what differs between machines can be
wrong: an interpreter that was built without some of its parts, a processor without AVX, an older C library, a disk that
nothing may be executed from; and files that were changed in uv's cache, which environments share. All that takes
tenths of a second to see. The import decides wherever more has to be known: when files were just fetched (beside the
download it costs nothing, and it leaves compiled modules), of what nobody verified, and after something did not work.
"""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tfprovisioner import catalogue, environments, locks, packages, results
from tfprovisioner.backends.wheels import LOCK
from tfprovisioner.errors import BrokenEnvironment
from tfprovisioner.home import home
from tfprovisioner.plan import Plan
from tfprovisioner.probe import loads, probe
from tfprovisioner.progress import Reporter
from tfprovisioner.recipe import Recipe

_IMPORTED = ("import", "op", "kernel")
"""The catalogue's checks that an import in a new environment would repeat."""


def checked(plan: Plan, folder: Path, fetched: bool, report: Reporter) -> str:
    """The version of the Python of an environment that works. Raises ``BrokenEnvironment``.

    ``fetched``: some of its files were not in uv's cache.
    """
    library = _library(folder)
    if not fetched and library is not None and _verified(plan, folder) and not _doubted(plan.recipe).exists():
        report.step("checking: its files, TensorFlow's libraries")
        with ThreadPoolExecutor(1) as beside, contextlib.suppress(BrokenEnvironment):  # the import says more of it
            whole = beside.submit(_is_whole, folder)
            version = loads(environments.python_in(folder), library)
            if whole.result():
                return version
    report.step("checking: importing TensorFlow, running an op")
    try:
        version = probe(environments.python_in(folder)).python
    except BrokenEnvironment:
        doubt(plan.recipe)
        raise
    _doubted(plan.recipe).unlink(missing_ok=True)
    return version


def doubt(recipe: Recipe) -> None:
    """An environment of this recipe did not work here: the next one is imported, whatever the catalogue says."""
    with contextlib.suppress(OSError):  # where nothing can be written, nothing can be installed
        _doubted(recipe).parent.mkdir(parents=True, exist_ok=True)
        _doubted(recipe).touch()


def _doubted(recipe: Recipe) -> Path:
    return home() / "doubted" / recipe.name


def _is_whole(folder: Path) -> bool:
    """Whether all files have the size that they came with."""
    return not any(package.damage() for package in packages.installed(folder).values())


def _verified(plan: Plan, folder: Path) -> bool:
    """Whether what was installed is to the last hash what the catalogue has seen working on this platform."""
    result, lock = plan.release.result(plan.recipe.python), folder / LOCK
    if result is None or result.platform != catalogue.platform_name() or not lock.exists():
        return False
    installed = locks.chosen(lock.read_text(encoding="utf-8"), result.python, result.platform)
    return results.fingerprint(installed) == result.lock and all(result.checks.get(name) == "ok" for name in _IMPORTED)


def _library(folder: Path) -> Path | None:
    """The library that brings in all others of TensorFlow."""
    found = (site.glob("tensorflow*/python/_pywrap_tensorflow*.so") for site in packages.site_packages(folder))
    return next((path for paths in found for path in sorted(paths)), None)
