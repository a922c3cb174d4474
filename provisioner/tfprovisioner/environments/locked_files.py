"""Files of a lock's packages: where each comes from, how large it is, and when it was uploaded.

uv writes these facts as ``pylock.toml`` (PEP 751).
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.environments.source_builds import SourceBuilds
from tfprovisioner.system.redact import redacted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class LockedFile:
    """The file that one package is installed from."""

    name: str
    """Normalized."""
    version: str
    url: str
    """Without secrets."""
    built: bool
    """Whether it is a source distribution, from which a wheel is built."""
    size: int | None
    """Bytes; ``None`` if the index does not say it."""
    uploaded: str | None
    """The day, ``2018-11-30``; ``None`` if the index does not say it."""


def of(
    lock: str, options: Iterable[str], builds: SourceBuilds, folder: Path, say: Callable[[str], None]
) -> tuple[LockedFile, ...]:
    """The files of a lock, for uv's ``options``. Scratch files go to ``folder``. Raises ``BuildFailed``."""
    source, found = folder / "pinned.txt", folder / "pylock.toml"
    try:
        source.write_text(lock, encoding="utf-8")
        arguments = ["pip", "compile", "--quiet", "--no-header", "--no-deps", "--format", "pylock.toml", *options]
        builds.run([*arguments, str(source), "--output-file", str(found)], folder, say)
        packages = tomllib.loads(found.read_text(encoding="utf-8"))["packages"]
        return tuple(map(_file, packages))
    finally:
        source.unlink(missing_ok=True)
        found.unlink(missing_ok=True)


def _file(package: dict[str, Any]) -> LockedFile:
    wheels = package.get("wheels")
    file = wheels[0] if wheels else package.get("archive") or package["sdist"]
    uploaded = file.get("upload-time")
    return LockedFile(
        name=package["name"],
        version=package.get("version", ""),
        url=redacted(file.get("url") or file.get("path", "")),
        built="sdist" in package and not wheels,
        size=file.get("size"),
        uploaded=uploaded.date().isoformat() if uploaded else None,
    )
