"""The packages that a build would put into an environment, with their files. Nothing is installed.

uv and py-rattler read the index, and write to their own caches only.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tfprovisioner.conda import solve
from tfprovisioner.environments import conda_packages
from tfprovisioner.errors import BuildFailed, PackageNotInChannels
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons.choose import Interpreter
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.resolution import locked_files, resolve, uv_resolution
from tfprovisioner.resolution.locked_files import LockedFile
from tfprovisioner.resolution.source_builds import SourceBuilds
from tfprovisioner.system import uv
from tfprovisioner.system.redact import public


@dataclass(frozen=True)
class PlannedPackage:
    """A package of an environment, and the file that it would be installed from."""

    name: str
    version: str
    source: str = "index"
    """``index``, ``folder`` (of ``--find-links``), ``source`` (a wheel is built here), ``conda`` or ``bundle``."""
    url: str | None = None
    """Without secrets; ``None`` if it is not known."""
    size: int | None = None
    """Bytes; ``None`` if the index does not say it."""
    uploaded: str | None = None
    """The day, ``2018-11-30``; ``None`` if the index does not say it."""
    cached: bool | None = None
    """Whether it is in uv's cache; ``None`` if that is not known."""

    @property
    def is_here(self) -> bool:
        """Whether its file is on this machine, and in no cache."""
        return self.source in ("folder", "bundle")

    @property
    def to_download(self) -> int:
        """Bytes, as far as they are known."""
        return 0 if self.cached or self.is_here else self.size or 0


def packages(request: InstallRequest, interpreter: Interpreter, report: Reporter) -> list[PlannedPackage]:
    """The packages of a new environment, by name. Raises ``BadRequirement``, ``BuildFailed``."""
    if request.backend != "conda":
        return sorted(_wheels(request, interpreter, report), key=lambda one: one.name)
    wanted = conda_packages.of(request, interpreter)
    try:
        with conda_packages.conflicts_explained(request, interpreter, report):
            found, wheels = solve.planned(wanted, request.conda, report), bool(request.gpu)
    except PackageNotInChannels as missing:
        python = conda_packages.python_only(request, wanted, missing, report)
        found, wheels = solve.planned(python, request.conda, report), True
    every = [*map(_of_channels, found), *(_wheels(request, interpreter, report) if wheels else ())]
    return sorted(every, key=lambda one: one.name)


def _of_channels(record: dict[str, Any]) -> PlannedPackage:
    url = public(record["url"]) if record.get("url") else None
    return PlannedPackage(record["name"], record["version"], "conda", url, record.get("size"))


def _wheels(request: InstallRequest, interpreter: Interpreter, report: Reporter) -> list[PlannedPackage]:
    uv.check_settings()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        report.step("resolving")
        builds = SourceBuilds.of(request, interpreter.version)
        text = resolve.lock(request, interpreter, interpreter.path, folder, report, builds)
        versions = uv_resolution.pinned(text, interpreter.version)
        builds.use(text, versions)
        options = uv.for_python(interpreter.path, interpreter.version)
        report.step("asking for sizes")
        try:
            files = locked_files.of(text, options, builds, folder, report.uv_says)
            cached = locked_files.cached(text, options, builds, folder)
        except BuildFailed as error:
            if not uv.offline():
                raise
            report.note(f"the sizes are not known without a network: {error}".partition(". uv reported")[0])
            return [PlannedPackage(name, version) for name, version in versions.items()]
    built = [one for one in builds.unverified() if one.split()[0] not in (cached or ())]
    if built:
        report.note(f"a dry run builds nothing, so it is not known whether these can be built: {', '.join(built)}")
    return [_planned(file, cached) for file in files]


def _planned(file: LockedFile, cached: frozenset[str] | None) -> PlannedPackage:
    local = file.url.startswith("file:") or not re.match(r"\w+:", file.url)
    return PlannedPackage(
        name=canonicalize_name(file.name),
        version=file.version,
        source="source" if file.built else "folder" if local else "index",
        url=file.url,
        size=file.size,
        uploaded=file.uploaded,
        cached=None if cached is None else file.name in cached,
    )
