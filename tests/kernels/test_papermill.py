"""Plain papermill, as people type it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from papermill import execute_notebook
from papermill.exceptions import PapermillExecutionError

from tests.support.notebooks import plain, text
from tests.support.waiting import DEADLINE
from tfprovisioner.kernelspecs.install import Installed


def papermill(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--no-progress-bar", "--start-timeout", "240", *arguments]
    command = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def write(folder: Path, *cells: str, kernel: str = "python3") -> None:
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    notebook.cells[0].metadata["tags"] = ["parameters"]
    # The kernel that a notebook names is often not the one it is run on.
    notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    nbformat.write(notebook, folder / "in.ipynb")


@pytest.mark.parametrize(("kernel", "other"), [("tf1", "tf2"), pytest.param("tf2", "tf1", marks=pytest.mark.slow)])
def test_runs_on_the_kernel_with_parameters(
    installed: dict[str, Installed], tmp_path: Path, kernel: str, other: str
) -> None:
    write(
        tmp_path,
        "n = 1\nname = 'x'",
        "import tensorflow as tf\nprint(tf.__version__, n, name)",
        f"%%{other} -i n -o m,there\nimport tensorflow as tf\nm = n + 1\nthere = tf.__version__",
        "print(m, there)",
    )
    done = papermill(tmp_path, "-k", kernel, "-p", "n", "41", "-p", "name", "ä")
    assert done.returncode == 0, done.stderr
    out = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    versions = {name: made.environment.recipe.tensorflow for name, made in installed.items()}
    assert text(out.cells[2].outputs) == f"{versions[kernel]} 41 ä\n"
    assert text(out.cells[4].outputs) == f"42 {versions[other]}\n"
    # papermill leaves the input's kernelspec in the output (papermill#856); the kernel says itself which one it is.
    assert out.metadata["language_info"]["tfkernels"] == {"kernel": kernel, "tensorflow": versions[kernel]}


def test_papermill_fails_with_the_remote_error(installed: object, tmp_path: Path) -> None:
    write(tmp_path, "x = 1", "%%tf1 -i x\ndef f(x):\n    return x / 0\n\nf(x)", "print('never')", kernel="tf2")
    done = papermill(tmp_path, "-k", "tf2")
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    out = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    (failed,) = [cell for cell in out.cells if cell.source.startswith("%%tf1")]
    (error,) = failed.outputs
    assert "return x / 0" in plain("\n".join(error.traceback))
    assert "never" not in "".join(text(cell.outputs) for cell in out.cells if cell.cell_type == "code")
    assert out.metadata["language_info"]["tfkernels"]["kernel"] == "tf2"


def error_here(folder: Path, kernel: str) -> str:
    """The error of the notebook, executed by papermill in this process, or nothing."""
    try:
        names = {"input_path": folder / "in.ipynb", "output_path": folder / "out.ipynb", "kernel_name": kernel}
        execute_notebook(**names, start_timeout=DEADLINE, progress_bar=False)
    except PapermillExecutionError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("code", "passes"), [("sys.exit()", True), ("sys.exit(0)", True), ("sys.exit(3)", False)])
def test_exit_ends_the_notebook_as_natively(installed: object, tmp_path: Path, code: str, passes: bool) -> None:
    """That the error itself is the native one: see test_output_as_native."""
    write(tmp_path, "x = 1", f"%%tf1\nimport sys\n{code}", "print('never')", kernel="tf2")
    assert (error_here(tmp_path, "tf2") == "") is passes
    out = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert [output.ename for cell in out.cells for output in cell.get("outputs", ()) if "ename" in output] == [
        "SystemExit"
    ]
    assert "never" not in "".join(text(cell.outputs) for cell in out.cells if cell.cell_type == "code")


def test_nbclient_allows_remote_errors_by_name(installed: object) -> None:
    notebook = new_notebook(cells=[new_code_cell("%%tf1\n1 / 0"), new_code_cell("print('on')")])
    NotebookClient(
        notebook, startup_timeout=DEADLINE, kernel_name="tf2", allow_error_names=["ZeroDivisionError"]
    ).execute()
    assert text(notebook.cells[1].outputs) == "on\n"


def test_input_fails_at_once_instead_of_hanging(installed: object, tmp_path: Path) -> None:
    write(tmp_path, "x = 1", "%%tf1\ninput('name? ')", kernel="tf2")
    assert "does not support input requests" in error_here(tmp_path, "tf2")


def test_nbconvert_execute(installed: object, tmp_path: Path) -> None:
    write(tmp_path, "import tensorflow as tf\ntf.__version__[:2]", kernel="tf1")
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output", "out.ipynb", "in.ipynb"]
    subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert text(nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[0].outputs) == "'1.'"
