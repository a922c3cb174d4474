"""A lock inside a notebook: compressed text of at most 20 kB, which is unpacked with a limit.

Nearly all of a lock is hashes. A large one keeps only those of the files that this platform and Python take.
"""

import base64
import binascii
import re
import tempfile
import zlib
from pathlib import Path

from tfprovisioner.errors import BadLock, BuildFailed
from tfprovisioner.requirements import lock_file
from tfprovisioner.requirements.lock_file import Lock
from tfprovisioner.system import uv

MAX_LETTERS = 20_000
"""Of a compressed lock."""


def compressed(lock: Lock, python: Path) -> tuple[Lock, str | None]:
    """A lock, perhaps with fewer hashes, and its text in base64, which is ``None`` if it is too large.

    ``python`` is the interpreter that it is for.
    """
    text = _packed(lock)
    if len(text) > MAX_LETTERS:
        lock = _for_this_platform(lock, python)
        text = _packed(lock)
    return lock, text if len(text) <= MAX_LETTERS else None


def _packed(lock: Lock) -> str:
    return base64.b64encode(zlib.compress(lock.text.encode(), 9)).decode()


def _for_this_platform(lock: Lock, python: Path) -> Lock:
    """The pins that hold here, with the hashes of the files that fit; with all hashes if no index can be asked."""
    with tempfile.TemporaryDirectory() as scratch:
        source, found = Path(scratch, "requirements.txt"), Path(scratch, "pylock.toml")
        source.write_text(lock.text, encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--no-deps", "--format", "pylock.toml", "--python", str(python)]
        for options in (["--offline"], []):  # uv's cache knows the files of what was just resolved
            try:
                uv.run([*arguments, *options, str(source), "--output-file", str(found)], Path(scratch), lambda _: None)
            except BuildFailed:
                continue
            fitting = set(re.findall(r'\.whl".*?sha256 = "([0-9a-f]{64})"', found.read_text(encoding="utf-8")))
            hashes = {pin: tuple(digest for digest in of if digest in fitting) for pin, of in lock.hashes.items()}
            kept = {pin: hashes[pin] or lock.hashes[pin] for pin in lock.chosen}
            return Lock(tuple(kept), kept, lock.python, lock.platform, lock.kernel)
    return lock


def unpacked(text: str, heading: str, source: str) -> Lock:
    """The lock of a compressed text; ``heading`` has its Python and platform. Raises ``BadLock``."""
    if len(text) > MAX_LETTERS:
        raise BadLock(f"{source} is too large: a lock in a notebook has at most {MAX_LETTERS / 1e3:.0f} kB.")
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(base64.b64decode(text, validate=True), lock_file.MAX_BYTES + 1)
        if len(content) > lock_file.MAX_BYTES:
            raise BadLock(f"{source} unpacks to more than {lock_file.MAX_BYTES / 1e6:.0f} MB.")
        if not stream.eof or stream.unused_data:
            raise BadLock(f"{source} is damaged: its end is missing, or more follows.")
        return lock_file.parsed(heading + content.decode("utf-8"), source)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise BadLock(f"{source} is damaged: it is no compressed text ({str(error)[:80]}).") from error
