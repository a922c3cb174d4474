"""What a user asks for: one order makes one kernel."""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner import catalogue
from tfprovisioner.conda import channels


def lasting(named: str | None) -> str | None:
    """A version as it is; a program or a folder by its absolute path, for the order may be repeated from elsewhere."""
    if named is None or _is_version(named):
        return named
    path = Path(named).expanduser()
    if path.exists() or path.name != named:
        return str(path.absolute())
    return shutil.which(named) or named


def _is_version(named: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+){0,2}", named) is not None


EXISTING = "existing"
"""The backend of environments that users made themselves."""


@dataclass(frozen=True)
class Order:
    """The arguments of one ``tfkernels install``."""

    release: str
    """As typed: ``tf1``, ``1.15``, ``2.11.0``."""
    name: str | None = None
    user: bool = False
    rebuild: bool = False
    backend: str = "uv"
    extras: tuple[str, ...] = ()
    """Requirements beside TensorFlow's, ``matplotlib<3.5``."""
    python: str | None = None
    """A version (``3.10``, ``3.10.13``), or the path of an interpreter or of its environment."""
    channels: tuple[str, ...] = ()
    """Of conda, by name or address; none means conda-forge."""
    conda: str | None = None
    """The user's own conda, mamba or micromamba."""
    without: tuple[str, ...] = ()
    """Packages that the kernel was made with and is not to have any more."""
    gpu: bool | None = None
    """With the GPU distribution and CUDA's libraries; ``None`` means as the kernel was made."""
    devices: str | None = None
    """The GPUs that the kernel sees, ``0,1``, ``all`` or ``none``; ``None`` means as the kernel was made."""

    @property
    def kernel(self) -> str:
        """The name that the kernel gets."""
        return self.name or catalogue.kernel_name(self.release)

    @property
    def python_path(self) -> str | None:
        """What ``python`` says if that is no version."""
        return None if self.python is None or _is_version(self.python) else self.python

    @property
    def command(self) -> str:
        """What a user types to make this kernel again; error messages show it."""
        words = ["tfkernels", "install", self.release]
        if self.name:
            words += ["--name", self.name]
        if self.user:
            words += ["--user"]
        if self.backend != "uv":
            words += ["--backend", self.backend]
        if self.python:
            words += ["--python", self.python]
        for channel in self.channels:
            words += ["--channel", channels.public(channel)]
        if self.conda:
            words += ["--conda-exe", self.conda]
        if self.gpu:
            words += ["--gpu"]
        if self.devices and self.devices != "all":
            words += ["--devices", self.devices]
        for extra in self.extras:
            words += ["--with", extra]
        return shlex.join(words)


@dataclass(frozen=True)
class Addition:
    """The arguments of one ``tfkernels add``: a kernel of an environment that the user has."""

    path: str
    """The environment's folder, absolute."""
    name: str
    user: bool = False
    extras: tuple[str, ...] = ()

    @property
    def kernel(self) -> str:
        """The name that the kernel gets."""
        return self.name

    @property
    def command(self) -> str:
        """What a user types to make this kernel again."""
        return shlex.join(["tfkernels", "add", self.path, "--name", self.name, *(["--user"] if self.user else [])])
