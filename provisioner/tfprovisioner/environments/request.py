"""What a user asks for: one order makes one kernel."""

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tfprovisioner.catalogue import releases
from tfprovisioner.conda import channels
from tfprovisioner.environments import requirements as extras


def lasting(named: str | None) -> str | None:
    """A version as it is; a program or a folder by its absolute path, for the order may be repeated from elsewhere."""
    if named is None or _is_version(named) or named == USUAL:
        return named
    path = Path(named).expanduser()
    if path.exists() or path.name != named:
        return str(path.absolute())
    return shutil.which(named) or named


def _is_version(named: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+){0,2}", named) is not None


USUAL = "usual"
"""In place of an interpreter or a conda program: none of the user's choice, though the kernel was made with one."""

EXISTING = "existing"
"""The backend of environments that users made themselves."""


@dataclass(frozen=True)
class InstallRequest:
    """The arguments of one ``tfkernels install``. A kernel that is there keeps what is left out as it was made."""

    release: str
    """As typed: ``tf1``, ``1.15``, ``2.11.0``."""
    name: str | None = None
    user: bool = False
    rebuild: bool = False
    backend: str | None = None
    """``uv``, which is also what a new kernel is made by if nothing is said, or ``conda``."""
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
    """With the GPU distribution and CUDA's libraries."""
    devices: str | None = None
    """The GPUs that the kernel sees, ``0,1``, ``all`` or ``none``."""

    @property
    def kernel(self) -> str:
        """The name that the kernel gets."""
        return self.name or releases.kernel_name(self.release)

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
        return shlex.join([*words, *(word for choice in self.choices for word in choice), *_with(self.extras)])

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """What was chosen of how the kernel is made, as options of the command line."""
        chosen = [("--backend", self.backend), ("--python", self.python)]
        chosen += [("--channel", channels.public(channel)) for channel in self.channels]
        chosen += [("--conda-exe", self.conda), ("--gpu", "" if self.gpu else None)]
        chosen += [("--devices", None if self.devices == "all" else self.devices)]
        return tuple((option, value) if value else (option,) for option, value in chosen if value is not None)

    def completed(self, before: "InstallRequest | None") -> "InstallRequest":
        """With everything that a kernel was made with ``before``: nothing of the user's is lost unasked.

        Raises ``BadRequirement`` for a package to leave out that the kernel was not made with.
        """
        old = before or InstallRequest(self.release)
        backend = self.backend or old.backend
        # A kernel of conda's packages has its Python from there, too.
        python = None if backend == "conda" and old.python_path else old.python
        return replace(
            self,
            backend=backend,
            extras=extras.merged(old.extras, self.extras, self.without),
            python=_chosen(self.python, python),
            channels=self.channels or old.channels,
            conda=_chosen(self.conda, old.conda),
            gpu=bool(old.gpu) if self.gpu is None else self.gpu,
            devices=self.devices or old.devices,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON to make the same kernel from, without passwords and without what was for once only."""
        lasting = replace(self, channels=tuple(map(channels.public, self.channels)), rebuild=False, without=())
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(lasting).items()}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "InstallRequest":
        """What ``to_json`` made of one, here or in another version: what is not known here is left out.

        Raises ``TypeError``.
        """
        known: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in content:
                value = content[field.name]
                known[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**known)


def _with(requirements: tuple[str, ...]) -> list[str]:
    return [word for requirement in requirements for word in ("--with", requirement)]


def _chosen(now: str | None, before: str | None) -> str | None:
    return before if now is None else None if now == USUAL else now


def made_by(described: Mapping[str, Any]) -> InstallRequest | None:
    """The order that a kernel was made by; ``None`` if it is one of an environment that the user added.

    ``described`` is what its ``kernel.json`` says under ``metadata.tfkernels``.
    """
    if not described or described.get("backend") == EXISTING:
        return None
    try:
        return InstallRequest.from_json(described["order"])
    except (KeyError, TypeError):  # written before orders were kept, or by somebody else
        known = ("release", "backend", "gpu", "devices", "extras")
        return InstallRequest.from_json(
            {"release": "", **{name: described[name] for name in known if name in described}}
        )


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
