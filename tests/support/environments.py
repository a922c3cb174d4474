"""Places of a test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from typer import BadParameter

from tests.support import channels, commands, package_index
from tests.support.channels import Package, Server
from tfprovisioner.catalogue import releases
from tfprovisioner.cli import app as cli
from tfprovisioner.environments import bytecode, store
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.resolution import resolve


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder and a Jupyter of its own; nothing of the user's is touched."""
    monkeypatch.setenv("TFKERNELS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # Before the kernels of the Python that runs the tests, which this process does not see at all: what removes a
    # kernel removes it everywhere.
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setattr("jupyter_core.paths.ENV_JUPYTER_PATH", [])
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")
    return tmp_path


def compiled(home: Path, made: Iterable[Installed]) -> None:
    """Copies environments into a data folder: new ones there take over the compiled modules, which saves seconds."""
    for one in made:
        folder = one.environment.folder
        with contextlib.suppress(OSError):  # on another disk no file has two names
            shutil.copytree(folder, home / "environments" / folder.name, symlinks=True, copy_function=os.link)


_HOOK = b"""
export FROM_A_HOOK="$CONDA_PREFIX costs \\$5"
export LD_LIBRARY_PATH="$CONDA_PREFIX/special"
export PATH="$CONDA_PREFIX/tools:$PATH"
"""

_PROGRAM = f"#!/bin/sh\necho {channels.PLACEHOLDER}\n".encode()


@pytest.fixture(scope="session")
def small_lock() -> str:
    """Of what a kernel on Python 3.7 needs, without TensorFlow: as pinned and hashed for the real release."""
    lock = releases.find("tf1").lock
    assert lock is not None
    return channels.part_of(lock, "ipykernel", "numpy", "pip", minor="3.7")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, small_lock: str) -> Path:
    """A channel with Python 3.7, ipykernel and a stand-in for TensorFlow."""
    channel = tmp_path_factory.mktemp("channel")
    modules = channels.unpacked(small_lock, "3.7", tmp_path_factory.mktemp("modules") / "py37")
    channels.python("3.7").write(channel)
    channels.linked("ipykernel", "6.16.2", "3.7", modules, ("python 3.7.*",)).write(channel)
    beside = {"pip": "24.0", "setuptools": "68.0", "matplotlib-base": "3.5.3", "ipywidgets": "8.0.4", "tqdm": "4.65"}
    for name, version in {"numpy": "1.18.5", **beside}.items():
        Package(name, version, ("ipykernel",)).write(channel)
    hook = {"etc/conda/activate.d/stub.sh": _HOOK, "bin/where": _PROGRAM}
    channels.tensorflow("1.15.5", "3.7", {**hook}).write(channel)
    return channel


@pytest.fixture(scope="session")
def light_lock(tmp_path_factory: pytest.TempPathFactory, small_lock: str) -> str:
    """The lock of TensorFlow 1.15, but with the stand-in for TensorFlow."""
    content = {"tensorflow/__init__.py": channels.stand_in("1.15.5")}
    wheel = package_index.wheel(tmp_path_factory.mktemp("light"), "tensorflow", "1.15.5", content)
    return f"{small_lock}tensorflow @ {wheel.as_uri()} \\\n    --hash=sha256:{package_index.digest(wheel)}\n"


_ENVIRONMENTS = store.root()
"""Those of the real TensorFlow, which tests of kernels use."""


@pytest.fixture
def light(light_lock: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """This lock is that of every release: it installs in a second, without compiling what real environments have."""
    own = bytecode.givers
    monkeypatch.setattr(resolve, "lock", lambda *arguments: light_lock)
    monkeypatch.setattr(bytecode, "givers", lambda: [*own(), *_ENVIRONMENTS.glob("*")])
    return light_lock


@pytest.fixture
def light_commands(light: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the commands that a test starts."""
    (tmp_path / "light.txt").write_text(light)
    monkeypatch.setattr(commands, "program", commands.with_a_lock(tmp_path / "light.txt", _ENVIRONMENTS))


@pytest.fixture
def server(folder: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The channel over http, and a package cache of the test's own; what a test does to the files it does to copies."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(place / "cache"))
    for name in ("TFKERNELS_CHANNELS", "TFKERNELS_CONDA_EXE", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with channels.served(shutil.copytree(folder, place / "served")) as running:
        yield running


@pytest.fixture
def index(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[package_index.Index]:
    """The tiny release is what ``tf1`` means, and comes from an index here; uv's cache is empty."""
    release = package_index.release(place / "wheels", releases.find("tf1").pythons[0])
    monkeypatch.setattr(releases, "find", lambda request, day=None: release)
    variables = {"UV_CACHE_DIR": str(place / "cache"), "UV_HTTP_RETRIES": "0", "XDG_CONFIG_HOME": str(place / "config")}
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for name in ("UV_DEFAULT_INDEX", "UV_FIND_LINKS", "UV_OFFLINE"):
        monkeypatch.setenv(name, "")  # so that what a command sets is taken back
        monkeypatch.delenv(name)
    with package_index.serving(package_index.Index(place / "wheels")) as served:
        yield served


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs a command of ``tfkernels`` in this process: its exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        usage = ""
        try:
            code = cli.app(list(arguments), standalone_mode=False) or 0
        except SystemExit as end:
            code = int(end.code or 0)
        except BadParameter as error:
            code, usage = error.exit_code, error.format_message()
        said = capfd.readouterr()
        return code, said.out, said.err + usage

    return run


@pytest.fixture
def install(command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str]]:
    """``tfkernels install tf1 --user …``: its exit code, and all that it says."""

    def install(*arguments: str) -> tuple[int, str]:
        code, *said = command("install", "tf1", "--user", *arguments)
        return code, "".join(said)

    return install
