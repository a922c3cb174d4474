"""Files of a lock's packages: where each comes from, how large it is, and when it was uploaded."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tfprovisioner.catalogue import locks
from tfprovisioner.errors import BuildFailed
from tfprovisioner.requirements.lines import name_of
from tfprovisioner.resolution import pylock
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system import uv
from tfprovisioner.system.redact import public

_Answer = TypeVar("_Answer")


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

    def asked(*more: str) -> list[dict[str, Any]]:
        words = ["--no-deps", *options, *more]
        return pylock.packages(lock, words, folder, lambda words: builds.run(words, folder, say))

    return tuple(map(_file, _by_cache(asked)))


def cached(lock: str, options: Iterable[str], builds: SourceBuilds, folder: Path) -> frozenset[str] | None:
    """The packages of a lock whose files are in uv's cache; ``None`` if uv does not say it. Raises ``BuildFailed``."""
    source = folder / "pinned.txt"
    source.write_text(lock, encoding="utf-8")
    arguments = ["pip", "install", "--dry-run", "--verbose", "--no-deps", "--require-hashes", *options]
    # An empty place to install to: the options name a Python, which has packages of its own.
    arguments += ["--target", str(folder / "nothing"), "--requirements", str(source)]

    def asked(*more: str) -> list[str]:
        lines: list[str] = []
        builds.run([*arguments, *more], folder, lines.append)
        return lines

    try:
        text = "\n".join(_by_cache(asked))
    finally:
        source.unlink(missing_ok=True)
    found = frozenset(re.findall(r"requirement already cached: ([\w.-]+?)(?:==| @ )", text))
    missing, every = (
        int(([0, *re.findall(rf"Would {word} (\d+) packages?", text)])[-1]) for word in ("download", "install")
    )
    return found if len(found) + missing == every else None  # its log may have other words one day


def unlike(lock: str, options: Iterable[str], builds: SourceBuilds, folder: Path) -> list[str]:
    """The pins of a lock of which the index has no file with one of their hashes; none if it cannot be asked."""
    pins, hashes = locks.split(lock)
    source, served = folder / "pinned.txt", folder / "served.txt"
    arguments = ["pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-header", "--no-annotate"]
    try:
        source.write_text("\n".join(pins), encoding="utf-8")
        builds.run([*arguments, *options, str(source), "--output-file", str(served)], folder, lambda _: None)
        there = {
            name_of(pin): set(digests) for pin, digests in locks.split(served.read_text(encoding="utf-8"))[1].items()
        }
    except BuildFailed:
        return []
    finally:
        source.unlink(missing_ok=True)
        served.unlink(missing_ok=True)
    mine = {pin: hashes[pin.partition(" ;")[0]] for pin in pins}
    return [pin for pin in pins if there.get(name_of(pin)) and there[name_of(pin)].isdisjoint(mine[pin])]


def _by_cache(asked: Callable[..., _Answer]) -> _Answer:
    """uv's answer by its cache, as the installation gets it; by the index if the cache does not know enough.

    Most locks were resolved a moment ago, and the index would be asked for each package again.
    """
    if not uv.offline():
        with suppress(BuildFailed):
            return asked("--offline")
    return asked()


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
