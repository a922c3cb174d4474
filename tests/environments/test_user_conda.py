"""Environments by the user's own conda, and those that it made: a stand-in that takes conda's arguments.

No real one can be installed from a package index.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.channels import Server, order
from tests.support.commands import nothing_is_there
from tfkernels.client import kernelspecs
from tfkernels.client.kernel import Kernel
from tfprovisioner.conda import solve as prefixes
from tfprovisioner.conda import user_conda
from tfprovisioner.conda.channels import PackageRequest
from tfprovisioner.errors import BuildFailed
from tfprovisioner.kernelspecs import install
from tfprovisioner.progress import Reporter

_CONDA = """#!{python}
import json, pathlib, sys
from tfprovisioner.conda import channels, solve as prefixes
from tfprovisioner.progress import Reporter
if sys.argv[1:] == ["info", "--json"]:
    print(json.dumps({{"conda_version": "24.11.2"}}))
else:
    words = sys.argv[1:]
    value = lambda option: words[words.index(option) + 1]
    specs = tuple(words[words.index("--strict-channel-priority") + 1:])
    assert words[:2] == ["create", "--yes"] and "--override-channels" in words, words
    wanted = channels.PackageRequest((value("--channel"),), specs)
    prefixes.install(pathlib.Path(value("--prefix")), wanted, Reporter("x"))
"""


def test_the_users_own_conda_does_the_same(server: Server, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    own = place / "conda"
    own.write_text(_CONDA.format(python=sys.executable))
    own.chmod(0o755)
    done = install.install(order(server.url, conda=str(own)))
    assert "conda 24.11.2 solves and installs" in capfd.readouterr().err
    assert "tensorflow-1.15.5" in (done.environment.folder / prefixes.EXPLICIT).read_text()
    assert f"--conda-exe {own}" in kernelspecs.get("tf1").install_command


def test_what_conda_itself_cannot_be_told_is_refused(server: Server, place: Path) -> None:
    own = place / "conda"
    own.write_text(_CONDA.format(python=sys.executable))
    own.chmod(0o755)
    with pytest.raises(BuildFailed, match=r"cannot limit.*numpy<2.*--conda-exe"):
        install.install(order(server.url, conda=str(own), extras=("-c numpy<2",)))
    assert nothing_is_there(place)


def test_users_conda_environment_is_active_in_its_kernel(server: Server, place: Path) -> None:
    theirs = place / "theirs"
    prefixes.install(
        theirs, PackageRequest((server.url,), ("python=3.7", "tensorflow", "ipykernel")), Reporter("theirs")
    )
    added = install.add(theirs, user=True)
    with Kernel(added.name) as kernel:
        kernel.run("import os, sys")
        assert kernel["sys.prefix"] == kernel["os.environ['CONDA_PREFIX']"] == str(theirs)
        assert kernel["os.environ['FROM_A_HOOK']"] == f"{theirs} costs $5"
    assert install.remove(added.name)[0].environment is None
    assert (theirs / "bin" / "python").exists()


_COMPLAINT = """#!{python}
import sys
sys.stderr.write("x" * 300_000)
sys.stderr.flush()
"""


def test_a_verbose_conda_does_not_block(place: Path) -> None:
    own = place / "conda"
    own.write_text(f'{_COMPLAINT.format(python=sys.executable)}print(\'{{"conda_version": "24.11.2"}}\')\n')
    own.chmod(0o755)
    with pytest.raises(BuildFailed, match="could not make the environment"):
        user_conda.install(own, place / "prefix", PackageRequest(("conda-forge",), ("python",)), Reporter("test"))


def test_a_fake_conda_is_refused(place: Path) -> None:
    other = place / "conda"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    with pytest.raises(BuildFailed, match="neither conda, mamba nor micromamba"):
        user_conda.identity(other)
    with pytest.raises(BuildFailed, match="was not found"):
        user_conda.chosen(str(place / "nothing"))
