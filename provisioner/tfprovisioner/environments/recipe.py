"""What an environment is made from. Equal recipes give equal environments; the hash names the folder."""

import hashlib
import json
import platform
import re
import sys
from dataclasses import asdict, dataclass
from typing import Any

from tfprovisioner.catalogue.releases import Release
from tfprovisioner.conda import channels
from tfprovisioner.environments.request import InstallRequest
from tfprovisioner.gpu import cuda


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is in an environment."""

    tensorflow: str
    python: str
    """Minor version, ``3.7``."""
    backend: str
    lock: str
    """SHA-256 of the text of the release's lock, or of what it is resolved from if it has none yet."""
    platform: str
    extras: tuple[str, ...] = ()
    """The user's requirements, sorted. They are resolved when the environment is built, not when one is looked for."""
    interpreter: str = ""
    """What ``--python`` said, if that was more than a minor version: a patch release, or a path."""
    channels: tuple[str, ...] = ()
    """Of the conda backend, without passwords."""
    gpu: bool = False
    """With CUDA's libraries; ``lock`` has them."""

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Recipe":
        """What ``dataclasses.asdict`` and JSON made of one. Raises ``TypeError``, ``KeyError``."""
        return cls(**{**content, **{name: tuple(content.get(name, ())) for name in ("extras", "channels")}})

    @property
    def name(self) -> str:
        """A folder name that people can read and that no other recipe has."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"tensorflow-{self.tensorflow}-py{self.python}-{digest[:12]}"


def recipe_for(order: InstallRequest, release: Release, python: str) -> Recipe:
    """The recipe of an order on a Python of the given minor version, on this machine."""
    return Recipe(
        tensorflow=release.version,
        python=python,
        backend=order.backend or "uv",
        lock=hashlib.sha256(_decided(order, release).encode()).hexdigest(),
        platform=f"{sys.platform}-{platform.machine().lower()}",
        extras=tuple(sorted(order.extras)),
        interpreter=order.python if order.python and not re.fullmatch(r"\d+(\.\d+)?", order.python) else "",
        channels=tuple(map(channels.public, channels.chosen(order.channels))) if order.backend == "conda" else (),
        gpu=bool(order.gpu),
    )


def _decided(order: InstallRequest, release: Release) -> str:
    known = cuda.lock(release) if order.gpu else release.lock
    return known or "\n".join(release.requirements + release.constraints)
