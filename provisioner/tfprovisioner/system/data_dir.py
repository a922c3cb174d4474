"""The folder that everything of ours lives in."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """``TFKERNELS_HOME``, or the user's data folder for applications."""
    override = os.environ.get("TFKERNELS_HOME")
    if override:
        return Path(override).expanduser().absolute()
    return platformdirs.user_data_path("tfkernels", appauthor=False)


def existing() -> Path:
    """The same, or the nearest folder above it that exists."""
    return next(folder for folder in (home(), *home().parents) if folder.is_dir())


def environments() -> Path:
    """The folder of the built environments."""
    return home() / "environments"


def batch_kernels() -> Path:
    """The folder of the kernelspecs that batches make, and no Jupyter sees."""
    return home() / "batch"
