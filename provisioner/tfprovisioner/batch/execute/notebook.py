"""Executing one run on this machine: papermill on the kernel of a kernelspec, and what came of it."""

import json
import os
import re
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from contextvars import Context
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

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
from tfprovisioner.batch.execute.engine import ENGINE, CheckFailed, Launch
from tfprovisioner.batch.execute.workdir import Workplace, private_folder
from tfprovisioner.batch.outcomes import FAILED, METADATA, PASSED, Failure, Outcome, host, plain
from tfprovisioner.batch.tasks import Cancelled, Executed, Progress, Task
from tfprovisioner.environments import store

LOOK = 0.1
"""Seconds between two looks at whether a run is to be cancelled."""

_TAIL = 2000
"""Characters of a dead kernel's last words."""

Tell = Callable[[Progress], None]


def execute(
    task: Task,
    spec: KernelSpec,
    tell: Tell,
    cancelled: threading.Event,
    variables: Mapping[str, str] | None = None,
) -> Executed:
    """Runs a task's notebook on the kernel of ``spec``. Whatever goes wrong with it is in the outcome.

    ``variables`` are what the kernel's process inherits, if not those of this one.

    Several at once in one process, in threads of their own, do not disturb each other. When ``cancelled`` is set the
    kernel is ended at once, and this raises ``Cancelled``. No process of the kernel's is left.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    with ExitStack() as stack:
        private = stack.enter_context(private_folder())
        records, log_file = private / "records", private / "log"
        records.mkdir(mode=0o700)
        log = stack.enter_context(log_file.open("wb"))
        work = None
        if task.folder is None:
            (private / "work").mkdir()
            work = Workplace(private / "work", task.inputs)
        notebook = _read(task.notebook)
        reached: list[int] = []

        def begins(index: int, cell: NotebookNode) -> None:
            reached.append(index)
            assert launch.notebook is not None
            count = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in launch.notebook.cells)
            tell(Progress(task.run.name, "running", len(reached), count, _first_line(cell.source), host()))

        launch = Launch(
            spec, private / "kernel.json", Path(task.folder) if task.folder else private / "work",
            {**(os.environ if variables is None else variables), recording.FOLDER: str(records)}, log,
            task.cell_timeout, task.kernel_timeout, task.check, begins,
        )  # fmt: skip
        error = _run(launch, notebook, dict(task.run.parameters), cancelled)
        failure = None if error is None else _failure(error, launch, reached, log_file)
        if cancelled.is_set():
            raise Cancelled(task.run.name)
        outcome = replace(
            _outcome(task, spec, failure),
            started=started.isoformat(timespec="milliseconds"),
            seconds=round(time.monotonic() - clock, 3),
        )
        executed = launch.notebook or notebook
        values = {
            file.name: file.read_bytes() for file in records.iterdir() if re.fullmatch(r"[0-9a-f]{64}", file.name)
        }
        if task.inline:
            _put_inside(executed, values)
            values = {}
        return Executed(
            outcome, _written(executed, outcome, spec), values, work.written() if work else None, launch.checked
        )


def not_started(task: Task, failure: Failure, spec: KernelSpec | None = None) -> Executed:
    """What came of a run whose notebook was never executed; the notebook is the input, with the reason."""
    notebook = _read(task.notebook)
    started = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    outcome = replace(_outcome(task, spec, failure), started=started)
    return Executed(outcome, _written(notebook, outcome, spec))


def _read(text: str) -> NotebookNode:
    # What nbformat converts from version 3 is of another class, which papermill does not take for a notebook.
    return from_dict(nbformat.reads(text, as_version=4))


def _run(
    launch: Launch, notebook: NotebookNode, parameters: dict[str, Any], cancelled: threading.Event
) -> Exception | None:
    """Executes the notebook in a thread of its own, while this one looks after it; returns what was raised."""
    # In an empty context: there jupyter_core makes an event loop, and it is ours to close.
    with ThreadPoolExecutor(1, "tfkernels-run") as thread:
        future = thread.submit(Context().run, _execute, launch, notebook, parameters)
        try:
            while not wait([future], LOOK).done:
                if cancelled.is_set():
                    launch.kill()
        finally:
            launch.kill()  # with what cells have left running: TensorBoard, workers
            while not wait([future], LOOK).done:  # this thread was interrupted
                launch.kill()
    error = future.exception()
    if error is not None and not isinstance(error, Exception):
        raise error
    return error


def _execute(launch: Launch, notebook: NotebookNode, parameters: dict[str, Any]) -> None:
    with closing(ensure_event_loop()):
        # papermill's `cwd` is that of the process, which all its threads share: the kernel gets its own.
        papermill.execute_notebook(
            notebook, None, parameters=parameters, engine_name=ENGINE, kernel_name=launch.spec.name, language="python",
            progress_bar=False, launch=launch,
        )  # fmt: skip


def _outcome(task: Task, spec: KernelSpec | None, failure: Failure | None) -> Outcome:
    described: dict[str, Any] = (spec.spec.get("metadata") or {}).get("tfkernels", {}) if spec else {}
    environment = store.load(Path(described.get("environment", ""))) if described else None
    return Outcome(
        task.run,
        FAILED if failure else PASSED,
        task.fingerprint,
        tensorflow=described.get("tensorflow", ""),
        python=described.get("python", ""),
        lock=environment.recipe.lock if environment else "",
        host=host(),
        attempts=task.attempt,
        failure=failure,
    )


def _written(notebook: NotebookNode, outcome: Outcome, spec: KernelSpec | None) -> str:
    """The notebook with what became of it; papermill leaves the name of another kernel in it (papermill#856)."""
    if spec is not None:
        notebook.metadata["kernelspec"] = {
            "name": outcome.run.kernel,
            "display_name": spec.spec.get("display_name", outcome.run.kernel),
            "language": spec.spec.get("language", "python"),
        }
    if "papermill" in notebook.metadata:  # where it has an address, it has the whole input
        notebook.metadata["papermill"].update(input_path=outcome.run.source, output_path=None)
    notebook.metadata[METADATA] = outcome.to_json()
    return str(nbformat.writes(notebook))


def _failure(error: Exception, launch: Launch, reached: list[int], log: Path) -> Failure:
    cell = reached[-1] if reached else None
    match error:
        case PapermillExecutionError():
            # papermill has put two cells of its own into the notebook since.
            position = next((i for i, c in enumerate(launch.notebook.cells) if _raised(c)), None)  # type: ignore[union-attr]
            return Failure(error.ename, error.evalue, position, plain("\n".join(error.traceback)))
        case CellTimeoutError():
            return Failure("CellTimeout", f"the cell took longer than {launch.cell_timeout:g} s", cell)
        case CheckFailed():
            return Failure(
                error.args[0], f"{error.args[1]}, when this was evaluated after the last cell: {launch.check}"
            )
        case DeadKernelError() | RuntimeError() if launch.process is not None or reached:
            return Failure("KernelDied", _how_it_died(launch, log), cell)
        case OSError() | RuntimeError() if not reached:
            told = f"kernel {launch.spec.name} did not start: {error}; {launch.spec.remedy}"
            return Failure("KernelNotStarted", _with_last_words(told, log))
        case _:
            return Failure(type(error).__name__, str(error) or repr(error), cell)


def _how_it_died(launch: Launch, log: Path) -> str:
    status = launch.process.poll() if launch.process is not None else None
    told = f"the kernel's process {ending(status)}" if status is not None else "the kernel does not answer any more"
    return _with_last_words(told, log)


def _with_last_words(told: str, log: Path) -> str:
    said = plain(log.read_text(encoding="utf-8", errors="replace")).strip()[-_TAIL:]
    return f"{told}; its last output was:\n{said}" if said else told


def _raised(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def _put_inside(notebook: NotebookNode, values: dict[str, bytes]) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            record = output.get("data", {}).get(recording.TYPE)
            if isinstance(record, str):
                record = json.loads(record)
            if record and record.get("value") is None and record.get("sha256") in values:
                output["data"][recording.TYPE] = {
                    **record,
                    "value": b64encode(values[record["sha256"]]).decode("ascii"),
                }


def _first_line(source: str) -> str:
    return next((line.strip() for line in source.splitlines() if line.strip()), "")[:200]
