"""What an environment is made from. Equal recipes give equal environments; the hash names the folder."""

import hashlib
import json
import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

from tfprovisioner.conda import channels
from tfprovisioner.environments.request import InstallRequest


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which files are in an environment."""

    tensorflow: str
    python: str
    """Minor version, ``3.7``."""
    backend: str
    lock: str
    """SHA-256 of the text of the release's lock, or of the requirements to resolve if it has none yet."""
    platform: str
    extras: tuple[str, ...] = ()
    """The user's requirements, sorted. They are resolved when the environment is built, not when one is looked for."""
    interpreter: str = ""
    """The value of ``--python``, if that was more than a minor version: a patch release, or a path."""
    channels: tuple[str, ...] = ()
    """Of the conda backend, without passwords."""
    gpu: bool = False
    """With CUDA's libraries; ``lock`` has them."""

    @classmethod
    def of(cls, request: InstallRequest, python: str) -> "Recipe":
        """The recipe of a request on a Python of the given minor version, on this machine."""
        release, of_conda = request.catalogue_entry, request.backend == "conda"
        exact = request.python if request.python_path or (request.python or "").count(".") > 1 else None
        locked = request.verified_lock or "\n".join(release.requirements + release.constraints)
        return cls(
            tensorflow=release.version,
            python=python,
            backend=request.backend or "uv",
            lock=hashlib.sha256(locked.encode()).hexdigest(),
            platform=f"{sys.platform}-{platform.machine().lower()}",
            extras=tuple(sorted(request.extras)),
            interpreter=exact or "",
            channels=tuple(map(channels.public, channels.chosen(request.channels))) if of_conda else (),
            gpu=bool(request.gpu),
        )

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Recipe":
        """The recipe that ``dataclasses.asdict`` and JSON wrote. Raises ``TypeError``, ``KeyError``."""
        return cls(**{**content, **{name: tuple(content.get(name, ())) for name in ("extras", "channels")}})

    @property
    def name(self) -> str:
        """A folder name that people can read and that no other recipe has."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"tensorflow-{self.tensorflow}-py{self.python}-{digest[:12]}"
