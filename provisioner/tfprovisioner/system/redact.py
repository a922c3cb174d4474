"""Removes passwords and tokens from URLs: they get into no record, no log and no message."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from tfprovisioner.errors import ProvisionError

_PUBLIC = frozenset({"", "conda.anaconda.org", "repo.anaconda.com", "github.com", "docs.astral.sh"})
"""Hosts, and no host at all, whose paths are useful in a message and have no secrets in them."""

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9.+-]{0,30}://)(?P<user>[^\s/?#]*@)?(?P<host>[^\s/?#`'\"<>)]*)"
    r"(?P<rest>[^\s`'\"<>)]*[^\s`'\"<>),.;:])?"
)
_FILE = re.compile(r"[^/]+\.(whl|tar\.gz|zip|conda|tar\.bz2|json)")
_OF_CONDA = re.compile(r"/t/[^/]+")
_TOKEN = re.compile(
    r"(?![0-9a-f]*$)(?=\D*\d)(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_]{16,}"
    r"|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
"""Letters and digits in one piece, or a UUID. Hexadecimal throughout is a commit or the hash of a file."""


_SECRET = re.compile(
    r"(?i)token|secret|passw|passphrase|credential|(api|access|private|signing)_?key|(^|_)(auth|pat)(_|$)"
)
"""In names of variables."""


def is_secret(name: str, value: str) -> bool:
    """Whether a variable looks as if its value were a password or a token, or had one in a URL."""
    return bool(_SECRET.search(name)) or any(cleaned(url[0]) != url[0] for url in _URL.finditer(value))


def redacted(text: str) -> str:
    """A text whose URLs have no user, password and query, and on other than public hosts no path.

    A token may be any part of a path. File names stay.
    """
    return _URL.sub(_redacted_url, text)


def _redacted_url(url: re.Match[str]) -> str:
    path, mark, _ = (url["rest"] or "").partition("?")
    if url["host"] not in _PUBLIC and path.strip("/"):
        name = path.partition("#")[0].rpartition("/")[2]
        path = f"/****/{name}" if _FILE.fullmatch(name) else "/****"
    path = _OF_CONDA.sub("/t/****", path)
    return f"{url['scheme']}{'****@' if url['user'] else ''}{url['host']}{path}{'?****' if mark else ''}"


def cleaned(text: str) -> str:
    """A text whose URLs have no secrets, and can still be used as far as they work without."""
    return _URL.sub(lambda url: public(url[0]), text)


def public(url: str) -> str:
    """A URL without user, password, query and anything like a token; of conda's servers it still works."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = _OF_CONDA.sub("", parts.path)
    if host not in _PUBLIC:
        path = "/".join("****" if _TOKEN.fullmatch(part) else part for part in path.split("/"))
    # Put together here: the library leaves two slashes before no host out, if it does not know the scheme (git+file).
    return f"{parts.scheme}://{host}{path}{f'#{parts.fragment}' if parts.fragment else ''}"


def refuse(requirements: Iterable[str]) -> None:
    """Raises ``ProvisionError`` if a requirement has credentials in it: kernels show what they were made from."""
    for requirement in requirements:
        without = requirement.replace("://git@", "://")  # everybody's name there
        if cleaned(without) != without:
            raise ProvisionError(
                f"The requirement {redacted(requirement)} has a user, a password or a token in its address, and would "
                f"be written to the kernel's files. Put them into ~/.netrc or a keyring instead: uv reads these."
            )
