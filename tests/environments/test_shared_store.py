"""Kernels that root installs once, and other users use without a write: the commands of the page, run as printed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from jupyter_core.paths import SYSTEM_JUPYTER_PATH

from tests.support import environments, other_user, package_index
from tfprovisioner.kernelspecs.install import Installed

# The system lets only root become another user; the continuous integration runs as root, and so runs these tests.
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "share-one-installation.md"
HUB, EVERYBODY, CLUSTER, PROFILE, LOOKS, OWN = re.findall(r"(?:^    .*\n)+", PAGE.read_text("utf-8"), re.MULTILINE)


@dataclass
class Store:
    """Where the administrator put things; nobody else may write there."""

    root: Path

    def run(self, script: str, **variables: str) -> str:
        """What commands of the page print, with this store in place of the page's folders, and one release of two."""
        for there, here in (("/opt", "opt"), ("/usr/local", "local")):
            script = script.replace(there, str(self.root / here))
        # The Jupyter beside this Python is not the tests' own to change.
        beside = f"import sys; sys.prefix = {str(self.hub)!r}; sys.argv[0] = 'tfkernels'; import tfprovisioner.__main__"
        function = f'tfkernels() {{ {shlex.quote(sys.executable)} -c {shlex.quote(beside)} "$@"; }}\n'
        done = subprocess.run(
            ["sh", "-ec", function + script.replace("install 1.15 2.21", "install 1.15")],
            env={**os.environ, "JUPYTER_PATH": str(self.jupyter), **variables}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    @property
    def hub(self) -> Path:
        return self.root / "hub"

    @property
    def jupyter(self) -> Path:
        return self.hub / "share" / "jupyter"

    @property
    def python(self) -> Path:
        (python,) = self.root.glob("opt/tfkernels/environments/*/bin/python")
        return python

    def state(self) -> dict[Path, tuple[int, int]]:
        found = [*self.root.rglob("*")]
        return {path: (path.lstat().st_size, path.lstat().st_mtime_ns) for path in found}

    def of_another_user(
        self, *command: str, mounts: str = "true", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        readable = [self.root, Path(os.path.realpath(self.python)).parents[1]]
        variables = {"JUPYTER_PATH": str(self.jupyter), **variables}
        return other_user.run(self.root.with_name(f"{self.root.name}-home"), command, mounts, readable, **variables)


@pytest.fixture(scope="module")
def store(installed: dict[str, Installed]) -> Iterator[Store]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # pytest's own are private
        os.chmod(folder, 0o755)  # noqa: S103 (as /opt is)
        (Path(folder) / "store").mkdir()
        made = Store(Path(folder) / "store")
        environments.compiled(made.root / "opt" / "tfkernels", [installed["tf1"]])
        said = made.run(HUB)
        assert "tf1.15: ok" in said
        yield made


CELLS = """
import numpy as np, tfkernels
with tfkernels.kernel("tf1.15") as kernel:
    found = kernel.run("import sys, tensorflow as tf; y = x + 1", inputs={"x": np.ones(12_500_000)}, outputs={"y": "y"})
    print(found["y"].sum(), kernel["tf.__version__"])
"""


def test_others_use_the_store_without_a_write(store: Store) -> None:
    before = store.state()
    for line in LOOKS.splitlines():
        done = store.of_another_user("sh", "-ec", line)
        assert done.returncode == 0, done.stdout + done.stderr
    for arguments in (["install", "1.15", "--prefix", str(store.hub)], ["list"]):
        done = store.of_another_user("tfkernels", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "tf1.15" in done.stdout
        assert "Traceback" not in done.stderr
    done = store.of_another_user("python", "-c", CELLS)
    assert done.stdout == "25000000.0 1.15.5\n", done.stderr
    assert store.state() == before


def test_a_batch_uses_the_shared_kernel(store: Store) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import sys\nprint(sys.prefix)")])
    home = store.root.with_name(f"{store.root.name}-home")
    home.mkdir(exist_ok=True)
    nbformat.write(notebook, home / "nb.ipynb")
    command = ["tfkernels", "run", "nb.ipynb", "-k", "tf1.15"]
    before = store.state()
    refused = store.of_another_user(*command, "-o", "no", mounts="mount -t tmpfs -o mode=755 none /dev/shm")
    assert refused.returncode == 1
    assert "no semaphore can be made in /dev/shm: Permission denied. Make that a folder" in refused.stderr
    assert "Traceback" not in refused.stderr
    done = store.of_another_user(*command, "-o", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(store.python.parents[1]) in (home / "out" / "nb-tf1.15.ipynb").read_text()
    assert store.state() == before


@pytest.mark.parametrize("command", ["install --user 1.15", "doctor tf1.15"])
def test_a_limit_of_processes_is_named(store: Store, command: str) -> None:
    for number in (1, 5):
        done = store.of_another_user("prlimit", f"--nproc={number}", "tfkernels", *command.split())
        assert done.returncode == 1, done.stdout + done.stderr
        said = done.stdout + done.stderr
        assert "limit of processes and threads is reached" in said
        assert "Traceback" not in said
        assert "--rebuild" not in said, "nothing is wrong with the environment"


def test_what_others_cannot_change_is_refused(store: Store) -> None:
    wheel = package_index.wheel(store.root.parent, "tiny", "1.0", {"tiny.py": ""})
    before, prefix = store.state(), str(store.hub)
    for arguments, words in (
        (
            ["install", "1.15", "--rebuild", "--prefix", prefix],
            "tf1.15 cannot be written. Free some space or",
        ),
        (["remove", "tf1.15"], "could not be removed, and nothing was changed: Permission denied"),
        (["exec", "tf1.15", "--", "pip", "install", "--no-index", str(wheel)], "Permission denied"),
    ):
        done = store.of_another_user("tfkernels", *arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert store.state() == before


HOSTILE = {
    "small shared memory": "mount -t tmpfs -o size=64k,mode=1777 none /dev/shm",
    "no shared memory": "mount -t tmpfs -o ro,mode=000 none /dev/shm",
    "temporary files without execution": "mkdir t; mount -t tmpfs -o noexec,mode=777 none t; export TMPDIR=$PWD/t",
    "full temporary folder": (
        "mkdir -p t; mount -t tmpfs -o size=4k,nr_inodes=2,mode=777 none t; touch t/full; export TMPDIR=$PWD/t"
    ),
    "a read-only home": 'mount --bind "$PWD" "$PWD"; mount -o remount,bind,ro "$PWD"; cd "$PWD"',
    "umask 077": "umask 077",
    "umask 000": "umask 000",
    "nowhere": "export TMPDIR=/nowhere HOME=/nowhere",
}


@pytest.mark.parametrize("place", HOSTILE)
def test_cells_run_in_hostile_places(store: Store, place: str) -> None:
    """As another user without an account, each with 100 MB there and back."""
    script = CELLS.replace(", tensorflow as tf", "").replace("tf.__version__", "1 + 1")
    done = store.of_another_user("python", "-c", script, mounts=HOSTILE[place])
    assert done.stdout == "25000000.0 2\n", done.stderr


def test_a_user_adds_a_kernel_beside(store: Store, tmp_path: Path) -> None:
    """As root with another home: the other user's cache of uv would be empty."""
    cache = subprocess.run([sys.executable, "-m", "uv", "cache", "dir"], capture_output=True, text=True, check=True)
    variables = {"HOME": str(tmp_path), "UV_CACHE_DIR": cache.stdout.strip(), "TFKERNELS_HOME": "", "XDG_DATA_HOME": ""}
    before = store.state()
    said = store.run(OWN, JUPYTER_DATA_DIR="", **variables)
    assert "mine: installed" in said
    assert (tmp_path / ".local/share/jupyter/kernels/mine/kernel.json").exists()
    assert list((tmp_path / ".local/share/tfkernels/environments").iterdir())
    assert store.state() == before


def test_a_prefix_is_for_jupyters_of_others(store: Store) -> None:
    said = store.run(EVERYBODY + CLUSTER, TFKERNELS_HOME=str(store.root / "opt" / "second"))
    data = store.root / "opt" / "tfkernels" / "share" / "jupyter"
    for place in (data, store.root / "local" / "share" / "jupyter"):
        content = (place / "kernels" / "tf1.15" / "kernel.json").read_text()
        assert "kernel_provisioner" not in content, "Jupyters without tfkernels hide such a kernel"
        assert f'"tfkernels install 1.15 --prefix {place.parents[1]}"' in content
    told = f"Jupyter does not look into {data}. Set this variable where it starts: JUPYTER_PATH={data}"
    assert told in said
    assert PROFILE.strip() == "export " + told.rpartition(" ")[2].replace(str(store.root), "")
    assert "/usr/local/share/jupyter" in SYSTEM_JUPYTER_PATH, "all Jupyters of a machine look there"
