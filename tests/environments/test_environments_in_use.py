"""An environment that a program works in stays, whatever the program is: rebuilds and ``gc`` wait for its end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.commands import command
from tests.support.processes import ended
from tests.support.waiting import DEADLINE
from tfprovisioner.environments import store
from tfprovisioner.kernelspecs import gc, install
from tfprovisioner.kernelspecs.install import Installed
from tfprovisioner.requirements.request import InstallRequest


@pytest.fixture
def made(light: str, place: Path) -> Installed:
    """A kernel that takes a second to build."""
    return install.install(InstallRequest("1.15", user=True))


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    """``tfkernels exec``, once the program is there: it writes a line, and reads until it is told to end."""
    arguments = command("exec", "tf1.15", "--", *words)
    with ended(subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        yield process
        process.communicate("go on\n", timeout=DEADLINE)
        assert process.returncode == 0


def swept() -> list[str]:
    """The environments that ``gc`` takes away."""
    root = str(store.root())
    return [item.path for item in gc.collect() if item.path.startswith(root)]


WAITS = "print('here', flush=True); input(); import ipykernel.comm"
"""What is imported last is there only if the environment still is."""

PROGRAMS = {
    "Python": ("python", "-c", WAITS),
    "a shell": ("bash", "-c", "echo here; read line; python -c 'import ipykernel'"),
    "a program that a shell became": ("bash", "-c", f'exec python -c "{WAITS}"'),
    "a program of the system with a PATH of its own": (
        "bash",
        "-c",
        "PATH=/usr/bin:/bin exec sh -c 'echo here; read line'",
    ),
}


@pytest.mark.parametrize("words", PROGRAMS.values(), ids=PROGRAMS)
def test_a_rebuild_keeps_environments_in_use(made: Installed, words: tuple[str, ...]) -> None:
    former = made.environment.folder
    with running(*words):
        assert install.install(InstallRequest("1.15", user=True, rebuild=True)).environment.folder != former
        assert store.load(former) is not None
        assert swept() == []
        assert store.load(former) is not None
    assert swept() == [str(former)]
    assert not former.exists()


def test_changes_and_removal_keep_environments_in_use(made: Installed) -> None:
    former = made.environment.folder
    with running(*PROGRAMS["a shell"]):
        other = install.install(InstallRequest("1.15", user=True, extras=("tqdm",)))
        assert other.environment.folder != former
        assert store.load(former) is not None
        shutil.rmtree(made.kernelspec)
        assert swept() == [str(other.environment.folder)]
    assert swept() == [str(former)]
