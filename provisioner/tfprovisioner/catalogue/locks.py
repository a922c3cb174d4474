"""The stored locks: pins per release, ``name==version ; marker``, and in ``hashes.txt`` the hashes of all of them once.

See docs/design/environments.md.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.markers import Marker

MACHINES = {
    "linux-x86_64": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
    "linux-aarch64": {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
    "macos-x86_64": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "x86_64"},
    "macos-arm64": {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    "windows-x86_64": {"sys_platform": "win32", "platform_system": "Windows", "platform_machine": "AMD64"},
}
"""The platforms that there are wheels for, by our names."""

_FOLDER = Path(__file__).parent / "data"


def read(version: str) -> str:
    """The lock of a release, for ``pip install --require-hashes``."""
    lines = (_FOLDER / "locks" / f"{version}.txt").read_text(encoding="utf-8").splitlines()
    return joined((line for line in lines if not line.startswith("#")), _hashes())


def machine(python: str, platform: str | None = None) -> dict[str, str]:
    """The variables of markers for a CPython (``3.7.16``, ``3.7``) on one of ``MACHINES``, or on this machine."""
    full = python if python.count(".") > 1 else f"{python}.99"
    return {
        **(MACHINES[platform] if platform else {}),
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": full,
        "implementation_name": "cpython",
        "implementation_version": full,
        "platform_python_implementation": "CPython",
    }


def chosen(text: str, python: str, platform: str) -> list[str]:
    """The pins of a lock for a Python (minor version) and a platform (as in ``MACHINES``), as ``name==version``."""
    variables = machine(python, platform)
    pins = (pin.partition(" ; ") for pin in split(text)[0])
    return sorted(pin for pin, _, marker in pins if not marker or _marker(marker).evaluate(variables))


@functools.cache
def _marker(text: str) -> Marker:
    return Marker(text)


def comments(version: str) -> list[str]:
    """The comments above the pins of a release; none if it has no lock."""
    path = _FOLDER / "locks" / f"{version}.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line[2:] for line in lines if line.startswith("#")]


@functools.cache
def _hashes() -> Mapping[str, tuple[str, ...]]:
    lines = (_FOLDER / "hashes.txt").read_text(encoding="utf-8").splitlines()
    return {pin: tuple(digests) for pin, *digests in (line.split(" ") for line in lines)}


def split(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """A lock as uv writes it: its pins with their markers, and the SHA-256 of all files of each pin."""
    pins: list[str] = []
    hashes: dict[str, list[str]] = {}
    for line in text.splitlines():
        digest = re.match(r"\s+--hash=sha256:([0-9a-f]{64})", line)
        if digest:
            hashes[pins[-1].partition(" ;")[0]].append(digest[1])
        elif re.match(r"[A-Za-z0-9]", line):
            pins.append(re.sub(r"\s*\\$", "", line))
            hashes[pins[-1].partition(" ;")[0]] = []
    return pins, hashes


def joined(pins: Iterable[str], hashes: Mapping[str, Iterable[str]]) -> str:
    """The lock of some pins, as ``split`` takes it apart."""
    known = ((pin, hashes[pin.partition(" ;")[0]]) for pin in pins)
    return "".join(" \\\n    ".join([pin, *(f"--hash=sha256:{digest}" for digest in of)]) + "\n" for pin, of in known)


def store(version: str, heading: Iterable[str], pins: Iterable[str], hashes: Mapping[str, Iterable[str]]) -> None:
    """Stores the lock of a release, with ``heading`` above it, and drops hashes that no lock needs any more."""
    text = "".join(f"{line}\n" for line in [*(f"# {comment}" for comment in heading), *pins])
    (_FOLDER / "locks" / f"{version}.txt").write_text(text, encoding="utf-8")
    stored = "".join(path.read_text(encoding="utf-8") for path in (_FOLDER / "locks").glob("*.txt")).splitlines()
    names = sorted({line.partition(" ;")[0] for line in stored if not line.startswith("#")})
    known = {**_hashes(), **hashes}
    kept = "".join(f"{' '.join([name, *sorted(known[name])])}\n" for name in names)
    (_FOLDER / "hashes.txt").write_text(kept, encoding="utf-8")
    _hashes.cache_clear()
