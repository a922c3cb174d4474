"""Files of requirements: ``--requirements``."""

import re
from collections.abc import Iterable
from pathlib import Path

from tfprovisioner.errors import BadRequirement
from tfprovisioner.requirements import conda_files, pip_files, pyproject
from tfprovisioner.requirements.file_content import Content, text_of

_OTHERS = (".py", ".cfg", ".ipynb", ".lock", ".json", ".whl", ".gz", ".zip")
"""Ends of names of files that have no requirements, or in another form."""


def read(paths: Iterable[Path], conda: bool = False) -> Content:
    """What files ask for together; ``conda`` if the packages are to be conda's. Raises ``BadRequirement``."""
    content = Content()
    for path in paths:
        with_groups = re.fullmatch(r"(.*\.toml)\[([^\]]*)\]", str(path))
        if with_groups or path.suffix == ".toml":
            chosen = re.split(r"[,\s]+", with_groups[2].strip()) if with_groups else []
            pyproject.read(Path(with_groups[1]) if with_groups else path, chosen, content)
        elif path.suffix in _OTHERS or path.name == "Pipfile":
            raise BadRequirement(
                f"The file {path} cannot be read: it is no requirement file, pyproject.toml or environment.yml. "
                f"Name its packages with --with."
            )
        else:
            text = text_of(path)  # once: it may be a pipe
            if not conda_files.is_conda(path, text):
                pip_files.read(path, text, content)
            elif conda:
                raise BadRequirement(
                    f"The file {path} cannot be used with --backend conda: its packages are installed from wheels. "
                    f"Omit --backend. Or have conda build the environment, and run: tfkernels add FOLDER"
                )
            else:
                conda_files.read(path, text, content)
    return content
