"""The folder that everything of ours lives in."""

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """``TFKERNELS_HOME``, or the user's data folder for applications."""
    override = os.environ.get("TFKERNELS_HOME")
    return (
        Path(override).expanduser().absolute()
        if override
        else platformdirs.user_data_path("tfkernels", appauthor=False)
    )
