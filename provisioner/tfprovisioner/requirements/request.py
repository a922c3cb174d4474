"""What a user asks for, one request for one kernel, and the recipe of the environment that it needs."""

import functools
import hashlib
import json
import platform
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from tfprovisioner.catalogue import releases
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.conda import channels
from tfprovisioner.errors import BadLock, BadRequirement
from tfprovisioner.gpu import cuda
from tfprovisioner.pythons import choose
from tfprovisioner.pythons.choose import Interpreter, is_version
from tfprovisioner.requirements import lines, lock_file
from tfprovisioner.requirements.lock_file import Lock

USUAL = "usual"
"""In place of an interpreter, a conda program, a lock or a day: forget the one that the kernel was made with."""

_FILE = "FILE"
"""In commands, in place of a lock that has no file yet."""

EXISTING = "existing"
"""The backend of environments that users made themselves."""


def lasting(named: str | None) -> str | None:
    """A version as it is; a program or a folder by its absolute path: the request may be repeated from elsewhere."""
    if named is None or is_version(named) or named == USUAL:
        return named
    path = Path(named).expanduser()
    if path.exists() or path.name != named:
        return str(path.absolute())
    return shutil.which(named) or named


@dataclass(frozen=True)
class InstallRequest:
    """The arguments of one ``tfkernels install``. An existing kernel keeps its values for those that are left out."""

    release: str
    """As typed: ``tf1``, ``1.15``, ``2.11.0``."""
    name: str | None = None
    user: bool = False
    rebuild: bool = False
    backend: str | None = None
    """``uv``, the default of a new kernel, or ``conda``."""
    extras: tuple[str, ...] = ()
    """Requirements beside TensorFlow's, ``matplotlib<3.5``."""
    python: str | None = None
    """A version (``3.10``, ``3.10.13``), or the path of an interpreter or of its environment."""
    channels: tuple[str, ...] = ()
    """Of conda, by name or address; none means conda-forge."""
    conda: str | None = None
    """The user's own conda, mamba or micromamba."""
    without: tuple[str, ...] = ()
    """Packages to remove that the kernel was made with."""
    gpu: bool | None = None
    """With the GPU distribution and CUDA's libraries."""
    devices: str | None = None
    """The GPUs that the kernel sees, ``0,1``, ``all`` or ``none``."""
    lock: str | None = None
    """The path of a lock file, or its text: exactly which packages, in place of the release's own."""
    as_of: str | None = None
    """A day, ``2018-11-30``: the packages are those that the index had at its end."""
    only_binary: bool | None = None
    """Nothing is built from source; with a lock, that holds unless it is false."""
    bundle: str | None = None
    """The path of the bundle that this installation takes its packages from. A later one without it uses the index."""
    resolved: str | None = None
    """The text of the lock that ``extras`` were resolved to elsewhere; not kept."""
    prefix: str | None = None
    """The folder, like ``/usr/local``, below which the kernel is registered for all who look there."""
    relax: bool = False
    """Whether an error about conflicts says how to loosen the requirements, too."""

    @property
    def kernel(self) -> str:
        """The name that the kernel gets."""
        return self.name or releases.kernel_name(self.release)

    @functools.cached_property
    def catalogue_entry(self) -> Release:
        """What the catalogue knows of the release. Raises ``UnknownRelease``."""
        return releases.find(self.release, self.as_of)

    @functools.cached_property
    def locked(self) -> Lock | None:
        """The lock that it was asked for with. Raises ``BadLock``."""
        if self.lock is None or self.lock == USUAL:
            return None
        if "\n" in self.lock:
            return lock_file.parsed(self.lock, "The lock")
        return lock_file.parsed(lock_file.read(Path(self.lock)), self.lock)

    @property
    def verified_lock(self) -> str | None:
        """The catalogue's lock; ``None`` for a release that it does not know yet, and for packages of another day."""
        if self.as_of is not None:
            return None
        return cuda.lock(self.catalogue_entry) if self.gpu else self.catalogue_entry.lock

    @property
    def python_path(self) -> str | None:
        """``python``, if it is no version."""
        return None if self.python is None or is_version(self.python) else self.python

    def python_minors(self) -> tuple[str, ...]:
        """The Pythons (``3.7``) that it can have, the preferred first. Raises ``NoInterpreter``."""
        return choose.minors(self.catalogue_entry, self.python)

    def choose_interpreter(self) -> Interpreter:
        """The Python that it gets; the search takes seconds. Raises ``NoInterpreter``."""
        return choose.choose(self.catalogue_entry, self.python, self.channels, self.backend == "conda")

    @property
    def command(self) -> str:
        """The command that makes this kernel again; error messages show it."""
        name = self.kernel if self.lock else self.name  # of a lock it is not the release's
        named = [*(["--name", name] if name else []), *_place(self)]
        extras = [word for requirement in self.extras if not self.bundle for word in ("--with", requirement)]
        chosen = [word for choice in self.choices for word in choice]
        release = [] if self.lock else [self.release]  # a lock says it
        return shlex.join(["tfkernels", "install", *release, *named, *chosen, *extras])

    @property
    def choices(self) -> tuple[tuple[str, ...], ...]:
        """How the kernel is made, as options of the command line."""
        devices = None if self.devices == "all" else self.devices
        if self.bundle:  # it decides all else
            return tuple(filter(all, [("--bundle", self.bundle), ("--devices", devices or "")]))
        chosen = [
            ("--lock", _FILE if self.lock and "\n" in self.lock else self.lock),
            ("--backend", self.backend),
            ("--python", self.python),
        ]
        chosen += [("--channel", channels.public(channel)) for channel in self.channels]
        chosen += [("--conda-exe", self.conda), ("--gpu", "" if self.gpu else None)]
        chosen += [("--devices", devices), ("--as-of", self.as_of)]
        chosen += [("--only-binary", "" if self.only_binary else None)]
        chosen += [("--no-only-binary", "" if self.lock and self.only_binary is False else None)]
        return tuple((option, value) if value else (option,) for option, value in chosen if value is not None)

    def completed(self, before: "InstallRequest | None") -> "InstallRequest":
        """With everything that a kernel was made with ``before``: nothing of the user's is lost unasked.

        Raises ``BadRequirement`` for a package to remove that the kernel was not made with, and for packages beside
        those of a lock.
        """
        old = before or InstallRequest(self.release)
        lock = _chosen(self.lock, old.lock)
        if lock is not None:
            return self._completed_with(lock, old)
        backend = self.backend or old.backend
        # A kernel of conda's packages has its Python from there, too.
        python = None if backend == "conda" and old.python_path else old.python
        return replace(
            self,
            backend=backend,
            extras=lines.merged(old.extras, self.extras, self.without),
            python=_chosen(self.python, python),
            channels=self.channels or old.channels,
            conda=_chosen(self.conda, old.conda),
            gpu=bool(old.gpu) if self.gpu is None else self.gpu,
            devices=self.devices or old.devices,
            lock=None,
            as_of=_chosen(self.as_of, old.as_of),
            only_binary=bool(old.only_binary) if self.only_binary is None else self.only_binary,
        )

    def _completed_with(self, lock: str, old: "InstallRequest") -> "InstallRequest":
        """With a lock: all that decides about packages comes from it."""
        chosen = {"--with": self.extras, "--without": self.without, "--backend conda": self.backend == "conda"}
        chosen |= {"--gpu": self.gpu, "--no-gpu": self.gpu is False, "--as-of": self.as_of not in (None, USUAL)}
        one = next((option for option, value in chosen.items() if value), None)
        if one is not None:
            raise BadRequirement(
                f"Cannot use {one} for the kernel {self.kernel}: it is made from a lock, which has all its packages. "
                f"Let tfkernels choose packages again with: --lock {USUAL}"
            )
        python, devices = _chosen(self.python, old.python), self.devices or old.devices
        # Whether sources may be built was said for the lock that the kernel has now; this may be somebody else's.
        said = old.only_binary if self.lock is None else None
        whole = replace(
            self, lock=lock, only_binary=said if self.only_binary is None else self.only_binary, as_of=None,
            python=python, devices=devices, channels=self.channels or old.channels,
            conda=_chosen(self.conda, old.conda),
        )  # fmt: skip
        locked = whole.locked
        assert locked is not None
        if releases.find(self.release).version != locked.release:
            raise BadLock(
                f"The kernel {self.kernel} is made from a lock of TensorFlow {locked.release}. Choose another name "
                f"with --name, or let tfkernels choose packages again with: --lock {USUAL}"
            )
        pinned = {lines.name_of(pin) for pin in locked.chosen}
        held = lines.holding(lines.divided(old.extras)[0], locked.python)
        lost = [line for line, name, _ in held if name not in pinned and not releases.is_tensorflow(name)]
        if lost:
            raise BadRequirement(
                f"The kernel {self.kernel} was made with {', '.join(map(lines.without_hashes, lost))}, which the lock "
                f"does not have. Choose another name with --name."
            )
        return replace(whole, python=whole.python or locked.python, gpu=locked.gpu)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON to make the same kernel from, without passwords and without what holds once only."""
        once: dict[str, Any] = {"rebuild": False, "relax": False, "without": (), "resolved": None}
        lasting = replace(self, channels=tuple(map(channels.public, self.channels)), **once)
        content: dict[str, Any] = json.loads(json.dumps(asdict(lasting)))
        return content

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "InstallRequest":
        """The request that ``to_json`` wrote, perhaps of another version: unknown fields are left out.

        Raises ``TypeError``.
        """
        return cls(**_frozen({field.name: content[field.name] for field in fields(cls) if field.name in content}))


def _frozen(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists in place of tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}


def _chosen(now: str | None, before: str | None) -> str | None:
    return before if now is None else None if now == USUAL else now


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which files are in an environment."""

    tensorflow: str
    python: str
    """Minor version, ``3.7``."""
    backend: str
    lock: str
    """SHA-256 of the text of the lock, or of the requirements to resolve if the release has none yet."""
    platform: str
    extras: tuple[str, ...] = ()
    """The user's requirements, sorted. They are resolved when the environment is built, not when one is looked for."""
    interpreter: str = ""
    """The value of ``--python``, if that was more than a minor version: a patch release, or a path."""
    channels: tuple[str, ...] = ()
    """Of the conda backend, without passwords."""
    gpu: bool = False
    """With CUDA's libraries; ``lock`` has them."""
    as_of: str = ""
    """The day whose packages it has."""
    only_binary: bool = False
    """Nothing in it was built from source."""

    @classmethod
    def of(cls, request: InstallRequest, python: str) -> "Recipe":
        """The recipe of a request on a Python of the given minor version, on this machine."""
        release, of_conda = request.catalogue_entry, request.backend == "conda"
        exact = request.python if request.python_path or (request.python or "").count(".") > 1 else None
        ours = request.verified_lock or "\n".join(release.requirements + release.constraints)
        locked = request.locked.text if request.locked is not None else ours
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
            as_of=request.as_of or "",
            only_binary=bool(request.only_binary),
        )

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Recipe":
        """The recipe that ``dataclasses.asdict`` and JSON wrote. Raises ``TypeError``, ``KeyError``."""
        return cls(**_frozen(content))

    @property
    def name(self) -> str:
        """A folder name that people can read and that no other recipe has."""
        content = asdict(self)
        for later in ("as_of", "only_binary"):  # environments of earlier versions keep their names
            if not content[later]:
                del content[later]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"tensorflow-{self.tensorflow}-py{self.python}-{digest[:12]}"


def made_by(described: Mapping[str, Any]) -> InstallRequest | None:
    """The request that a kernel was made by; ``None`` if it is one of an environment that the user added.

    ``described`` is ``metadata.tfkernels`` of its ``kernel.json``.
    """
    if not described or described.get("backend") == EXISTING:
        return None
    try:
        return InstallRequest.from_json(described["order"])
    except (KeyError, TypeError):  # written before requests were kept, or by somebody else
        parts = {name: described[name] for name in {"backend", "gpu", "devices", "extras"} & described.keys()}
        return InstallRequest.from_json({"release": described.get("release", ""), **parts})


@dataclass(frozen=True)
class AddRequest:
    """The arguments of one ``tfkernels add``: a kernel of an environment that the user has."""

    path: str
    """The environment's folder, absolute."""
    kernel: str
    """The name that the kernel gets."""
    user: bool = False
    prefix: str | None = None
    """As in ``InstallRequest``."""

    @property
    def command(self) -> str:
        """The command that makes this kernel again."""
        return shlex.join(["tfkernels", "add", self.path, "--name", self.kernel, *_place(self)])


def _place(request: InstallRequest | AddRequest) -> list[str]:
    """Where a kernel is registered, as options."""
    if request.prefix is not None:
        return ["--prefix", request.prefix]
    return ["--user"] if request.user else []
