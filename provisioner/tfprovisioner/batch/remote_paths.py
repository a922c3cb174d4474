"""Notebooks at addresses (``s3://``, ``gs://``, ``https://``), by papermill's readers and writers."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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

    with _explained("read", address):
        text = papermill_io.read(address)
    return text if isinstance(text, str) else "\n".join(text)  # some of its readers give lines


def write(address: str, text: str) -> None:
    """Raises ``AddressFailed``."""
    from papermill.iorw import papermill_io

    with _explained("write", address), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The specified file", UserWarning)  # the report's are no notebooks
        papermill_io.write(text, address)


@contextmanager
def _explained(verb: str, address: str) -> Iterator[None]:
    """The storage library's own error may repeat parts of the address."""
    try:
        yield
    except Exception as error:
        parts = urlsplit(address)
        cause = redacted(f"{type(error).__name__}: {error}")
        for secret in filter(None, (parts.query, parts.username, parts.password)):
            cause = cause.replace(secret, "****")
        raise AddressFailed(f"Cannot {verb} {redacted(address)}: {cause}") from error


def join(address: str, name: str) -> str:
    """The address of a file in the folder ``address``. A token after ``?`` stays at the end."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
