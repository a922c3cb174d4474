"""Fills prefixes with conda packages, by py-rattler or the user's own conda, and lists what is in them."""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tfprovisioner.conda import channels, rattler_folder, search, user_conda
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.progress import Reporter
from tfprovisioner.system import certificates, subprocesses, uv
from tfprovisioner.system.redact import cleaned, redacted

EXPLICIT = "conda-explicit.txt"
"""In a prefix: the address and the SHA-256 of each package, as ``conda create --file`` takes them."""

_WORKER = Path(__file__).with_name("rattler_worker.py")


class Unsolvable(BuildFailed):
    """The channels have no packages that go together. ``output`` has py-rattler's words about it."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


_CAUSES = {
    # the worker's word for a cause: what it means, what helps
    "network": (
        "a conda channel cannot be reached",
        "Check the network, and HTTPS_PROXY if you use a proxy; name a mirror with --channel or CONDA_CHANNEL_ALIAS",
    ),
    "certificate": (
        "a conda channel, or a proxy before it, has a certificate of an authority that is not known here",
        certificates.advice(),
    ),
    "offline": (
        "the network may not be used (--offline, UV_OFFLINE or uv.toml), and the cache lacks a conda package",
        "Omit --offline once",
    ),
    "channel": ("there is no such conda channel", "Check the names given with --channel"),
    "hash": (
        "a conda package is not the one that its channel's index describes",
        "Look at the channel or mirror: it serves a different file",
    ),
    "unsolvable": ("the conda channels have no packages that go together", "Try another --python or --channel"),
    "disk": (
        "the disk is full",
        "Free some space (an environment takes up to 2 GB), or set TFKERNELS_HOME and RATTLER_CACHE_DIR to other disks",
    ),
    "other": ("the conda packages could not be installed", "Change what the text below names"),
}


def fill(prefix: Path, request: PackageRequest, program: str | None, report: Reporter) -> None:
    """Installs packages into a new prefix, with the user's ``program`` if one is named.

    Raises ``BuildFailed``, ``Unsolvable``, and ``PackageNotInChannels`` before anything is written.
    """
    if "defaults" in request.channels:
        report.note(channels.TERMS)
    own = user_conda.chosen(program)
    if own is None:
        install(prefix, request, report)
    else:
        user_conda.install(own, prefix, request, report)
    if not search.is_environment(prefix):
        raise BuildFailed(f"Nothing was installed into {prefix}, though nothing failed either.")
    # Passwords and tokens of channels are in what conda's programs write down.
    for path in (*prefix.glob("conda-meta/*.json"), prefix / "conda-meta" / "history"):
        text = path.read_text(encoding="utf-8")
        if cleaned(text) != text:
            path.write_text(cleaned(text), encoding="utf-8")
    described = records(prefix)
    lines = [f"{channels.public(record['url'])}#{record.get('sha256') or record.get('md5')}" for record in described]
    (prefix / EXPLICIT).write_text("\n".join(["@EXPLICIT", *lines, ""]), encoding="utf-8")


def install(prefix: Path, request: PackageRequest, report: Reporter) -> None:
    """Solves and installs with py-rattler. Raises as ``fill`` does.

    A process that is killed leaves a prefix that the same call repairs; our callers throw it away.
    """
    for _ in _carried_out(prefix, request, report):
        pass


def download(
    folder: Path, request: PackageRequest, subdir: str, system: Sequence[str], report: Reporter
) -> list[dict[str, str]]:
    """Solves for another machine, and fetches the packages into ``folder``, which becomes a channel of them.

    ``system`` are the virtual packages of that machine, ``__glibc=2.28=0``. Returns the ``path``, ``name``, ``version``
    and ``licence`` of each package. Raises ``BuildFailed``.
    """
    target = {"subdir": subdir, "system": list(system)}
    return [event for event in _carried_out(folder, request, report, target) if event["event"] == "package"]


def planned(request: PackageRequest, program: str | None, report: Reporter) -> list[dict[str, Any]]:
    """The packages that ``fill`` would install: ``name``, ``version``, ``url``, ``size``. Raises as ``fill`` does."""
    own = user_conda.chosen(program)
    if own is not None:
        return user_conda.planned(own, request, report)
    events = _carried_out(None, request, report)
    return [package for event in events if event["event"] == "solved" for package in event["records"]]


def _carried_out(
    prefix: Path | None, request: PackageRequest, report: Reporter, target: dict[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """The worker's answers to a task, of which failures are raised. Without a prefix it only solves."""
    names = channels.shown(request.channels)
    report.step(f"solving, with the packages of {names}")
    task = {
        **asdict(request),
        "prefix": str(prefix or ""),
        "channels": [url for channel in request.channels for url in channels.urls(channel)],
        "offline": uv.offline(),
        "target": target,
    }
    for event in _events(task, rattler_folder.ensured(report)):
        yield event
        if event["event"] == "lacks":
            version, python = request.tensorflow or ("", "")
            there, pythons = event["versions"][-6:], event["pythons"]
            missing = f"no tensorflow {version}; there is {', '.join(there) or 'none at all'}"
            if pythons:
                others = ", ".join(pythons)
                missing = f"tensorflow {version} is there for Python {others} (--python takes one), not for {python}"
            raise PackageNotInChannels(f"{names}: {missing}")
        if event["event"] == "solved" and prefix is not None:
            report.step(f"fetching and linking {event['packages']} conda packages, {event['bytes'] / 1e6:,.0f} MB")
            report.fetched(0, event["bytes"])
        elif event["event"] == "fetched":
            report.fetched(event["bytes"])
        elif event["event"] == "failed":
            kind = "offline" if event["kind"] == "network" and uv.offline() else event["kind"]
            cause, remedy = _CAUSES[kind]
            text = redacted(event["text"])
            message = (
                f"Building the environment failed, and nothing was changed: {cause}. {remedy}; then run the same "
                f"command again. The report was:\n{text}"
            )
            raise Unsolvable(message, text) if kind == "unsolvable" else BuildFailed(message)


def _events(task: dict[str, Any], rattler: Path) -> Iterator[dict[str, Any]]:
    """The worker's answers. It is killed if the caller stops reading."""
    variables = {**os.environ, "TFKERNELS_CONDA_REQUEST": json.dumps(task)}
    command = [sys.executable, "-I", _WORKER, rattler]
    last: dict[str, Any] = {}
    # A file for its errors: nobody would read a second pipe before the first one ends, and the worker would hang.
    with tempfile.TemporaryFile() as complaints:
        with subprocesses.started(command, env=variables, stderr=complaints) as process:
            assert process.stdout is not None
            for line in process.stdout:
                last = json.loads(line)
                yield last
        if last.get("event") not in ("done", "lacks", "failed"):
            complaints.seek(0)
            text = complaints.read().decode(errors="replace").strip()[-2000:]
            yield {"event": "failed", "kind": "other", "text": text or f"exit code {process.returncode}"}


def records(prefix: Path) -> list[dict[str, Any]]:
    """What conda records about the packages in a prefix, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(prefix.glob("conda-meta/*.json"))]


def listed(prefix: Path) -> dict[str, str]:
    """The versions by name of the packages that a prefix was made with; empty if there is no list."""
    try:
        lines = (prefix / EXPLICIT).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    files = (line.partition("#")[0].rpartition("/")[2] for line in lines if not line.startswith("@"))
    parts = (file.rsplit("-", 2) for file in files)
    return {name: version for name, version, _ in parts}
