"""Pythons that come from conda, for machines that have none, and the real TensorFlow on them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import channels
from tests.support.channels import Package, Server
from tests.support.commands import command
from tests.support.processes import ended
from tests.support.waiting import DEADLINE
from tfkernels.client.kernel import Kernel
from tfprovisioner.catalogue import releases
from tfprovisioner.conda import rattler_folder, solve
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.environments import store
from tfprovisioner.errors import BuildFailed
from tfprovisioner.kernelspecs import doctor, gc, install, listing
from tfprovisioner.progress import Reporter
from tfprovisioner.pythons import find as survey
from tfprovisioner.pythons import from_conda as pythons
from tfprovisioner.requirements.request import InstallRequest
from tfprovisioner.system import locking


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no Python 3.7 is found."""
    monkeypatch.setattr(survey, "pythons", lambda minor=None: ())


def test_a_missing_python_comes_from_conda(
    bare: None,
    light: str,
    server: Server,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TFKERNELS_CHANNELS", server.url)
    done = install.install(InstallRequest("tf1", user=True))
    assert f"uv has none to download: {server.url} brings it" in capfd.readouterr().err
    (python,) = pythons.root().iterdir()
    assert Path(done.environment.base_python).is_relative_to(python)
    assert (python / solve.EXPLICIT).exists()

    assert pythons.sweep() == [], "an environment uses it"
    with pythons.ensured("3.7", (), None, Reporter("another")) as shared:
        assert shared == python / "bin" / "python", "all environments of a version share it"
    assert len([path for path in server.requests if "python-3.7" in path]) == 1

    monkeypatch.setenv("UV_OFFLINE", "1")
    assert install.install(InstallRequest("tf1", user=True)).built is False
    install.remove("tf1")
    assert not python.exists(), "it goes with the last environment that used it"


def test_a_deleted_conda_python_is_reported_and_refetched(
    bare: None, light: str, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFKERNELS_CHANNELS", server.url)
    done = install.install(InstallRequest("tf1", user=True))
    (python,) = pythons.root().iterdir()
    assert done.environment.problem() is None
    shutil.rmtree(python)
    assert os.path.lexists(done.environment.python), "the link is still there, and leads nowhere"
    told = f"the Python {done.environment.base_python} that it was made from is gone"
    assert done.environment.problem() == told
    assert [told in row.state for row in listing.kernels()] == [True]
    diagnosis = doctor.examine("tf1")
    assert told in (diagnosis.problem or "")
    assert diagnosis.remedy == "tfkernels install tf1 --user"
    again = install.install(InstallRequest("tf1", user=True))
    assert again.built
    assert again.environment.problem() is None
    assert not done.environment.folder.exists()


def test_gc_says_before_what_it_removes(
    bare: None, light: str, server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFKERNELS_CHANNELS", server.url)
    done = install.install(InstallRequest("tf1", user=True))
    (python,) = pythons.root().iterdir()
    assert gc.collect(dry_run=True) == []
    shutil.rmtree(done.kernelspec)
    told = gc.collect(dry_run=True)
    assert {str(done.environment.folder), str(python)} <= {item.path for item in told}
    assert python.exists()
    assert gc.collect() == told
    assert not python.exists()


_FETCH = """
from tfprovisioner.pythons import from_conda as pythons
from tfprovisioner.system import locking
from tfprovisioner.progress import Reporter
with pythons.ensured("3.7", (), None, Reporter("test")) as python:
    print(python)
"""


def test_parallel_installs_fetch_a_python_once(server: Server, place: Path) -> None:
    server.held = True
    variables = {**os.environ, "TFKERNELS_CHANNELS": server.url}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with ExitStack() as stack:
        both = [
            stack.enter_context(ended(subprocess.Popen([sys.executable, "-c", _FETCH], env=variables, **pipes)))
            for _ in range(2)
        ]
        assert server.reached.wait(DEADLINE)
        server.released.set()
        answers = [process.communicate(timeout=DEADLINE) for process in both]
    assert [process.returncode for process in both] == [0, 0], answers
    assert len({out for out, _ in answers}) == 1
    assert len([path for path in server.requests if path.endswith(".tar.bz2")]) == 1


def test_a_killed_python_fetch_is_repeated(server: Server, place: Path) -> None:
    server.held = True
    variables = {**os.environ, "TFKERNELS_CHANNELS": server.url}
    with ended(subprocess.Popen([sys.executable, "-c", _FETCH], env=variables, stderr=subprocess.DEVNULL)):
        assert server.reached.wait(DEADLINE)
    server.held = False
    server.released.set()
    with pythons.ensured("3.7", (server.url,), None, Reporter("test")) as python:
        assert survey.ask(python).minor == "3.7"
        assert list(pythons.root().iterdir()) == [python.parent.parent]
        assert pythons.sweep() == [], "it is in use"
    assert pythons.sweep() == [python.parent.parent]


def test_py_rattler_is_installed_at_first_use(server: Server, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = []
    for _ in range(2):
        with pythons.ensured("3.7", (server.url,), None, Reporter("test")):
            said.append("installing py-rattler>=0.28,<0.29 with uv" in capfd.readouterr().err)
            assert gc.collect() == [], "the Python that it brought is in use"
        (folder,) = rattler_folder.root().iterdir()
        assert len(pythons.sweep()) == 1
    assert said == [True, False]
    told = gc.collect(dry_run=True)
    assert str(folder) in {item.path for item in told}
    assert gc.collect() == told
    assert not folder.exists()


def test_half_deleted_py_rattler_is_installed_again(
    server: Server, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rattler_folder.ensured(Reporter("test"))
    with monkeypatch.context() as failing:
        failing.setattr(shutil, "rmtree", _refuse)
        (item,) = [item for item in gc.collect() if "py-rattler" in item.path]
    assert item.stays == "Permission denied (rattler)"
    assert rattler_folder.current() is None, "it would be taken for a complete one"
    assert (rattler_folder.ensured(Reporter("test")) / "rattler").is_dir()
    assert not [item for item in gc.collect() if item.stays]
    assert list(rattler_folder.root().iterdir()) == [], "what was left is deleted the next time"


def test_gc_keeps_py_rattler_for_a_build_that_has_just_begun(server: Server, place: Path) -> None:
    name = "tensorflow-1.15.5-py3.7-0123456789ab"
    folder = rattler_folder.ensured(Reporter("test"))
    with locking.held(name, lambda: None), store.FOLDERS.built(name):
        assert gc.collect() == []
    assert str(folder) in {item.path for item in gc.collect()}


def _refuse(path: Path, ignore_errors: bool = False) -> None:
    if not ignore_errors:
        raise PermissionError(errno.EACCES, "Permission denied", "rattler")


def test_offline_without_py_rattler_is_explained(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(place / "nothing cached"))
    wanted = PackageRequest((server.url,), ("python=3.7",))
    with pytest.raises(BuildFailed, match=r"(?s)py-rattler, which .* --offline .* --find-links"):
        solve.install(place / "prefix", wanted, Reporter("test"))
    assert list(rattler_folder.root().iterdir()) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with a Python 3.7 that needs nothing outside its prefix, and the real TensorFlow 1.15.0."""
    channel = tmp_path_factory.mktemp("whole")
    lock = releases.find("1.15.0").lock
    assert lock is not None
    wheels = channels.unpacked(lock, "3.7", tmp_path_factory.mktemp("wheels") / "py37")
    channels.whole_python("3.7").write(channel)
    channels.repacked("tensorflow", "1.15.0", "3.7", wheels).write(channel)
    for name in ("ipykernel", "pip", "setuptools", "matplotlib-base", "ipywidgets", "tqdm"):
        Package(name, "1.0", ("tensorflow",)).write(channel)
    return channel


_OP = """
import sys, os, tensorflow as tf
with tf.Session() as session:
    answer = int(session.run(tf.constant(20) + tf.constant(22)))
"""


@pytest.mark.slow
def test_the_real_tensorflow_from_conda_packages(whole: Path, place: Path) -> None:
    with channels.served(whole) as server:
        arguments = ("install", "1.15.0", "--user", "--backend", "conda", "--channel", server.url)
        done = subprocess.run(command(*arguments), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Kernel("tf1.15.0") as kernel:
        kernel.run(_OP)
        assert kernel["tf.__version__, answer"] == ("1.15.0", 42)
        prefix = kernel["sys.prefix"]
        assert kernel["os.environ['CONDA_PREFIX']"] == prefix
        assert (
            kernel["[part for part in sys.path if 'site-packages' in part and not part.startswith(sys.prefix)]"] == []
        )
        assert kernel["tf.__file__"].startswith(prefix)


@pytest.mark.slow
def test_the_real_wheels_on_a_python_from_conda(bare: None, whole: Path, place: Path) -> None:
    done = install.install(InstallRequest("tf1", user=True, channels=(str(whole),)))
    assert Path(done.environment.base_python).is_relative_to(pythons.root())
    with Kernel("tf1") as kernel:
        kernel.run(_OP)
        assert kernel["tf.__version__, answer"] == ("1.15.5", 42)
        assert kernel["sys.base_prefix"].startswith(str(pythons.root()))
