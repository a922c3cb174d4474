"""Fixtures for tests with real kernels: the usual two, with real TensorFlow, are built once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import tfkernels
from tfkernels.client.kernel import Kernel
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.kernelspecs.install import install as install_kernel
from tfprovisioner.requirements.request import InstallRequest


def register_plain(jupyter: Path, python: Path | str, *options: str) -> None:
    """A kernel ``plain``, which is ipykernel's own, in a Python of ours or another one."""
    folder = jupyter / "kernels" / "plain"
    folder.mkdir(parents=True)
    argv = [str(python), *options, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "plain", "language": "python"}))


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long form of a test is asked for."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def installed() -> dict[str, Installed]:
    """The two usual kernels. If they are there already, nothing is built."""
    return {name: install_kernel(InstallRequest(name)) for name in ("tf1", "tf2")}


@pytest.fixture(params=["tf1", "tf2"])
def remote(request: pytest.FixtureRequest, installed: dict[str, Installed]) -> Kernel:
    """A kernel of this process, one for all tests: starting it takes longer than most of them.

    It has started, so that no notice that it is starting is among a cell's output on a busy machine.
    """
    kernel = tfkernels.kernel(request.param)
    kernel.start()
    return kernel


@pytest.fixture(scope="session", autouse=True)
def _history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """IPython's history and profile are these tests' own: what others run at the same time would be in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _ended() -> Iterator[None]:
    yield
    from tfkernels.client.kernel import shutdown_all

    shutdown_all()
