"""Files of a lock's packages: where each comes from, how large it is, and when it was uploaded."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.resolution import pylock
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system.redact import public


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
    found = pylock.packages(lock, ["--no-deps", *options], folder, lambda words: builds.run(words, folder, say))
    return tuple(map(_file, found))


def cached(lock: str, options: Iterable[str], builds: SourceBuilds, folder: Path) -> frozenset[str] | None:
    """The packages of a lock whose files are in uv's cache; ``None`` if uv does not say it. Raises ``BuildFailed``."""
    source, lines = folder / "pinned.txt", list[str]()
    source.write_text(lock, encoding="utf-8")
    arguments = ["pip", "install", "--dry-run", "--verbose", "--no-deps", "--require-hashes", *options]
    # An empty place to install to: the options name a Python, which has packages of its own.
    arguments += ["--target", str(folder / "nothing"), "--requirements", str(source)]
    try:
        builds.run(arguments, folder, lines.append)
    finally:
        source.unlink(missing_ok=True)
    text = "\n".join(lines)
    found = frozenset(re.findall(r"requirement already cached: ([\w.-]+?)(?:==| @ )", text))
    missing, every = (
        int(([0, *re.findall(rf"Would {word} (\d+) packages?", text)])[-1]) for word in ("download", "install")
    )
    return found if len(found) + missing == every else None  # its log may have other words one day


def _file(package: dict[str, Any]) -> LockedFile:
    wheels = package.get("wheels")
    file = wheels[0] if wheels else package.get("archive") or package["sdist"]
    uploaded = file.get("upload-time")
    return LockedFile(
        name=package["name"],
        version=package.get("version", ""),
        url=public(file.get("url") or file.get("path", "")),
        built=pylock.is_built(package),
        size=file.get("size"),
        uploaded=uploaded.date().isoformat() if uploaded else None,
    )
