"""What a user names on the command line: the notebook, and where it runs."""

from pathlib import Path

import nbformat
from papermill.iorw import papermill_io

from tfprovisioner.errors import ProvisionError


class NoNotebook(ProvisionError):
    """What was named cannot be read, or is no notebook."""


def notebook(source: str) -> str:
    """A notebook's JSON, from a path or an address that papermill reads. Raises ``NoNotebook``."""
    if Path(source).is_dir():
        raise NoNotebook(f"{source} is a folder. Name the notebook in it.")
    if "://" not in source and not Path(source).exists():
        raise NoNotebook(f"There is no file {source}.")
    try:
        text = papermill_io.read(source)
    except Exception as error:  # the clients of S3, Azure, … have exceptions of their own
        raise NoNotebook(f"The notebook {source} cannot be read: {error}") from error
    try:
        nbformat.reads(text, as_version=4)
    except Exception as error:  # nbformat has several kinds, and lets others through
        raise NoNotebook(f"{source} is no Jupyter notebook: {error}") from error
    return str(text)


def folder_of(source: str) -> str | None:
    """The folder of a notebook on this machine, where Jupyter would run it; ``None`` for one from an address."""
    path = Path(source)
    return str(path.resolve().parent) if path.is_file() else None
