"""The backends: each fills an empty folder with a Python, TensorFlow and what a kernel needs, by uv or from conda."""

import contextlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from tfprovisioner.catalogue import locks
from tfprovisioner.conda import solve
from tfprovisioner.environments import conda_packages, installed
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import from_conda
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.lines import name_of, without_hashes
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import as_of, locked_files, resolve, uv_resolution
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system import uv
from tfprovisioner.system.uv import UvFailed

LOCK = "requirements.txt"
"""In the environment's folder: exactly which wheels were put into it."""


def by_uv(request: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
    """A standard virtual environment of wheels, every one of them checked against its hash."""
    with contextlib.ExitStack() as held:
        python = interpreter.path
        if interpreter.source == "conda":
            wanted = from_conda.ensured(interpreter.version, request.channels, request.conda, report)
            python = held.enter_context(wanted)
        report.step(f"creating an environment with Python {interpreter.version}")
        chosen = [str(python)] if python else [interpreter.version, "--managed-python"]
        uv.run(["venv", "--no-project", str(folder), "--python", *chosen], folder.parent, report.uv_says)
    return _install_wheels(request, interpreter, folder, report)


def by_conda(request: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
    """Conda packages; or conda's Python and wheels, for releases that the channels lack."""
    wanted = conda_packages.of(request, interpreter)
    try:
        with conda_packages.conflicts_explained(request, interpreter, report):
            solve.fill(folder, wanted, request.conda, report)
    except PackageNotInChannels as missing:
        python = conda_packages.python_only(request, wanted, missing, report)
        solve.fill(folder, python, request.conda, report)
    else:
        if not request.gpu:
            return True  # or not: its programs do not say
    return _install_wheels(request, interpreter, folder, report)


BACKENDS: dict[str, Callable[[InstallRequest, Interpreter, Path, Reporter], bool]] = {"uv": by_uv, "conda": by_conda}
"""Each returns whether the package index had to be asked, because not all was in uv's cache or a folder of wheels.

It need not clean up. Raises ``BuildFailed``, ``BadRequirement``.
"""


def _install_wheels(request: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
    """Puts the packages into an environment that has a Python, and says whether the index had to be asked."""
    uv.check_settings()
    release, python, lock = request.catalogue_entry, folder / "bin" / "python", folder / LOCK
    if request.resolved is not None:
        pass  # a bundle has the lock
    elif request.as_of:
        report.step(f"resolving the packages as of {request.as_of}")
    elif request.extras:
        report.step(
            f"resolving {', '.join(map(without_hashes, sorted(request.extras)))} together with what was verified"
        )
    builds = SourceBuilds.of(request, interpreter.version)
    text = resolve.lock(request, interpreter, python, folder, report, builds)
    lock.write_text(text, encoding="utf-8")
    builds.use(text, uv_resolution.pinned(text, interpreter.version))
    if builds.unverified():
        report.note(f"building from source what has no wheel: {', '.join(builds.unverified())}")
    report.step(f"installing TensorFlow {release.version}")
    # The lock is complete, and in it rules have overruled what some packages say that they need.
    arguments = ["pip", "install", "--python", str(python), "--require-hashes", "--no-deps"]
    arguments += as_of.options(request.as_of, bool(request.gpu))
    # Hashes decide what is installed, so the index is not asked for news of packages that are all in uv's cache: that
    # takes longer than to install them, and a network.
    fetched, listed = False, ["--requirements", str(lock)]
    try:
        builds.run([*arguments, *listed, "--offline"], folder, report.uv_says)
    except BuildFailed:
        if uv.offline():
            raise
        try:
            builds.run([*arguments, *listed], folder, report.uv_says)  # if nothing was missing, this says why
        except UvFailed as error:
            others = _of_other_files(error, text, uv.for_python(python, interpreter.version), builds, folder)
            if not others:
                raise
            raise BuildFailed(f"{error}\nThe index has other files of: {', '.join(others)}") from error
        fetched = True
    edited = _edited(folder) if request.rebuild and not uv.offline() else []
    if edited:
        report.step(f"fetching packages anew whose files were edited in uv's cache: {', '.join(edited)}")
        _replace(edited, lock, arguments, builds, report)
    return fetched or bool(edited)


def _of_other_files(error: UvFailed, lock: str, options: list[str], builds: SourceBuilds, folder: Path) -> list[str]:
    """All packages whose files are not those of the lock, if a file is not: uv names the first only."""
    if re.search(r"[Hh]ash\s+mismatch", error.output) is None:
        return []
    return locked_files.unlike(lock, options, builds, folder)


def _edited(folder: Path) -> list[str]:
    """The packages from uv's cache that somebody edited there, perhaps through a link in another environment."""
    packages = [package for package in installed.installed(folder).values() if package.installer == "uv"]
    return [package.name for package in packages if any(file.changed for file in package.differences())]


def _replace(names: list[str], lock: Path, arguments: list[str], builds: SourceBuilds, report: Reporter) -> None:
    """Installs some packages of a lock once more, by way of an empty cache.

    To delete them from the user's cache, uv would wait until nobody uses that, be it for as long as Jupyter runs.
    """
    with tempfile.TemporaryDirectory(dir=lock.parent) as scratch:
        pins_found, hashes = locks.split(lock.read_text(encoding="utf-8"))
        again = Path(scratch, LOCK)
        again.write_text(locks.joined((pin for pin in pins_found if name_of(pin) in names), hashes), encoding="utf-8")
        chosen = [word for name in names for word in ("--reinstall-package", name)]
        again_only = ["--requirements", str(again), *chosen, "--cache-dir", str(Path(scratch, "cache"))]
        builds.run([*arguments, *again_only], lock.parent, report.uv_says)
