"""A folder of our own with py-rattler: 79 MB that only conda packages need, installed by uv at the first use."""

import os
import platform
import secrets
import shutil
import sys
from pathlib import Path

from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.system import data_dir, files, locking, uv

REQUIREMENT = "py-rattler>=0.28,<0.29"
"""Its minor releases change the interface; before 0.24 a package could write outside its environment."""

_NAME = f"py-rattler-0.28-{sys.platform}-{platform.machine()}"


def root() -> Path:
    return data_dir.home() / "tools"


def ensured(report: Reporter) -> Path:
    """The folder to put on an import path; py-rattler is installed if it is missing. Raises ``BuildFailed``."""
    folder = root() / _NAME
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locking.held(_NAME, lambda: report.step("waiting for another tfkernels that installs py-rattler")):
            if not folder.is_dir():
                report.step(f"installing {REQUIREMENT} with uv, once, for conda packages (79 MB)")
                _install(folder, report)
    except OSError as error:
        raise BuildFailed(
            f"py-rattler could not be installed in {folder.parent}: {error.strerror}. Free some space, or choose "
            f"another folder with TFKERNELS_HOME."
        ) from error
    return folder


def unused(needed: bool) -> list[Path]:
    """Folders that can be deleted: of other versions, of killed installations, and all if nothing ``needed`` it."""
    return [path for path in sorted(root().glob("py-rattler-*")) if not needed or path.name != _NAME]


def delete(folder: Path) -> None:
    """Deletes a folder; one that is half deleted never has the name of a complete one. Raises ``OSError``."""
    leaving = folder.with_name(f"{_NAME}.build-{secrets.token_hex(3)}")
    os.replace(folder, leaving)
    shutil.rmtree(leaving)


def _install(folder: Path, report: Reporter) -> None:
    """Atomic: the folder has its name only when it is complete."""
    building = folder.with_name(f"{folder.name}.build-{secrets.token_hex(3)}")
    command = ["pip", "install", "--python", sys.executable, "--target", str(building), "--only-binary", ":all:"]
    try:
        uv.run([*command, REQUIREMENT], cwd=folder.parent, say=report.uv_says)
        files.flush(building)
        os.replace(building, folder)
    except BuildFailed as error:
        raise BuildFailed(f"py-rattler, which installs conda packages, could not be installed: {error}") from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
