"""Files of a lock's packages: where each comes from, how large it is, and when it was uploaded.

uv writes these facts as ``pylock.toml`` (PEP 751).
"""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.environments.source_builds import SourceBuilds
from tfprovisioner.system.redact import public

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
    found = packages(lock, ["--no-deps", *options], folder, lambda words: builds.run(words, folder, say))
    return tuple(map(_file, found))


def packages(
    requirements: str, options: Iterable[str], folder: Path, run: Callable[[list[str]], object]
) -> list[dict[str, Any]]:
    """The packages that uv would install for requirements, as PEP 751 has them; scratch files go to ``folder``.

    ``run`` runs uv. Raises what that raises.
    """
    source, found = folder / "pinned.txt", folder / "pylock.toml"
    try:
        source.write_text(requirements, encoding="utf-8")
        run(
            [
                "pip",
                "compile",
                "--quiet",
                "--no-header",
                "--format",
                "pylock.toml",
                *options,
                str(source),
                "--output-file",
                str(found),
            ]
        )
        found_packages: list[dict[str, Any]] = tomllib.loads(found.read_text(encoding="utf-8"))["packages"]
        return found_packages
    finally:
        source.unlink(missing_ok=True)
        found.unlink(missing_ok=True)


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
        built="sdist" in package and not wheels,
        size=file.get("size"),
        uploaded=uploaded.date().isoformat() if uploaded else None,
    )
