"""What an environment is made from. Equal recipes give equal environments; the hash names the folder."""

import hashlib
import json
import platform
import sys
from dataclasses import asdict, dataclass

from tfprovisioner.catalogue import Release


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is in an environment."""

    tensorflow: str
    python: str
    """Minor version, ``3.7``."""
    backend: str
    lock: str
    """SHA-256 of the lock's text."""
    platform: str

    @property
    def name(self) -> str:
        """A folder name that people can read and that no other recipe has."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"tensorflow-{self.tensorflow}-py{self.python}-{digest[:12]}"


def recipe_for(release: Release, python: str) -> Recipe:
    """The recipe of a catalogued release on a Python of the given minor version on this machine, built by uv."""
    return Recipe(
        tensorflow=release.version,
        python=python,
        backend="uv",
        lock=hashlib.sha256(release.lock.read_bytes()).hexdigest(),
        platform=f"{sys.platform}-{platform.machine().lower()}",
    )
