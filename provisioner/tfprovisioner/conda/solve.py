"""Filling a prefix with conda packages, and the list of what was put into it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfprovisioner.conda import REQUEST, channels, rattler_folder, search
from tfprovisioner.errors import BuildFailed
from tfprovisioner.progress import Reporter
from tfprovisioner.system import subprocesses, uv
from tfprovisioner.system.redact import cleaned, redacted

EXPLICIT = "conda-explicit.txt"
"""In a prefix: the address and the SHA-256 of each package, as ``conda create --file`` takes them."""


@dataclass(frozen=True)
class Subject:
    """The package that a prefix is made for, in one version, for one Python."""

    name: str
    version: str
    python: str


@dataclass(frozen=True)
class PackageRequest:
    """What a prefix is to have."""

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    """What is installed: ``python=3.7``."""
    bounds: tuple[str, ...] = ()
    """``numpy<=1.18``, if it is installed at all; they are dropped if there is no solution otherwise."""
    subject: Subject | None = None
    limits: tuple[str, ...] = ()
    """Like the bounds, but the user's, and never dropped."""


class Lacking(Exception):
    """The channels have no build of the subject for its Python."""


_MEANINGS = {
    # what the child calls it: what it means, what to do
    "network": (
        "A conda channel cannot be reached",
        "Check the network, and HTTPS_PROXY if you use a proxy; name a mirror with --channel or CONDA_CHANNEL_ALIAS",
    ),
    "channel": ("There is no such conda channel", "Check the names given with --channel"),
    "hash": (
        "A conda package is not the one that its channel's index describes",
        "Look at the channel or mirror: it serves a different file",
    ),
    "gone": (
        "A conda package that the channel's index lists is not there",
        "Try again later: a mirror may be in the middle of an update",
    ),
    "unsolvable": ("The conda channels have no packages that go together", "Try another --python or --channel"),
    "specification": ("A requirement is not one that conda understands", "Check what was given with --with"),
    "disk": (
        "The disk is full",
        "Free some space (an environment takes up to 2 GB), or choose places with TFKERNELS_HOME and RATTLER_CACHE_DIR",
    ),
    "write": ("A folder cannot be written", "Choose other places with TFKERNELS_HOME and RATTLER_CACHE_DIR"),
    "other": ("The conda packages could not be installed", "What was said may help"),
}


def fill(prefix: Path, wanted: PackageRequest, report: Reporter) -> None:
    """Solves and installs with py-rattler. Raises ``BuildFailed``, and ``Lacking`` before anything is written.

    A process that is killed leaves a prefix that the same call repairs; our callers throw it away.
    """
    report.step(f"solving, with the packages of {channels.shown(wanted.channels)}")
    request = {
        "prefix": str(prefix),
        "channels": [url for channel in wanted.channels for url in channels.urls(channel)],
        "specs": wanted.specs,
        "bounds": wanted.bounds,
        "limits": wanted.limits,
        "subject": None if wanted.subject is None else asdict(wanted.subject),
        "offline": uv.offline(),
    }
    for event in _events(request, rattler_folder.ensured(report)):
        if event["event"] == "lacks":
            raise Lacking(_lack(wanted, event["versions"], event["pythons"]))
        if event["event"] == "solved":
            report.step(f"fetching and linking {event['packages']} conda packages, {event['bytes'] / 1e6:,.0f} MB")
            report.fetched(0, event["bytes"])
        elif event["event"] == "fetched":
            report.fetched(event["bytes"])
        elif event["event"] == "failed":
            raise BuildFailed(_explanation(event["kind"], event["text"]))


def _events(request: dict[str, Any], rattler: Path) -> Iterator[dict[str, Any]]:
    """What the child says. It is killed if whoever listens stops to."""
    # Isolated: nothing else of the user's is imported; py-rattler is not in this Python, but in a folder of its own.
    start = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
    command = [sys.executable, "-I", "-c", start, rattler, Path(__file__).with_name("rattler_worker.py")]
    variables = {**os.environ, REQUEST: json.dumps(request)}
    last: dict[str, Any] = {}
    with subprocesses.started(command, env=variables, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            last = json.loads(line)
            yield last
        complaint = process.stderr.read().strip()
    if last.get("event") not in ("done", "lacks", "failed"):
        yield {"event": "failed", "kind": "other", "text": complaint or f"exit code {process.returncode}"}


def records(prefix: Path) -> list[dict[str, Any]]:
    """What conda's world knows about the packages in a prefix, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(prefix.glob("conda-meta/*.json"))]


def write_explicit(prefix: Path) -> None:
    """Writes down what is in a prefix, so that it can be made again, and be looked at. Raises ``BuildFailed``."""
    if not search.is_environment(prefix):
        raise BuildFailed(f"Nothing was installed into {prefix}, though nothing failed either.")
    _clean(prefix)
    lines = [_address(record) for record in records(prefix)]
    (prefix / EXPLICIT).write_text("\n".join(["@EXPLICIT", *lines, ""]), encoding="utf-8")


def listed(prefix: Path) -> dict[str, str]:
    """The versions by name of what was put into a prefix when it was made; empty if nothing was written down."""
    try:
        lines = (prefix / EXPLICIT).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    files = (line.partition("#")[0].rpartition("/")[2] for line in lines if not line.startswith("@"))
    parts = (file.rsplit("-", 2) for file in files)
    return {name: version for name, version, _ in parts}


def _clean(prefix: Path) -> None:
    """Takes passwords and tokens of channels out of what conda's world writes down in a prefix."""
    for path in (*prefix.glob("conda-meta/*.json"), prefix / "conda-meta" / "history"):
        text = path.read_text(encoding="utf-8")
        if cleaned(text) != text:
            path.write_text(cleaned(text), encoding="utf-8")


def _address(record: dict[str, Any]) -> str:
    digest = record.get("sha256") or record.get("md5")
    return f"{channels.public(record['url'])}#{digest}"


def _explanation(kind: str, text: str) -> str:
    meaning, remedy = _MEANINGS[kind]
    if kind == "network" and uv.offline():
        remedy = "UV_OFFLINE is set, or `offline` in uv.toml, and not everything is in the cache. Take that out"
    return (
        f"{meaning}, so the environment was not built and nothing was changed. {remedy}; then run the same command "
        f"again. What was said:\n{redacted(text)}"
    )


def _lack(wanted: PackageRequest, versions: list[str], pythons: list[str]) -> str:
    subject, names = wanted.subject, channels.shown(wanted.channels)
    assert subject is not None
    if pythons:
        return (
            f"{names}: {subject.name} {subject.version} is there for Python {', '.join(pythons)} (--python takes one), "
            f"not for {subject.python}"
        )
    return f"{names}: no {subject.name} {subject.version}; there is {', '.join(versions[-6:]) or 'none at all'}"
