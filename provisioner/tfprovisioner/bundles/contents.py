"""A bundle's files and its manifest, and the proof that they belong together.

A bundle is a zip file without compression, or the folder that it was unpacked to. Nothing in it is believed before the
manifest's sizes and hashes were compared. Standard library only: each bundle has a copy of this module in its program.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import IO, Any

from tfprovisioner.errors import BadBundle

FORMAT = 1
MANIFEST = "manifest.json"
WHEELS, PYTHONS, CONDA, LOCKS = "wheels", "pythons", "conda", "locks"

_LARGEST_MANIFEST = 16_000_000
_BLOCK = 1 << 20
_PATH = re.compile(r"[A-Za-z0-9_.+!-]+(/[A-Za-z0-9_.+!-]+)*")
_KEY = r"cpython-(?=\d+\.\d+\.\d+-){}-[a-z0-9]+-[a-z0-9_]+-[a-z0-9]+"
_COPY = "Copy the bundle again, and compare the SHA-256 that `tfkernels bundle` printed"


@dataclass(frozen=True)
class File:
    """One file of a bundle."""

    path: str
    """Relative to the bundle, with ``/``."""
    size: int
    sha256: str
    licence: str = ""
    """As its maker states it; empty if the file does not say."""


@dataclass(frozen=True)
class Kernel:
    """A kernel that can be made from a bundle."""

    release: str
    """As typed: ``1.15``, ``tf1``."""
    version: str
    python: str
    """Minor version, ``3.7``."""
    verified: str
    """SHA-256 of the verified lock that its packages are from; empty if they are from ``lock``."""
    lock: str
    """The file of the lock that ``extras`` were resolved to; empty if they add nothing to the verified one."""
    extras: tuple[str, ...]
    files: tuple[str, ...]
    """Its packages, and its lock."""


@dataclass(frozen=True)
class BundledPython:
    """An interpreter in a bundle."""

    minor: str
    version: str
    source: str
    """``uv``: an archive of python-build-standalone. ``conda``: packages of a channel."""
    licence: str
    files: tuple[str, ...]
    key: str = ""
    """uv's name for it, ``cpython-3.13.0-linux-x86_64-gnu``."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself."""

    platform: str
    """``linux-x86_64``"""
    tfkernels: str
    """The version of tfkernels that made it, and that it has."""
    own_pythons: tuple[str, ...]
    """The Pythons (minor versions) that tfkernels itself can be installed on from it."""
    own_files: tuple[str, ...]
    """The wheels for that."""
    own_requirements: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    pythons: tuple[BundledPython, ...]
    files: tuple[File, ...]
    """All but the manifest itself."""
    made: Mapping[str, str] = field(default_factory=dict)
    """How: the command, the date, the versions of the programs."""

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def read(bundle: Path) -> Manifest:
    """The manifest of a bundle, in which every file is there and has its size. Raises ``BadBundle``."""
    with _opened(bundle) as files:
        return _manifest(bundle, files)


def check_platform(bundle: Path, manifest: Manifest, here: str) -> None:
    """Raises ``BadBundle`` if a bundle is for another kind of machine."""
    if manifest.platform != here:
        raise BadBundle(
            f"The bundle {bundle} is for {manifest.platform}, and this machine is {here}. Make another one: tfkernels "
            f"bundle {' '.join(kernel.release for kernel in manifest.kernels)} --platform {here}"
        )


def unpack(bundle: Path, folder: Path, names: Iterable[str], advance: Callable[[int], object] = int) -> None:
    """Writes files of a bundle to a folder, and compares each with its hash.

    ``advance`` gets the size of what was written since its last call. Raises ``BadBundle``; the caller then deletes
    the folder.
    """
    with _opened(bundle) as files:
        known = {file.path: file for file in _manifest(bundle, files).files}
        for name in names:
            target, digest = folder / name, hashlib.sha256()
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with files.open(name) as source, target.open("xb") as file:
                    while block := source.read(_BLOCK):
                        digest.update(block)
                        file.write(block)
                        advance(len(block))
            except zipfile.BadZipFile as error:  # a checksum of the zip file
                raise BadBundle(f"The bundle {bundle} is damaged: {name} ({error}). {_COPY}.") from None
            if digest.hexdigest() != known[name].sha256:
                raise BadBundle(f"The bundle {bundle} is damaged: {name} has another hash than its manifest. {_COPY}.")


class _Files:
    """The files of a zip file or of a folder: their sizes, and how to open one."""

    def __init__(self, sizes: Mapping[str, int], opener: Callable[[str], IO[bytes]]) -> None:
        self.sizes = sizes
        self.open = opener


@contextlib.contextmanager
def _opened(bundle: Path) -> Iterator[_Files]:
    with contextlib.ExitStack() as held:
        try:
            if bundle.is_dir():
                files = _Files(dict(_of_folder(bundle)), lambda name: (bundle / name).open("rb"))
            else:
                archive = held.enter_context(zipfile.ZipFile(bundle))
                files = _Files(_of_archive(bundle, archive), archive.open)
        except FileNotFoundError as error:
            raise BadBundle(
                f"There is no bundle {bundle}. Correct the path, or connect the disk that has it."
            ) from error
        # zipfile raises NotImplementedError for a way of compression, or a version, that it does not know.
        except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
            raise BadBundle(
                f"{bundle} is not a bundle of tfkernels, or is incomplete or damaged: {error}. {_COPY}."
            ) from error
        except OSError as error:
            raise BadBundle(f"The bundle {bundle} cannot be read: {error.strerror}. Make it readable.") from error
        yield files


def _of_archive(bundle: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for entry in archive.infolist():
        if entry.is_dir():
            continue
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BadBundle(f"{bundle} is refused: {entry.filename!r} in it is a link.")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or entry.flag_bits & 1:
            raise BadBundle(f"{bundle} is refused: {entry.filename!r} in it is compressed, and bundles are not.")
        if entry.filename in sizes:
            raise BadBundle(f"{bundle} is refused: it has {entry.filename!r} twice.")
        sizes[entry.filename] = entry.file_size
    if sum(sizes.values()) > bundle.stat().st_size:  # entries that lie over each other
        raise BadBundle(f"{bundle} is refused: its files are larger than itself.")
    return sizes


def _of_folder(bundle: Path) -> Iterator[tuple[str, int]]:
    for parent, folders, names in os.walk(bundle):
        for name in (*folders, *names):
            path = Path(parent, name)
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                raise BadBundle(f"{bundle} is refused: {str(path.relative_to(bundle))!r} in it is a link.")
            if stat.S_ISREG(status.st_mode):
                yield path.relative_to(bundle).as_posix(), status.st_size
        # Python writes it when the folder's program runs.
        folders[:] = [name for name in folders if name != "__pycache__"]


def _manifest(bundle: Path, files: _Files) -> Manifest:
    if MANIFEST not in files.sizes:
        # The end of a wheel in a bundle that was cut off looks like the end of a zip file, too.
        raise BadBundle(
            f"{bundle} is not a bundle of tfkernels, or is incomplete or damaged: it has no {MANIFEST}. {_COPY}."
        )
    if files.sizes[MANIFEST] > _LARGEST_MANIFEST:
        raise BadBundle(f"{bundle} is refused: its manifest has {files.sizes[MANIFEST]:,} bytes.")
    try:
        with files.open(MANIFEST) as file:
            text = file.read(_LARGEST_MANIFEST)
    except zipfile.BadZipFile as error:
        raise BadBundle(f"The bundle {bundle} is damaged: {MANIFEST} ({error}). {_COPY}.") from None
    try:
        content = json.loads(text)
        version = content["format"]
        manifest: Manifest | None = _built(Manifest, content) if version == FORMAT else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadBundle(
            f"{bundle} is not a bundle of tfkernels: its manifest cannot be read ({error}). {_COPY}."
        ) from None
    if manifest is None:
        raise BadBundle(
            f"The bundle {bundle} has format {version!r}, and this tfkernels reads format {FORMAT}. Use the tfkernels "
            f"in the bundle: python3 {shlex.quote(str(bundle))} ENVIRONMENT"
        )
    _check(bundle, manifest, files.sizes)
    return manifest


def _check(bundle: Path, manifest: Manifest, sizes: Mapping[str, int]) -> None:
    """Raises ``BadBundle`` if a manifest is not of the files of its bundle, or contradicts itself."""
    contradiction = next(_contradictions(manifest), None)
    if contradiction is not None:
        raise BadBundle(f"{bundle} is refused: in its manifest, {contradiction}. {_COPY}.")
    odd = next((path for path in sorted([*_paths(manifest), *sizes]) if not _is_inside(path)), None)
    if odd is not None:
        raise BadBundle(f"{bundle} is refused: {odd!r} in it is not a path inside a bundle.")
    listed = {file.path: file.size for file in manifest.files}
    if len(listed) != len(manifest.files):
        raise BadBundle(f"{bundle} is refused: its manifest has a file twice.")
    present = {name: size for name, size in sizes.items() if name != MANIFEST}
    for name in sorted({*listed, *present, *_paths(manifest)}):
        if name not in listed or listed[name] != present.get(name):
            raise BadBundle(f"The bundle {bundle} is damaged: {name!r} is not as in its manifest. {_COPY}.")


def _contradictions(manifest: Manifest) -> Iterator[str]:
    """Parts of a manifest that no bundle has."""
    for kernel in manifest.kernels:
        if kernel.lock and kernel.lock not in kernel.files:
            yield f"the lock of {kernel.release!r} is not among its files"
    for python in manifest.pythons:
        if python.source not in ("uv", "conda") or not python.files:
            yield f"Python {python.version!r} has no files, or a source that is unknown"
        elif python.source == "uv" and not re.fullmatch(_KEY.format(re.escape(python.version)), python.key):
            yield f"the key {python.key!r} of Python {python.version!r} is not one of uv's"


def _paths(manifest: Manifest) -> list[str]:
    """All paths that a manifest names."""
    parts: tuple[Kernel | BundledPython, ...] = (*manifest.kernels, *manifest.pythons)
    named = (path for part in parts for path in part.files)
    return [*(file.path for file in manifest.files), *manifest.own_files, *named]


def _is_inside(path: str) -> bool:
    return _PATH.fullmatch(path) is not None and not {".", ".."} & {*path.split("/")}


_PARTS: Mapping[str, Any] = {"kernels": Kernel, "pythons": BundledPython, "files": File}


def _built(kind: Any, content: Any) -> Any:
    """A dataclass from JSON. Fields that a later version added are left out. Raises ``TypeError``, ``KeyError``."""
    values: dict[str, Any] = {}
    for one in fields(kind):
        if one.name not in content:
            continue  # it has a default, or the call below says that it is missing
        value = content[one.name]
        if one.name in _PARTS and kind is Manifest:
            values[one.name] = tuple(_built(_PARTS[one.name], part) for part in value)
        elif one.type == "int":
            if type(value) is not int or value < 0:
                raise TypeError(f"{one.name} is no size")
            values[one.name] = value
        elif one.type == "str":
            values[one.name] = _text(one.name, value)
        elif one.name == "made":
            values[one.name] = {_text("made", name): _text(name, text) for name, text in value.items()}
        elif isinstance(value, list):
            values[one.name] = tuple(_text(one.name, text) for text in value)
        else:
            raise TypeError(f"{one.name} is no list")
    return kind(**values)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError(f"{name} is no text")
    return value
