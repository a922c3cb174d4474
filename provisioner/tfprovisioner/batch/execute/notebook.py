"""Execution of one run on this machine: papermill on the kernel of a kernelspec, and the outcome."""

import json
import os
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from contextvars import Context
from datetime import datetime, timezone
from pathlib import Path

import nbformat
import papermill
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.notebooknode import from_dict
from papermill.exceptions import PapermillExecutionError

from tfkernels import recording
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.client.process import ending
from tfprovisioner.batch import kernel_ref, outcomes
from tfprovisioner.batch.execute.engine import ENGINE, CheckFailed, Launch
from tfprovisioner.batch.outcomes import FAILED, PASSED, Cancelled, Executed, Failure, Outcome, Progress
from tfprovisioner.batch.tasks import Task
from tfprovisioner.batch.workdir import WorkDir, private_folder

CANCEL_POLL_INTERVAL = 0.1
"""Seconds between two looks at whether a run was cancelled."""

_LOG_KEPT = 2000
"""Characters at the end of a dead kernel's output, for the failure's message."""


def execute(
    task: Task,
    spec: KernelSpec,
    tell: Callable[[Progress], None],
    cancelled: threading.Event,
    variables: Mapping[str, str] | None = None,
) -> Executed:
    """Runs a task's notebook on the kernel of ``spec``. The outcome says whatever goes wrong with it.

    The kernel's process inherits ``variables``, by default this process's. When ``cancelled`` is set, the kernel ends
    at once, and this raises ``Cancelled``. No process of the kernel is left. Several threads may execute tasks.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    with private_folder() as private, (private / "log").open("wb") as log:
        records = private / "records"
        records.mkdir(mode=0o700)
        work = WorkDir(private / "work", task.inputs) if task.folder is None else None
        notebook = _read(task.notebook)
        reached: list[int] = []

        def begins(index: int, cell: NotebookNode) -> None:
            reached.append(index)
            assert launch.notebook is not None
            count = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in launch.notebook.cells)
            first_line = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
            tell(Progress(task.run.name, "running", len(reached), count, first_line[:200], outcomes.host()))

        inherited = {**(os.environ if variables is None else variables), recording.FOLDER: str(records)}
        launch = Launch(task, spec, private, work.folder if work else Path(str(task.folder)), inherited, log, begins)
        error = _run(launch, notebook, cancelled)
        failure = None if error is None else _failure(error, launch, reached, private / "log")
        if cancelled.is_set():
            raise Cancelled(task.run.name)
        outcome = _outcome(task, spec, failure, started, time.monotonic() - clock)
        executed = launch.notebook or notebook
        values = {
            file.name: file.read_bytes() for file in records.iterdir() if re.fullmatch(r"[0-9a-f]{64}", file.name)
        }
        if task.inline:
            _put_inside(executed, values)
            values = {}
        files = work.changes() if work else None
        return Executed(outcome, _to_text(executed, outcome, spec), values, files, launch.checked)


def not_started(task: Task, failure: Failure) -> Executed:
    """For a run whose notebook was never executed: the input notebook, with the reason in its metadata."""
    outcome = _outcome(task, None, failure, datetime.now(timezone.utc), 0.0)
    return Executed(outcome, _to_text(_read(task.notebook), outcome, None))


def _read(text: str) -> NotebookNode:
    # What nbformat converts from version 3 is of another class, which papermill does not take for a notebook.
    return from_dict(nbformat.reads(text, as_version=4))


def _run(launch: Launch, notebook: NotebookNode, cancelled: threading.Event) -> Exception | None:
    """Executes the notebook in another thread, while this one looks at ``cancelled``; returns the exception."""
    # In an empty context: there jupyter_core makes an event loop, and it is ours to close.
    with ThreadPoolExecutor(1, "tfkernels-run") as thread:
        future = thread.submit(Context().run, _execute, launch, notebook)
        try:
            while not wait([future], CANCEL_POLL_INTERVAL).done:
                if cancelled.is_set():
                    launch.kill()
        finally:
            launch.kill()  # with what cells have left running: TensorBoard, workers
            while not wait([future], CANCEL_POLL_INTERVAL).done:  # this thread was interrupted
                launch.kill()
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


def _execute(launch: Launch, notebook: NotebookNode) -> None:
    with closing(ensure_event_loop()):
        # papermill's `cwd` is that of the process, which all its threads share: the kernel gets its own.
        papermill.execute_notebook(
            notebook, None, parameters=dict(launch.task.run.parameters), kernel_name=launch.spec.name,
            engine_name=ENGINE, language="python", progress_bar=False, launch=launch,
        )  # fmt: skip


def _outcome(task: Task, spec: KernelSpec | None, failure: Failure | None, started: datetime, took: float) -> Outcome:
    return Outcome(
        task.run,
        FAILED if failure else PASSED,
        task.fingerprint,
        **(kernel_ref.facts(spec) if spec else {}),
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(took, 3),
        host=outcomes.host(),
        attempts=task.attempt,
        failure=failure,
    )


def _to_text(notebook: NotebookNode, outcome: Outcome, spec: KernelSpec | None) -> str:
    """The notebook's JSON with the outcome; papermill leaves the name of another kernel in it (papermill#856)."""
    if spec is not None:
        notebook.metadata["kernelspec"] = {
            "name": outcome.run.kernel,
            "display_name": spec.spec.get("display_name", outcome.run.kernel),
            "language": spec.spec.get("language", "python"),
        }
    if "papermill" in notebook.metadata:  # in place of an address it has the whole input
        notebook.metadata["papermill"].update(input_path=outcome.run.source, output_path=None)
    notebook.metadata[outcomes.METADATA] = outcome.to_json()
    return str(nbformat.writes(notebook))


def _failure(error: Exception, launch: Launch, reached: list[int], log: Path) -> Failure:
    cell = reached[-1] if reached else None
    match error:
        case PapermillExecutionError():
            # papermill has put two cells of its own into the notebook since.
            position = next((i for i, c in enumerate(launch.notebook.cells) if _raised(c)), None)  # type: ignore[union-attr]  # it ran
            return Failure(error.ename, error.evalue, position, outcomes.plain("\n".join(error.traceback)))
        case CellTimeoutError():
            return Failure("CellTimeout", f"the cell took longer than {launch.task.cell_timeout:g} s", cell)
        case CheckFailed():
            name, message = error.args
            return Failure(name, f"{message}, when this was evaluated after the last cell: {launch.task.check}")
        case DeadKernelError() | RuntimeError() if launch.process is not None or reached:
            status = launch.process.poll() if launch.process is not None else None
            how = "the kernel does not answer" if status is None else f"the kernel's process {ending(status)}"
            return Failure("KernelDied", _with_log(how, log), cell)
        case OSError() | RuntimeError() if not reached:
            message = f"kernel {launch.spec.name} did not start: {error}. {launch.spec.diagnose_hint}"
            return Failure("KernelNotStarted", _with_log(message, log))
        case _:
            return Failure(type(error).__name__, str(error) or repr(error), cell)


def _with_log(message: str, log: Path) -> str:
    output = outcomes.plain(log.read_text(encoding="utf-8", errors="replace")).strip()[-_LOG_KEPT:]
    return f"{message}; its last output was:\n{output}" if output else message


def _raised(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def _put_inside(notebook: NotebookNode, values: dict[str, bytes]) -> None:
    """Moves recorded values into the notebook's outputs."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        record = output.get("data", {}).get(recording.TYPE)
        if isinstance(record, str):
            record = json.loads(record)
        if record and record.get("value") is None and record.get("sha256") in values:
            value = b64encode(values[record["sha256"]]).decode("ascii")
            output["data"][recording.TYPE] = {**record, "value": value}
