"""What there is: ``tfkernels list`` and ``tfkernels releases``."""

from dataclasses import dataclass
from pathlib import Path

from tfkernels import kernelspecs
from tfprovisioner import catalogue, environments, interpreters
from tfprovisioner.errors import NoInterpreter


@dataclass(frozen=True)
class KernelRow:
    """One registered kernel. ``size`` is in bytes, ``state`` is ``ok`` or what is wrong."""

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
    """The kernels that this Python's Jupyter sees; nothing is started for it."""
    rows = []
    for name, spec in sorted(kernelspecs.find().items()):
        described = spec.spec["metadata"]["tfkernels"]
        environment = environments.load(Path(described["environment"]))
        state = "its environment is missing" if environment is None else environment.problem() or "ok"
        rows.append(
            KernelRow(
                name=name,
                display_name=spec.spec["display_name"],
                tensorflow=described["tensorflow"],
                python=described["python"],
                backend=described["backend"],
                size=environment.size if environment else None,
                state=state,
                environment=described["environment"],
                kernelspec=str(spec.folder),
            )
        )
    return rows


@dataclass(frozen=True)
class ReleaseRow:
    """One release of the catalogue; ``here`` says how its Python is got on this machine."""

    release: str
    line: str
    released: str
    pythons: tuple[str, ...]
    available: bool
    here: str


def releases() -> list[ReleaseRow]:
    """Every release known, the newest first."""
    rows = []
    for release in reversed(catalogue.releases()):
        try:
            interpreter = interpreters.find(release)
            here = f"Python {interpreter.version}: {interpreter.path or 'uv downloads it'}"
            available = True
        except NoInterpreter:
            here, available = f"no Python {' or '.join(release.pythons)} found", False
        rows.append(ReleaseRow(release.version, release.line, release.released, release.pythons, available, here))
    return rows
