"""The TensorFlow releases that can be installed, with the Pythons and the verified lock of each."""

import difflib
import functools
import json
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.errors import UnknownRelease

_FOLDER = Path(__file__).parent / "releases"


@dataclass(frozen=True)
class Release:
    """One release line at its newest patch. ``pythons`` are ordered, the preferred one first."""

    line: str
    version: str
    released: str
    pythons: tuple[str, ...]
    build_from_source: tuple[str, ...]
    """Packages that have no wheel. Everything else is installed from wheels only, so that no foreign code runs."""

    @property
    def major(self) -> int:
        return int(self.line.split(".")[0])

    @property
    def lock(self) -> Path:
        """Pinned and hashed requirements for all of ``pythons``, verified by importing and running an op."""
        return _FOLDER / self.line / "requirements.txt"


@functools.cache
def releases() -> tuple[Release, ...]:
    """All known releases, the oldest first."""
    entries = json.loads((_FOLDER / "catalogue.json").read_text(encoding="utf-8"))
    return tuple(
        Release(
            line=entry["line"],
            version=entry["version"],
            released=entry["released"],
            pythons=tuple(entry["pythons"]),
            build_from_source=tuple(entry["build_from_source"]),
        )
        for entry in entries
    )


def find(request: str) -> Release:
    """The release that ``tf1``, ``tf2``, a line (``1.15``) or an exact version (``1.15.5``) means.

    Raises ``UnknownRelease`` with the nearest names.
    """
    names: dict[str, Release] = {}
    for release in releases():
        names[f"tf{release.major}"] = release  # the newest of its generation comes last and stays
        names[release.line] = names[release.version] = release
    wanted = request.strip().lower()
    if wanted.startswith("tf") and wanted not in names:
        wanted = wanted[2:].lstrip("-=")
    if wanted in names:
        return names[wanted]
    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UnknownRelease(
        f"There is no TensorFlow release {request!r} in the catalogue.{hint} What can be installed is: "
        f"{', '.join(names)}. Show them with: tfkernels releases"
    )


def kernel_name(request: str) -> str:
    """The name that a kernel gets if it is asked for as ``request``: ``tf1``, ``tf1.15``, ``tf1.15.5``."""
    wanted = request.strip().lower()
    return wanted if wanted.startswith("tf") else f"tf{wanted}"
