"""Rows of ``tfkernels list`` and ``tfkernels releases``."""

from dataclasses import dataclass

from tfkernels.client import kernelspecs
from tfprovisioner.catalogue import releases as catalogue
from tfprovisioner.catalogue.releases import Release
from tfprovisioner.conda import channels
from tfprovisioner.errors import NoInterpreter, NoWheels
from tfprovisioner.kernelspecs import health
from tfprovisioner.kernelspecs.display_name import order_of
from tfprovisioner.pythons import choose
from tfprovisioner.pythons.choose import Interpreter


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
        described = spec.spec["metadata"]["tfkernels"]
        environment = health.environment_of(described)
        rows.append(
            KernelRow(
                name=name,
                display_name=spec.spec["display_name"],
                tensorflow=described["tensorflow"],
                python=described["python"],
                backend=described["backend"],
                size=environment.size if environment else None,
                state=health.problem(spec.spec["argv"], described, environment) or "ok",
                environment=described["environment"],
                kernelspec=str(spec.folder),
            )
        )
    return sorted(rows, key=lambda row: order_of(row.tensorflow, row.name))


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
    patches: dict[str, list[str]] = {}
    for release in catalogue.releases():
        patches.setdefault(release.line, []).append(release.version)
    rows = []
    for line, release in reversed(catalogue.lines().items()):
        source, here = _here(release)
        tried = tuple(python for python in release.pythons if (result := release.result(python)) and result.ok)
        rows.append(
            ReleaseRow(
                release=release.version,
                line=line,
                released=release.released,
                pythons=release.pythons,
                tried_on=tried,
                patches=tuple(patches[line]),
                available=source is not None,
                here=here,
                source=source,
            )
        )
    return rows


def _here(release: Release) -> tuple[str | None, str]:
    try:
        catalogue.require_wheels(release)
        interpreter = choose.choose(release)
    except NoWheels:
        return None, f"no wheels for {catalogue.platform_name()}"
    except NoInterpreter:
        return None, f"no Python {' or '.join(release.pythons)} found, and downloads are off"
    return interpreter.source, f"Python {interpreter.version}: {_origin(interpreter)}"


def _origin(interpreter: Interpreter) -> str:
    if interpreter.source == "uv":
        return "uv downloads it"
    if interpreter.source == "conda":
        return f"from {channels.shown(channels.chosen(()))}"
    return str(interpreter.path)
