"""Conda channels: which ones an order takes from, where they are, and how they are shown."""

import os
import re
from pathlib import Path

from tfprovisioner.system import redact

DEFAULT = ("conda-forge",)

TERMS = (
    "the channel `defaults` is Anaconda's: larger organisations need a licence for it "
    "(https://www.anaconda.com/legal). It is used because you named it"
)

_ALIAS = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


def chosen(asked: tuple[str, ...]) -> tuple[str, ...]:
    """The channels of an order: those it names, else those of ``TFKERNELS_CHANNELS``, else conda-forge."""
    configured = tuple(name.strip() for name in os.environ.get("TFKERNELS_CHANNELS", "").split(",") if name.strip())
    return asked or configured or DEFAULT


def urls(channel: str) -> tuple[str, ...]:
    """Where a channel is. A name is one of anaconda.org, or of the mirror that CONDA_CHANNEL_ALIAS names."""
    if channel == "defaults":
        return _DEFAULTS
    if re.match(r"[A-Za-z0-9+]+://", channel):
        return (channel.rstrip("/"),)
    if os.sep in channel and Path(channel).expanduser().is_dir():
        return (Path(channel).expanduser().absolute().as_uri(),)
    return (f"{os.environ.get('CONDA_CHANNEL_ALIAS', _ALIAS).rstrip('/')}/{channel}",)


def public(channel: str) -> str:
    """A channel as it may be written down: without a password or a token."""
    return redact.public(channel) if "://" in channel else channel


def shown(channels: tuple[str, ...]) -> str:
    """``conda-forge and https://example.org/mine``"""
    return " and ".join(public(channel) for channel in channels)
