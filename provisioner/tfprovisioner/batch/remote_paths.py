"""Notebooks at addresses (``s3://``, ``gs://``, ``https://``), by papermill's readers and writers."""

import warnings
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from tfprovisioner.errors import Unusable
from tfprovisioner.system.redact import redacted


class AddressFailed(Unusable):
    """Something at an address could not be read or written."""


def is_address(source: str) -> bool:
    """Whether papermill would look elsewhere than among files."""
    return "://" in source


def read(address: str) -> str:
    """The text there. Raises ``AddressFailed``."""
    from papermill.iorw import papermill_io

    try:
        text = papermill_io.read(address)
    except Exception as error:
        raise AddressFailed(f"{redacted(address)} cannot be read: {_told(error, address)}") from error
    return text if isinstance(text, str) else "\n".join(text)  # some of its readers give lines


def write(address: str, text: str) -> None:
    """Raises ``AddressFailed``."""
    from papermill.iorw import papermill_io

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The specified file", UserWarning)  # the report's are no notebooks
            papermill_io.write(text, address)
    except Exception as error:
        raise AddressFailed(f"{redacted(address)} cannot be written: {_told(error, address)}") from error


def publish(path: Path, address: str) -> None:
    """Copies a text file below an address. Raises ``AddressFailed``."""
    write(below(address, path.name), path.read_text(encoding="utf-8"))


def below(address: str, name: str) -> str:
    """The address of a file in what ``address`` is the folder of. A token after ``?`` stays at the end."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))


def _told(error: Exception, address: str) -> str:
    """Every storage has exceptions of its own, which may repeat parts of the address."""
    parts = urlsplit(address)
    text = redacted(f"{type(error).__name__}: {error}")
    for secret in filter(None, (parts.query, parts.username, parts.password)):
        text = text.replace(secret, "****")
    return text
