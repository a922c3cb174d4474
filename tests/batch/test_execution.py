"""One run, executed here: on real kernels, by papermill, and whatever goes wrong is in its outcome."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.notebooks import text
from tfkernels.client import kernelspecs
from tfprovisioner.batch import workdir
from tfprovisioner.batch.execution import execute, not_started
from tfprovisioner.batch.outcomes import OUTCOME, Cancelled, Executed, Failure, Outcome, Progress
from tfprovisioner.batch.tasks import Run, Task
from tfprovisioner.notebook_metadata.notebook_file import KEY

pytestmark = pytest.mark.usefixtures("installed")


def _task(kernel: str, *cells: str, parameters: dict[str, Any] | None = None, **options: Any) -> Task:
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    run = Run(f"nb-{kernel}", "nb.ipynb", kernel, parameters or {})
    return Task(run, nbformat.writes(notebook), "fingerprint", **options)


def _executed(task: Task, cancelled: threading.Event | None = None) -> Executed:
    told: list[Progress] = []
    return execute(task, kernelspecs.get(task.run.kernel), told.append, cancelled or threading.Event())


def _cells(executed: Executed) -> list[Any]:
    return list(nbformat.reads(executed.notebook, as_version=4).cells)


def test_parameters_and_provenance_are_in_the_notebook() -> None:
    told: list[Progress] = []
    task = _task("tf1", "\n# first\n1", "", "print(2 * n)", parameters={"n": 3})
    executed = execute(task, kernelspecs.get("tf1"), told.append, threading.Event())
    assert [(each.cell, each.cells, each.text) for each in told] == [
        (1, 3, "# Parameters"),
        (2, 3, "# first"),
        (3, 3, "print(2 * n)"),
    ]
    assert executed.outcome.state == "passed"
    assert text(_cells(executed)[-1].outputs) == "6\n"
    metadata = nbformat.reads(executed.notebook, as_version=4).metadata
    assert metadata.kernelspec.name == "tf1"
    assert Outcome.from_json(metadata[KEY][OUTCOME]) == executed.outcome
    assert executed.outcome.tensorflow.startswith("1.15")
    assert executed.outcome.python.startswith("3.7")
    assert len(executed.outcome.lock) == 64
    assert metadata.papermill.input_path == "nb.ipynb"


@pytest.mark.parametrize(
    ("kernel", "cell", "kind", "message"),
    [
        ("tf1", "raise ValueError('no')", "ValueError", "no"),
        ("tf2", "raise ExceptionGroup('no', [ValueError(1)])", "ExceptionGroup", "no (1 sub-exception)"),
        # Errors of which IPython sends no message
        ("tf1", "%nowhere", "UsageError", "Line magic function `%nowhere` not found."),
        ("tf2", "import bdb; raise bdb.BdbQuit('no')", "BdbQuit", "no"),
    ],
)
def test_a_failing_cell_is_named(kernel: str, cell: str, kind: str, message: str) -> None:
    executed = _executed(_task(kernel, "1", cell, "2", parameters={"n": 1}))
    failure = executed.outcome.failure
    assert failure is not None
    assert (failure.kind, failure.message) == (kind, message)
    assert cell in failure.traceback or not failure.traceback
    assert failure.cell is not None
    assert _cells(executed)[failure.cell].source == cell


def test_an_exit_without_an_error_ends_a_run_well() -> None:
    executed = _executed(_task("tf1", "import sys; sys.exit()", "print('never')"))
    assert executed.outcome.failure is None
    assert text(_cells(executed)[-1].outputs) == ""


@pytest.mark.parametrize(
    ("cell", "options", "kind", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", {}, "KernelDied", "signal SIGSEGV"),
        ("import os; os._exit(3)", {}, "KernelDied", "exit code 3"),
        ("import time; time.sleep(1000)", {"cell_timeout": 1.0}, "CellTimeout", "longer than 1 s"),
        ("input()", {}, "StdinNotImplementedError", "does not support input"),  # IPython's, where nobody can answer
    ],
)
def test_what_else_goes_wrong(cell: str, options: dict[str, Any], kind: str, message: str) -> None:
    failure = _executed(_task("tf1", "1", cell, **options)).outcome.failure
    assert failure is not None
    assert failure.kind == kind
    assert message in failure.message


@pytest.mark.parametrize(
    ("argv", "kind", "message"),
    [
        (["/nowhere/python"], "KernelNotStarted", "No such file or directory: '/nowhere/python'"),
        ([sys.executable, "-c", "raise SystemExit('no module named x')"], "KernelDied", "no module named x"),
        ([sys.executable, "-c", "import time; time.sleep(1000)"], "KernelNotStarted", "didn't respond in 2 seconds"),
    ],
)
def test_a_kernel_that_does_not_start_is_told(tmp_path: Path, argv: list[str], kind: str, message: str) -> None:
    content = {"argv": argv, "display_name": "odd", "language": "python"}
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "kernel.json").write_text(json.dumps(content))
    spec = kernelspecs.KernelSpec("odd", tmp_path / "odd", content)
    executed = execute(_task("odd", "1", kernel_timeout=2.0), spec, lambda _: None, threading.Event())
    failure = executed.outcome.failure
    assert failure is not None
    assert failure.kind == kind
    assert message in failure.message
    assert [cell.source for cell in _cells(executed)] == ["1"]


def test_a_run_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    cancelled = threading.Event()

    def tell(progress: Progress) -> None:
        if progress.cell == 2:  # the first cell's child has been started
            cancelled.set()

    start = "import subprocess; p = subprocess.Popen(['sleep', '600'])"
    note = f"with open({str(tmp_path / 'pid')!r}, 'w') as file: file.write(str(p.pid))"
    with pytest.raises(Cancelled):
        execute(
            _task("tf1", f"{start}\n{note}", "import time; time.sleep(1000)"), kernelspecs.get("tf1"), tell, cancelled
        )
    child = int((tmp_path / "pid").read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    assert not [process for process in psutil.Process().children(recursive=True) if "sleep" in process.name()]


def test_processes_of_cells_end_with_the_run() -> None:
    executed = _executed(_task("tf1", "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"))
    child = int(text(_cells(executed)[0].outputs))
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_fresh_folders_take_inputs_and_return_files(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.txt").write_text("7")
    inputs = workdir.pack({tmp_path / "data": "data"})
    executed = _executed(
        _task("tf1", "x = open('data/x.txt').read()", "open('out.txt', 'w').write(x * 2)", inputs=inputs)
    )
    assert executed.outcome.passed, executed.outcome
    assert executed.files is not None
    with zipfile.ZipFile(io.BytesIO(executed.files)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"out.txt": b"77"}


def test_runs_in_the_notebooks_folder_import_from_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("x = 5")
    here = os.getcwd()
    executed = _executed(_task("tf1", "import beside; print(beside.x)", folder=str(tmp_path)))
    assert text(_cells(executed)[0].outputs) == "5\n"
    assert os.getcwd() == here


def test_runs_in_one_process_do_not_interfere(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(2)]
    for folder in folders:
        folder.mkdir()
    tasks = [_task("tf1", "import os; print(os.path.basename(os.getcwd()))", folder=str(folder)) for folder in folders]
    with ThreadPoolExecutor(2) as threads:
        shown = [text(_cells(executed)[0].outputs) for executed in threads.map(_executed, tasks)]
    assert shown == ["0\n", "1\n"]


@pytest.mark.parametrize(("check", "checked"), [("x == 3", True), ("x > 3", False)])
def test_an_expression_is_evaluated_after_the_last_cell(check: str, checked: bool) -> None:
    assert _executed(_task("tf1", "x = 3", check=check)).checked is checked


def test_an_expression_that_raises_fails_the_run() -> None:
    failure = _executed(_task("tf1", "x = 3", check="y")).outcome.failure
    assert failure is not None
    assert (failure.kind, "last cell: y" in failure.message) == ("NameError", True)


def test_old_notebook_formats_run_with_parameters() -> None:
    old = nbformat.v3.new_notebook(
        worksheets=[nbformat.v3.new_worksheet(cells=[nbformat.v3.new_code_cell(input="print(n)")])]
    )
    task = Task(Run("old-tf1", "old.ipynb", "tf1", {"n": 4}), nbformat.v3.nbjson.JSONWriter().writes(old), "")
    assert text(_cells(_executed(task))[-1].outputs) == "4\n"


def test_an_unstarted_run_keeps_input_and_reason() -> None:
    executed = not_started(_task("tf9", "1"), Failure("KernelMissing", "there is no kernel tf9"))
    assert [cell.source for cell in _cells(executed)] == ["1"]
    assert executed.outcome.failure is not None
    nbformat.validate(nbformat.reads(executed.notebook, as_version=4))


def test_archives_cannot_write_outside_their_folder(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../outside", "x")
        archive.writestr("/absolute", "y")
    (tmp_path / "in").mkdir()
    workdir.unpack(packed.getvalue(), tmp_path / "in")
    assert sorted(path.name for path in (tmp_path / "in").rglob("*") if path.is_file()) == ["absolute", "outside"]
    assert not (tmp_path / "outside").exists()
