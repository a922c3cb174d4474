"""Fresh private folders for runs: input files go in, new files come back, both as zip archives."""

import io
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tfkernels.client import runtime_dir

_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
"""The time of every packed file, so that the same files give the same bytes."""


def pack(places: Mapping[Path, str]) -> bytes:
    """A zip archive of files and of whole folders, each under a name of its own.

    A link is packed as its file; devices and other special files are left out. Raises ``OSError``.
    """
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, place in places.items():
            path.stat()  # raises if it is not there
            for file in sorted(_files(path)):
                name = place if file == path else f"{place}/{file.relative_to(path).as_posix()}"
                entry = zipfile.ZipInfo(name, _TIMESTAMP)
                entry.external_attr = (file.stat().st_mode & 0o700 | stat.S_IFREG) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target)
    return packed.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """The files of an archive below ``folder``, also those whose names lead out of it. Raises ``OSError``."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for entry in archive.infolist():
            path = Path(archive.extract(entry, folder))
            if entry.external_attr >> 16 & stat.S_IXUSR and path.is_file():
                path.chmod(path.stat().st_mode | stat.S_IXUSR)


class WorkDir:
    """A fresh folder with input files."""

    def __init__(self, folder: Path, inputs: bytes | None) -> None:
        self.folder = folder
        folder.mkdir()
        if inputs is not None:
            unpack(inputs, folder)
        self._before = {path: _state(path) for path in _files(folder)}

    def changes(self) -> bytes | None:
        """A zip archive of new and changed files; ``None`` if there are none."""
        changed = [path for path in _files(self.folder) if _state(path) != self._before.get(path)]
        return pack({path: path.relative_to(self.folder).as_posix() for path in changed}) if changed else None


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for this user only, deleted at the end. A later call deletes what a killed process left."""
    folder = runtime_dir.make()
    try:
        yield folder
    finally:
        runtime_dir.remove(folder)  # as far as it goes: a child of the kernel's may still be writing


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]


def _state(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino
