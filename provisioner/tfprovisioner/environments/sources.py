"""Where packages come from, as the command line says it. All else is up to uv: its variables, its uv.toml, netrc."""

import os
from collections.abc import Iterable
from pathlib import Path

from tfprovisioner.errors import ProvisionError


def choose(index: str | None = None, find_links: Iterable[Path] = (), offline: bool = False) -> None:
    """Sets uv's variables for the rest of this process. What is not given stays as the user has it.

    Variables rather than arguments, since everybody on a machine can read a program's arguments, and a password may be
    part of a URL. Nothing of it is remembered: a kernel's record says what is in it, not where that came from, and the
    hashes hold for every source. Raises ``ProvisionError`` if a folder is not there.
    """
    if index is not None:
        os.environ["UV_DEFAULT_INDEX"] = index
        for name in ("UV_INDEX_URL", "UV_NO_INDEX"):  # older and contrary ways to say it
            os.environ.pop(name, None)
    folders = [folder.expanduser().absolute() for folder in find_links]
    for folder in folders:
        if not folder.is_dir():
            raise ProvisionError(f"There is no folder {folder} to take packages from. Check what follows --find-links.")
    if folders:
        os.environ["UV_FIND_LINKS"] = ",".join(str(folder) for folder in folders)
    if offline:
        os.environ["UV_OFFLINE"] = "1"
