"""The kernel that a notebook was pinned to, or run on: all that is needed to have the same one again."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tfkernels
from tfprovisioner.catalogue import locks as catalogue_locks
from tfprovisioner.catalogue import releases
from tfprovisioner.errors import BadLock, BadNotebook
from tfprovisioner.kernelspecs import locks, write
from tfprovisioner.notebook_metadata import compressed_lock, notebook_file
from tfprovisioner.notebook_metadata.notebook_file import FORMAT, KEY, NotebookFile
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.lock_file import Lock

KERNEL = "kernel"
"""Under our key: the pinned kernel."""

_FIELDS = {
    "name": write.NAME,
    "release": r"\d{1,3}(\.\d{1,3}){1,3}(\.post\d{1,2})?",
    "python": r"3\.\d{1,2}",
    "platform": r"[a-z0-9_-]{1,30}",
    "packages": r"[0-9a-f]{16}",
    "sha256": r"[0-9a-f]{64}",
    "tfkernels": r"[0-9a-z.+-]{1,40}",
}
"""The texts of a pinned kernel, and what they may be."""

_MAX_CHANGES = 50
_CHANGE = r"[\w .=+!-]{1,100}"


@dataclass(frozen=True)
class PinnedKernel:
    """Plain data; every text was checked."""

    name: str
    """Of the kernel where it was pinned."""
    release: str
    python: str
    """Minor version."""
    platform: str
    """The machine that it was pinned on."""
    packages: str
    """``Lock.fingerprint``."""
    sha256: str
    """Of the lock's text."""
    tfkernels: str
    """The version that wrote this."""
    lock: str | None = None
    """Compressed; ``None`` if it is the catalogue's, or too large."""
    verified: bool = False
    """Whether the lock is the catalogue's for the release."""
    gpu: bool = False
    """With CUDA's libraries."""
    changes: tuple[str, ...] = ()
    """How the kernel differed from its lock, because a user changed it by hand; a phrase for each package."""

    @property
    def title(self) -> str:
        return f"{self.name} (TensorFlow {self.release}, Python {self.python})"

    def to_json(self) -> dict[str, Any]:
        """What goes into the notebook."""
        told: dict[str, Any] = {field: getattr(self, field) for field in _FIELDS}
        told |= {"verified": self.verified, "gpu": self.gpu}
        told |= {"lock": self.lock} if self.lock is not None else {}
        return told | ({"changes": list(self.changes)} if self.changes else {})

    @classmethod
    def of(cls, lock: Lock, python: Path, changes: Sequence[str] = ()) -> "PinnedKernel":
        """A kernel by its lock; ``python`` is its environment's."""
        verified, text = lock.is_verified, None
        if not verified:
            lock, text = compressed_lock.compressed(lock, python)
        return cls(
            name=lock.kernel,
            release=lock.release,
            python=lock.python,
            platform=lock.platform,
            packages=lock.fingerprint,
            sha256=_digest(lock),
            tfkernels=tfkernels.__version__,
            lock=text,
            verified=verified,
            gpu=lock.gpu,
            changes=tuple(change for change in changes[:_MAX_CHANGES] if re.fullmatch(_CHANGE, change)),
        )

    def whole_lock(self, path: Path) -> Lock:
        """The lock; ``path`` is the notebook's. Raises ``BadLock``, ``BadNotebook``."""
        source = f"The lock in {path}"
        if self.platform not in catalogue_locks.MACHINES:
            raise BadLock(f"{source} is for {self.platform!r}, a machine that TensorFlow has no wheels for.")
        if self.lock is not None:
            heading = f"# python: {self.python}\n# platform: {self.platform}\n# kernel: {self.name}\n"
            lock = compressed_lock.unpacked(self.lock, heading, source)
            if (lock.release, lock.fingerprint, _digest(lock)) != (self.release, self.packages, self.sha256):
                raise BadLock(f"{source} is not the one of TensorFlow {self.release} that the notebook names.")
            return lock
        if not self.verified:
            raise BadLock(
                f"{path} was pinned without its lock, which is too large for a notebook. Ask for it where the kernel "
                f"{self.name} is, with tfkernels lock {self.name} > FILE, and run: tfkernels install --lock FILE"
            )
        known = lock_file.of_release(self.release, self.python, releases.platform_name(), self.gpu, self.name)
        if known is None or _digest(known) != self.sha256:
            raise BadLock(
                f"{path} was pinned by tfkernels {self.tfkernels}, whose lock of TensorFlow {self.release} this "
                f"tfkernels {tfkernels.__version__} does not have. Install that one: pip install "
                f"tfkernels=={self.tfkernels}. Or take today's packages: tfkernels install {self.release}"
            )
        return known


def _digest(lock: Lock) -> str:
    return hashlib.sha256(lock.text.encode()).hexdigest()


def of_kernel(name: str) -> PinnedKernel:
    """A registered kernel. Raises ``UnknownKernel``, ``ProvisionError``."""
    lock, environment = locks.of_kernel(name)
    return PinnedKernel.of(lock, environment.python, locks.changes(environment))


def parsed(content: Mapping[str, Any], path: Path) -> PinnedKernel:
    """The pinned kernel of a notebook's metadata. Raises ``BadNotebook``."""
    problem = f"{path}: its metadata {KEY!r} is not of tfkernels"
    checked = {}
    for field, pattern in _FIELDS.items():
        value = content.get(field)
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise BadNotebook(f"{problem} ({field}: {repr(value)[:60]}). {notebook_file.unpin(path)}")
        checked[field] = value
    lock, verified, gpu = (content.get(field) for field in ("lock", "verified", "gpu"))
    if not isinstance(lock, str | None) or not isinstance(verified, bool) or not isinstance(gpu, bool):
        raise BadNotebook(f"{problem} (lock, verified or gpu). {notebook_file.unpin(path)}")
    changes = content.get("changes", [])
    if not isinstance(changes, list) or len(changes) > _MAX_CHANGES:
        raise BadNotebook(f"{problem} (changes). {notebook_file.unpin(path)}")
    if not all(isinstance(change, str) and re.fullmatch(_CHANGE, change) for change in changes):
        raise BadNotebook(f"{problem} (changes: {repr(changes)[:60]}). {notebook_file.unpin(path)}")
    return PinnedKernel(**checked, lock=lock, verified=verified, gpu=gpu, changes=tuple(changes))


def pinned(notebook: NotebookFile) -> PinnedKernel | None:
    """The kernel that a notebook was pinned to or run on, if it says so. Raises ``BadNotebook``."""
    content = notebook.ours.get(KERNEL)
    if content is None:
        return None
    if not isinstance(content, dict):
        raise BadNotebook(f"{notebook.path}: its kernel is {repr(content)[:60]}. {notebook_file.unpin(notebook.path)}")
    return parsed(content, notebook.path)


def entry(kernel: PinnedKernel | None, **more: Any) -> dict[str, Any]:
    """What is put under our key."""
    return {"format": FORMAT, **({KERNEL: kernel.to_json()} if kernel is not None else {}), **more}
