"""ZIP archives of strangers: parts are read where they are. Nothing is unpacked, so that no path is written to."""

import io
import os
import zipfile
import zlib
from typing import Any, BinaryIO, Dict, Optional, cast

from tfkernels.errors import UnreadableFile
from tfkernels.saved_models.limits import MOST_TEXT, check_expansion, check_length

MAGIC = b"PK\x03\x04"
_MOST_PARTS = 10_000


class Archive:
    """An archive by path. Raises ``UnreadableFile`` if it is damaged, a bomb, or has parts with addresses outside."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = os.path.getsize(path)
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        # zipfile raises NotImplementedError for an archive of a later version of the format.
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise UnreadableFile(f"it is a damaged archive ({error})") from error
        check_length(len(infos), _MOST_PARTS, "its number of parts")
        self.parts: Dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            parts = info.filename.replace("\\", "/").split("/")
            if ".." in parts or not parts[0] or ":" in parts[0]:
                raise UnreadableFile(f"its part {info.filename[:200]!r} has an address outside of it")
            if info.filename in self.parts:
                raise UnreadableFile(f"its part {info.filename[:200]!r} is there twice")
            check_expansion(info.file_size, info.compress_size, f"its part {info.filename[:200]!r}")
            self.parts[info.filename] = info
        check_expansion(sum(info.file_size for info in infos), self.size, "it")

    def text(self, name: str) -> Optional[bytes]:
        if name not in self.parts:
            return None
        check_length(self.parts[name].file_size, MOST_TEXT, f"its part {name}")
        return self._read(name)

    def _read(self, name: str) -> bytes:
        """All of a part; not more than it is said to have, and its checksum is checked."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.parts[name]) as part:
                return part.read(self.parts[name].file_size)
        # zipfile raises NotImplementedError for a way of compression that it lacks, and RuntimeError for a password.
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
            raise UnreadableFile(f"its part {name} is damaged ({error})") from error

    def open(self, name: str) -> BinaryIO:
        """A part as a file: the section of the archive if it is stored as it is, else in memory."""
        info = self.parts[name]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            return io.BytesIO(self._read(name))
        with open(self.path, "rb") as file:
            file.seek(info.header_offset)
            header = file.read(30)
        if header[:4] != MAGIC or len(header) < 30:
            raise UnreadableFile(f"its part {name} is damaged")
        start = (
            info.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        )
        if start + info.file_size > self.size:
            raise UnreadableFile(f"its part {name} is cut off")
        return cast(BinaryIO, _Section(self.path, start, info.file_size))


class _Section(io.RawIOBase):
    """A part of a file, which h5py reads as if it were a file of its own."""

    def __init__(self, path: str, start: int, size: int) -> None:
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 (close ends it)
        self._start, self._size, self._place = start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = 0) -> int:
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._place))
        self._file.seek(self._start + self._place)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
