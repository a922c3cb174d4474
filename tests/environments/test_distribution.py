"""What a user gets: the built wheel in an empty environment, and the main job from it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from uv import find_uv_bin

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


def test_without_an_extra_its_commands_name_it(wheel: Path, tmp_path: Path) -> None:
    uv = [find_uv_bin(), "--quiet"]
    subprocess.run([*uv, "venv", "--python", sys.executable, str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([*uv, "pip", "install", "--python", str(python), str(wheel)], check=True)
    frozen = [*uv, "pip", "freeze", "--python", str(python)]
    packages = subprocess.run(frozen, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(packages) <= 60, packages
    for arguments, missing, extra in (
        ("run x.ipynb -k tf1", "distributed", "batch"),
        ("report .", "distributed", "batch"),
        ("bisect x --good 1 --bad 2", "distributed", "batch"),
        ("install --requirements x.txt", "pip_requirements_parser", "requirements"),
    ):
        command = [str(python.with_name("tfkernels")), *arguments.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.endswith(
            f" needs more packages: {missing!r} is not installed. pip install 'tfkernels[{extra}]'.\n"
        )


_LISTED = "from jupyter_client.kernelspec import KernelSpecManager as M; print(*sorted(M().get_all_specs()))"
"""What a server of Jupyter answers to its picker."""

_CELL = """
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name="for-all")
print(client.execute("1 + 1", reply=True, timeout=60)["content"]["evalue"])
client.stop_channels()
manager.shutdown_kernel(now=True)
"""


def test_after_pip_uninstall_no_kernel_fails_without_words(wheel: Path, tmp_path: Path) -> None:
    """Those beside that Jupyter leave its picker; those for all Jupyters stay, and say what is missing."""
    uv, venv = find_uv_bin(), tmp_path / "venv"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    variables.update(TFKERNELS_HOME=str(tmp_path / "home"), JUPYTER_DATA_DIR=str(tmp_path / "jupyter"))
    variables["JUPYTER_PATH"] = str(tmp_path / "none")

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    python = str(venv / "bin" / "python")
    run(uv, "venv", "--quiet", "--python", sys.executable, str(venv))
    run(uv, "pip", "install", "--quiet", "--python", str(venv), "pip", str(wheel))
    run(str(venv / "bin" / "tfkernels"), "install", "tf1", "tf2")
    run(str(venv / "bin" / "tfkernels"), "install", "1.15", "--name", "for-all", "--user")
    assert {"for-all", "tf1", "tf2"} <= {*run(python, "-c", _LISTED).split()}
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "tfkernels")
    listed = run(python, "-c", _LISTED).split()
    assert "for-all" in listed
    assert not {"tf1", "tf2"} & {*listed}
    told = run(python, "-c", _CELL)
    assert "The kernel for-all cannot start: the tfkernels that registered it was at " in told
    assert "pip install tfkernels" in told
    assert "tfkernels install 1.15 --name for-all --user" in told


def test_the_wheel_works_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    uv = find_uv_bin()
    venv = tmp_path / "venv"
    # A folder that is no checkout, and variables that do not lead to one.
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    variables["TFKERNELS_HOME"] = str(tmp_path / "home")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    run(uv, "venv", "--quiet", "--python", sys.executable, str(venv))
    run(uv, "pip", "install", "--quiet", "--python", str(venv), str(wheel))
    tfkernels = str(venv / "bin" / "tfkernels")
    assert run(tfkernels, "--version").stdout.strip()
    assert run(tfkernels, "install").stdout.count(": installed. ") == 2
    kernelspec = (venv / "share" / "jupyter" / "kernels" / "tf1" / "kernel.json").read_text()
    assert str(_ROOT / "kernels") not in kernelspec, "the kernels run the installed code"

    shown = run(tfkernels, "demo", "--output", str(tmp_path / "shown"))
    assert "TensorFlow 1.15.5 against TensorFlow 2.21.0" in shown.stdout
    assert "logits" in shown.stdout
    (path,) = (tmp_path / "shown").iterdir()
    assert str(path) in shown.stdout
    executed = nbformat.read(path, as_version=4)
    assert executed.metadata["kernelspec"]["name"] == "tf2"
    assert executed.metadata["kernelspec"]["display_name"].startswith("TensorFlow 2.21 · Python 3.")
    outputs = [output for cell in executed.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})], "the plot"
