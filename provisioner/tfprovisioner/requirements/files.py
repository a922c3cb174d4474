"""Files of requirements: ``--requirements``."""

from collections.abc import Iterable
from pathlib import Path

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import pip_files
from tfprovisioner.requirements.file_content import Content

_OTHERS = (".py", ".cfg", ".ipynb", ".lock", ".whl", ".gz", ".zip")
"""Ends of names of files that are none with requirements."""


def read(paths: Iterable[Path]) -> Content:
    """What files ask for together. Raises ``BadRequirement``."""
    content = Content()
    for path in paths:
        if path.suffix in _OTHERS or path.name == "Pipfile" or path.suffix in (".yml", ".yaml", ".toml"):
            raise BadRequirement(
                f"{path} is no file of requirements that tfkernels reads. Name its packages with --with."
            )
        pip_files.read(path, content)
    return content
