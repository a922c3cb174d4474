"""What a user gets: the built wheel in an empty environment, and the main job from it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from uv import find_uv_bin

from tests.support import environments
from tfprovisioner.kernelspecs.install import Installed

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", str(folder), str(_ROOT)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_both_packages(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "kernels", "provisioner", "notebooks"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    for path in tracked:
        top, _, inside = path.partition("/")
        if inside.startswith(("catalogue_builder/", "conversion_table/")):  # what maintainers make pages with
            continue
        assert (f"tfprovisioner/notebooks/{inside}" if top == "notebooks" else inside) in names, path
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"tfkernels", "tfprovisioner"}


@dataclass
class User:
    """Somebody with a wheel, in a folder that is no checkout, and with variables that do not lead to one."""

    folder: Path
    wheel: Path
    installed: str = ""
    """What the installation of the two usual kernels says."""

    def run(self, *command: str) -> str:
        done = self.tried(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def tried(self, *command: str) -> subprocess.CompletedProcess[str]:
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
        }
        variables.update(TFKERNELS_HOME=str(self.folder / "home"), JUPYTER_DATA_DIR=str(self.folder / "jupyter"))
        variables["JUPYTER_PATH"] = str(self.folder / "none")
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False)

    def pip(self, *arguments: str) -> str:
        """uv is faster than pip, and has its wheels in a cache."""
        return self.run(find_uv_bin(), "--quiet", "pip", arguments[0], "--python", self.python, *arguments[1:])

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    @property
    def python(self) -> str:
        return str(self.venv / "bin" / "python")

    @property
    def tfkernels(self) -> str:
        return str(self.venv / "bin" / "tfkernels")


@pytest.fixture(scope="module")
def user(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> User:
    """One for all tests, who leave the wheel installed."""
    user = User(tmp_path_factory.mktemp("user"), wheel)
    user.run(find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(user.venv))
    user.pip("install", str(wheel))
    return user


@pytest.fixture(scope="module")
def with_kernels(user: User, installed: dict[str, Installed]) -> User:
    environments.compiled(user.folder / "home", installed.values())
    user.installed = user.run(user.tfkernels, "install")
    return user


def test_without_an_extra_its_commands_name_it(user: User) -> None:
    packages = user.pip("freeze").splitlines()
    assert len(packages) <= 60, packages
    for arguments, missing, extra in (
        ("run x.ipynb -k tf1", "distributed", "batch"),
        ("report .", "distributed", "batch"),
        ("bisect x --good 1 --bad 2", "distributed", "batch"),
        ("install --requirements x.txt", "pip_requirements_parser", "requirements"),
    ):
        done = user.tried(user.tfkernels, *arguments.split())
        assert done.returncode == 2
        assert done.stderr.endswith(
            f" needs more packages: {missing!r} is not installed. pip install 'tfkernels[{extra}]'.\n"
        )


def test_the_wheel_works_in_an_empty_environment(with_kernels: User) -> None:
    user = with_kernels
    assert user.run(user.tfkernels, "--version").strip()
    assert user.installed.count(": installed. ") == 2
    kernelspec = (user.venv / "share" / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text()
    assert str(_ROOT / "kernels") not in kernelspec, "the kernels run the installed code"

    shown = user.run(user.tfkernels, "demo", "--output", str(user.folder / "shown"))
    assert "TensorFlow 1.15.5 against TensorFlow 2.21.0" in shown
    assert "logits" in shown
    (path,) = (user.folder / "shown").iterdir()
    assert str(path) in shown
    executed = nbformat.read(path, as_version=4)
    assert executed.metadata["kernelspec"]["name"] == "tf2"
    assert executed.metadata["kernelspec"]["display_name"].startswith("TensorFlow 2.21 · Python 3.")
    outputs = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})], "the plot"


_LISTED = "from jupyter_client.kernelspec import KernelSpecManager as M; print(*sorted(M().get_all_specs()))"
"""What a server of Jupyter answers to its picker."""

_CELL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(startup_timeout=240, kernel_name="for-all")
print(client.execute("1 + 1", reply=True, timeout=240)["content"]["evalue"])
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def test_after_pip_uninstall_no_kernel_fails_without_words(with_kernels: User) -> None:
    """Those beside that Jupyter leave its picker; those for all Jupyters stay, and say what is missing."""
    user = with_kernels
    user.run(user.tfkernels, "install", "1.15", "--name", "for-all", "--user")
    assert {"for-all", "tf1", "tf2"} <= {*user.run(user.python, "-c", _LISTED).split()}
    user.pip("install", "pip")
    user.run(user.python, "-m", "pip", "uninstall", "--quiet", "--yes", "tfkernels")
    try:
        listed = user.run(user.python, "-c", _LISTED).split()
        assert "for-all" in listed
        assert not {"tf1", "tf2"} & {*listed}
        told = user.run(user.python, "-c", _CELL)
    finally:
        user.pip("uninstall", "pip")
        user.pip("install", str(user.wheel))
    assert "The kernel for-all cannot start: the tfkernels that registered it was at " in told
    assert "pip install tfkernels" in told
    assert "tfkernels install 1.15 --name for-all --user" in told
