"""The example notebooks find what they say they find. ``tfkernels demo`` runs the other one, see test_distribution."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.notebooks import text
from tfkernels import compare
from tfkernels.client import kernelspecs
from tfprovisioner.batch import execution
from tfprovisioner.batch.recorded import of_notebook
from tfprovisioner.batch.tasks import Run, Task

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def execute(name: str, output: Path, *arguments: str, cwd: Path = NOTEBOOKS) -> dict[str, Any]:
    """Runs a notebook with plain papermill on the kernel that it names; its cells by id."""
    options = ["--no-progress-bar", "--start-timeout", "240", *arguments]
    command = [sys.executable, "-m", "papermill", name, str(output), *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {cell.id: cell for cell in nbformat.read(output, as_version=4).cells}


def test_the_first_difference_is_found_and_corrected(installed: object, tmp_path: Path) -> None:
    cells = execute("find_the_first_difference.ipynb", tmp_path / "out.ipynb")
    assert text(cells["port"].outputs).startswith("17 of 17 weights have a source that fits\n")
    (headline, *_) = text(cells["compare"].outputs).splitlines()
    assert headline == "9 of 12 parts differ between tf1 and tf2; the first is conv2"
    assert text(cells["first"].outputs) == "the first difference: conv2\n"
    assert "all 12 parts agree between tf1 and tf2" in text(cells["corrected"].outputs)
    assert "comparison" in cells["compare"].metadata.tags


def test_the_reason_for_worse_training_is_found(installed: object, tmp_path: Path) -> None:
    cells = execute("why_it_trains_worse.ipynb", tmp_path / "out.ipynb", "-p", "epochs", "2")
    assert text(cells["same-inference"].outputs) == "all layers agree\n"
    assert text(cells["finding"].outputs).startswith("step 1, output drop1: drop1 drops 20 % in tf1 and 80 % in port")
    assert text(cells["corrected"].outputs) == "the steps agree\n"
    first = text(cells["corrected-curve"].outputs).splitlines()[1].split()
    assert first[1] == first[3] != first[2]  # the curves of the old model, of the port, and of the corrected one


def test_old_notebooks_run_beside_the_kernels_own_tensorflow(installed: object, tmp_path: Path) -> None:
    path = str(NOTEBOOKS / "tf1_in_a_hosted_notebook.ipynb")
    options = ["-k", "tf2", "-p", "source", "", "-p", "steps", "30"]  # tf2 stands in for the service's kernel
    cells = execute(path, tmp_path / "out.ipynb", *options, cwd=tmp_path)
    assert text(cells["kernel"].outputs).startswith("tf1: already there. ")
    assert text(cells["versions"].outputs) == "TensorFlow 1.15.5 in %%tf1 cells, and 2.21.0 in all others\n"
    assert "the data: 2.0" in text(cells["gan-shown"].outputs)
    assert text(cells["detector-shown"].outputs) == "squares at [[8, 12], [60, 100], [88, 32]]\n"
    assert text(cells["compare"].outputs).startswith("all 2 parts agree between 1.15 and 2.x")


@pytest.mark.slow  # the notebook ends with its corrected port
def test_no_difference_is_found_in_a_correct_port(installed: object, tmp_path: Path) -> None:
    cells = execute("find_the_first_difference.ipynb", tmp_path / "out.ipynb", "-p", "use_explicit_padding", "False")
    assert text(cells["compare"].outputs).startswith("all 12 parts agree between tf1 and tf2")
    assert text(cells["first"].outputs) == "the first difference: none\n"


def test_the_parity_matrix_shows_the_stated_verdicts(installed: object) -> None:
    path = NOTEBOOKS / "parity_matrix.ipynb"
    found = {}
    for name in ("tf1", "tf2"):
        task = Task(Run(name, path.name, name, {"steps": 20}), path.read_text(encoding="utf-8"), "", inline=True)
        executed = execution.execute(task, kernelspecs.get(name), lambda progress: None, threading.Event())
        assert executed.outcome.passed, executed.outcome.failure
        records = of_notebook(nbformat.reads(executed.notebook, as_version=4), NOTEBOOKS)
        found[name] = {record.name: record for record in records}
    assert list(found["tf1"]) == list(found["tf2"])
    verdicts = {}
    for name, ours in found["tf1"].items():
        compared = compare(ours.value(), found["tf2"][name].value(), rtol=ours.rtol, atol=ours.atol)
        verdicts[name] = {part.verdict for part in compared.parts}
    agreeing = {name for name, verdict in verdicts.items() if verdict <= {"equal", "close"}}
    assert set(verdicts) - agreeing == {"random, graph's seed", "resize", "LSTM", "Keras rmsprop", "Keras adagrad"}
    assert verdicts["max pool"] == verdicts["random, both seeds"] == verdicts["resize, v1"] == {"equal"}
    assert "close" in verdicts["softmax"] | verdicts["Adam"]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_results(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == ("python3" if "hosted" in path.stem else "tf2")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert ["parameters"] in [cell.metadata.get("tags") for cell in code]
