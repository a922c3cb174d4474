"""The releases of a run: their names, their environments, and the pytest beside each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfprovisioner.conversion import kernels
from tfprovisioner.conversion.kernels import Wanted
from tfprovisioner.environments import pytest_packages
from tfprovisioner.errors import Unusable
from tfprovisioner.kernelspecs import run_env
from tfprovisioner.progress import SilentReporter


@dataclass(frozen=True)
class Release:
    """A release to test on."""

    name: str
    """As the user wrote it: a release, or the name of a kernel."""
    version: str

    def is_meant_by(self, text: str) -> bool:
        return text in (self.name, self.version) or self.version.startswith(f"{text}.")


@dataclass(frozen=True)
class Ready:
    """The environment of a release, ready for tests."""

    release: Release
    interpreter: str
    python: str
    """The version."""
    variables: Mapping[str, str]
    packages: Path
    """The folder with pytest and what else the environment lacks."""


def named(text: str) -> list[Release]:
    """Those of ``--tf``. Raises ``ProvisionError``."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise Unusable("--tf needs at least one release. Example: pytest --tf 1.15,2.21")
    return [Release(name, kernels.version(name)) for name in names]


def prepared(release: Release, requirements: Sequence[str], say: Callable[[str], None]) -> Ready:
    """Builds what is missing. ``say`` gets the steps. Raises ``ProvisionError``."""
    spec = kernels.get(Wanted(release.name), say)
    interpreter = run_env.python(spec)
    packages = pytest_packages.folder(interpreter, requirements, _Steps(say))
    return Ready(release, interpreter, str(spec.described.get("python", "")), run_env.variables(spec), packages)


class _Steps(SilentReporter):
    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__("")
        self._say = say

    def step(self, text: str) -> None:
        self._say(text)
