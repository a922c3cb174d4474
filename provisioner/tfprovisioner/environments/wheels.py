"""The backend ``uv``: a standard virtual environment of wheels, every one of them checked against its hash."""

from pathlib import Path

from tfprovisioner.environments import resolve
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import from_conda
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.system import uv

LOCK = "requirements.txt"
"""In the environment's folder: exactly what was put into it."""


def create(request: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
    """Makes the environment in ``folder``. Raises ``BuildFailed``."""
    if interpreter.source == "conda":
        with from_conda.ensured(interpreter.version, request.channels, request.conda, report) as python:
            _venv(folder, [str(python)], interpreter, report)
    elif interpreter.path is None:
        _venv(folder, [interpreter.version, "--managed-python"], interpreter, report)
    else:
        _venv(folder, [str(interpreter.path)], interpreter, report)
    return install(request, interpreter, folder, report)


def _venv(folder: Path, python: list[str], interpreter: Interpreter, report: Reporter) -> None:
    report.step(f"creating an environment with Python {interpreter.version}")
    uv.run(["venv", "--no-project", str(folder), "--python", *python], folder.parent, report.uv_says)


def install(request: InstallRequest, interpreter: Interpreter, folder: Path, report: Reporter) -> bool:
    """Puts the packages into an environment that has a Python, and says whether the index had to be asked.

    Raises ``BuildFailed``.
    """
    uv.check_settings()
    release, python, lock = request.catalogue_entry, folder / "bin" / "python", folder / LOCK
    if request.extras:
        report.step(f"resolving {', '.join(sorted(request.extras))} together with what was verified")
    lock.write_text(resolve.lock(request, interpreter, python, folder, report), encoding="utf-8")
    report.step(f"installing TensorFlow {release.version}")
    arguments = ["pip", "install", "--python", str(python), "--require-hashes", *resolve.only_wheels(release)]
    # The lock is complete, and in it rules have overruled what some packages say that they need.
    arguments += ["--no-deps"]
    # What is built is built with pinned and hashed tools as well.
    arguments += ["--build-constraints", str(lock), "--requirements", str(lock)]
    # Hashes decide what is installed, so the index is not asked for news of packages that are all in uv's cache: that
    # takes longer than to install them, and a network.
    try:
        uv.run([*arguments, "--offline"], folder, report.uv_says)
    except BuildFailed:
        if uv.offline():
            raise
        uv.run(arguments, folder, report.uv_says)  # if not because something was missing, this will tell
        return True
    return False
