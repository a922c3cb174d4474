"""Results of building and trying releases, written by `make catalogue`."""

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from packaging.version import Version

_FILE = Path(__file__).parent / "data" / "results.json"

ABSENT = "not in this release"
"""The beginning of the outcome of a check for a later feature."""


@dataclass(frozen=True)
class Result:
    """One release on one Python."""

    version: str
    python: str
    """Minor version, ``3.7``."""
    lock: str
    """The fingerprint of the installed lock; the result holds for no other."""
    platform: str
    date: str
    checks: dict[str, str]
    """By name: ``ok``, ``not in this release: …``, or what went wrong."""
    packages: dict[str, str] = field(default_factory=dict)
    """The versions of those that matter."""
    size: int = 0
    """Bytes on disk."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Of installing, importing in a fresh process and starting a kernel, on the machine that tried it."""

    @property
    def ok(self) -> bool:
        return all(is_fine(outcome) for outcome in self.checks.values())


def is_fine(outcome: str) -> bool:
    return outcome == "ok" or outcome.startswith(ABSENT)


def fingerprint(pins: Iterable[str]) -> str:
    """Of the pins of a lock for one Python and platform."""
    return hashlib.sha256("\n".join(pins).encode()).hexdigest()[:16]


@functools.cache
def read() -> dict[tuple[str, str], Result]:
    """All results, by version and Python."""
    entries = json.loads(_FILE.read_text(encoding="utf-8")) if _FILE.exists() else []
    return {(entry["version"], entry["python"]): Result(**entry) for entry in entries}


def store(result: Result) -> None:
    """Adds a result, in place of an older one of the same release and Python."""
    known = {**read(), (result.version, result.python): result}
    ordered = sorted(known.values(), key=lambda result: (Version(result.version), Version(result.python)))
    lines = ",\n".join(f" {json.dumps(asdict(entry))}" for entry in ordered)
    _FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    read.cache_clear()
