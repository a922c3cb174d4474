"""Rows of ``tfkernels list`` and ``tfkernels releases``."""

from dataclasses import dataclass

from tfkernels.client import kernelspecs
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.conda import channels
from tfprovisioner.errors import NoInterpreter, NoWheels
from tfprovisioner.kernelspecs import health
from tfprovisioner.pythons import choose


@dataclass(frozen=True)
class KernelRow:
    """One registered kernel. ``size`` is in bytes, ``state`` is ``ok`` or the problem."""

    name: str
    display_name: str
    tensorflow: str
    python: str
    backend: str
    size: int | None
    state: str
    environment: str
    kernelspec: str


def kernels() -> list[KernelRow]:
    """The kernels that this Python's Jupyter sees. No program is started."""
    rows = []
    for name, spec in kernelspecs.find().items():
        environment, problem = health.look(spec.spec["argv"], spec.described)
        row = KernelRow(
            name=name,
            display_name=spec.spec["display_name"],
            size=environment.size if environment else None,
            state=problem or "ok",
            kernelspec=str(spec.folder),
            **{field: spec.described[field] for field in ("tensorflow", "python", "backend", "environment")},
        )
        rows.append(row)
    return sorted(rows, key=lambda row: (catalogue.order_of(row.tensorflow), row.name))


@dataclass(frozen=True)
class ReleaseRow:
    """A release line at its newest patch. ``here`` says where this machine gets its Python."""

    release: str
    line: str
    released: str | None
    pythons: tuple[str, ...]
    tried_on: tuple[str, ...]
    """The Pythons on which it was tested, on Linux x86-64."""
    patches: tuple[str, ...]
    """All releases of the line; each can be installed by its exact number."""
    available: bool
    here: str
    source: str | None
    """``found``, ``uv`` or ``conda``; ``None`` if no Python is available."""


def releases() -> list[ReleaseRow]:
    """Every release line, the newest first."""
    rows = []
    for line, release in reversed(catalogue.lines().items()):
        source, here = _here(release)
        tried = tuple(python for python in release.pythons if (result := release.result(python)) and result.ok)
        patches = tuple(each.version for each in catalogue.releases() if each.line == line)
        released, pythons, available = release.released, release.pythons, source is not None
        rows.append(ReleaseRow(release.version, line, released, pythons, tried, patches, available, here, source))
    return rows


def _here(release: Release) -> tuple[str | None, str]:
    """The source of a release's Python on this machine, and the same in words."""
    try:
        catalogue.require_wheels(release)
        interpreter = choose.choose(release)
    except NoWheels:
        return None, f"no wheels for {catalogue.platform_name()}"
    except NoInterpreter:
        return None, f"no Python {' or '.join(release.pythons)} found, and downloads are off"
    origins = {"uv": "uv downloads it", "conda": f"from {channels.shown(channels.chosen(()))}"}
    return interpreter.source, f"Python {interpreter.version}: {origins.get(interpreter.source, interpreter.path)}"
