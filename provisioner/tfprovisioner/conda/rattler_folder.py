"""A folder of our own with py-rattler: 79 MB that only conda packages need, installed by uv at the first use."""

import platform
import sys
from pathlib import Path

from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.system import locking, uv
from tfprovisioner.system.built_folders import BuiltFolders

REQUIREMENT = "py-rattler>=0.28,<0.29"
"""Its minor releases change the interface; before 0.24 a package could write outside its environment."""

FOLDERS = BuiltFolders("tools", "py-rattler.json")

root, delete = FOLDERS.root, FOLDERS.delete

_NAME = f"py-rattler-0.28-{sys.platform}-{platform.machine()}"


def current() -> Path | None:
    """The folder of the version that is used here, if it is complete."""
    return FOLDERS.newest(_NAME)


def ensured(report: Reporter) -> Path:
    """The folder to put on an import path; py-rattler is installed if it is missing. Raises ``BuildFailed``."""
    try:
        with locking.held(_NAME, lambda: report.step("waiting for another tfkernels that installs py-rattler")):
            return current() or _install(report)
    except OSError as error:
        raise BuildFailed(
            f"py-rattler could not be installed in {root()}: {error.strerror}. Free some space, or choose another "
            f"folder with TFKERNELS_HOME."
        ) from error


def _install(report: Reporter) -> Path:
    report.step(f"installing {REQUIREMENT} with uv, once, for conda packages (79 MB)")
    command = ["pip", "install", "--python", sys.executable, "--only-binary", ":all:", REQUIREMENT, "--target"]
    try:
        with FOLDERS.built(_NAME) as folder:
            uv.run([*command, str(folder)], cwd=root(), say=report.uv_says)
            FOLDERS.complete(folder, {"requirement": REQUIREMENT})
    except BuildFailed as error:
        raise BuildFailed(f"py-rattler, which installs conda packages, could not be installed: {error}") from None
    return folder
