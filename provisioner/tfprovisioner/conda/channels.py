"""Conda channels: which ones a request takes from, where they are, how they are shown, and what is asked of them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.system import redact

DEFAULT = ("conda-forge",)

TERMS = (
    "the channel `defaults` is Anaconda's: larger organisations need a licence for it "
    "(https://www.anaconda.com/legal). It is used because you named it"
)

_ALIAS = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


@dataclass(frozen=True)
class PackageRequest:
    """The packages that a prefix gets."""

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    """Packages to install: ``python=3.7``."""
    bounds: tuple[str, ...] = ()
    """Limits for packages that others bring, ``numpy<=1.18``; dropped if there is no solution otherwise."""
    tensorflow: tuple[str, str] | None = None
    """The version that ``specs`` have, and the Python that it must be there for (``3.7``)."""
    limits: tuple[str, ...] = ()
    """The user's limits; never dropped."""


def chosen(asked: tuple[str, ...]) -> tuple[str, ...]:
    """The channels of a request: its own, else those of ``TFKERNELS_CHANNELS``, else conda-forge."""
    configured = tuple(name.strip() for name in os.environ.get("TFKERNELS_CHANNELS", "").split(",") if name.strip())
    return asked or configured or DEFAULT


def urls(channel: str) -> tuple[str, ...]:
    """The addresses of a channel. A name is one of anaconda.org, or of the mirror in CONDA_CHANNEL_ALIAS."""
    if channel == "defaults":
        return _DEFAULTS
    if re.match(r"[A-Za-z0-9+]+://", channel):
        return (channel.rstrip("/"),)
    if os.sep in channel and Path(channel).expanduser().is_dir():
        return (Path(channel).expanduser().absolute().as_uri(),)
    return (f"{os.environ.get('CONDA_CHANNEL_ALIAS', _ALIAS).rstrip('/')}/{channel}",)


def public(channel: str) -> str:
    """A channel without password and token."""
    return redact.public(channel) if "://" in channel else channel


def shown(channels: tuple[str, ...]) -> str:
    """``conda-forge and https://example.org/mine``"""
    return " and ".join(public(channel) for channel in channels)
