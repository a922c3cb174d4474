"""Passwords and tokens in URLs: they get into no record, no log and no message."""

import re
from collections.abc import Iterable

from tfprovisioner.errors import ProvisionError

_USER = re.compile(r"(?<=://)[^\s/?#]*@")
_TOKEN = re.compile(r"(?<=/t/)[^\s/]+(?=/)")  # of conda's servers
_QUERY = re.compile(r"(://[^\s?#`'\")]+)\?[^\s`'\")]+")


def redacted(text: str) -> str:
    """A text in which URLs have neither user nor password nor token nor query (``?token=…``)."""
    return _QUERY.sub(r"\1?****", _TOKEN.sub("****", _USER.sub("****@", text)))


def refuse(requirements: Iterable[str]) -> None:
    """Raises ``ProvisionError`` if a requirement has credentials in it: kernels show what they were made from."""
    for requirement in requirements:
        if _USER.search(requirement) and "://git@" not in requirement:
            raise ProvisionError(
                f"The requirement {redacted(requirement)} has a user or a password in its address, which would be "
                f"written to the kernel's files. Leave it out, and put it into ~/.netrc or a keyring, which uv reads."
            )
