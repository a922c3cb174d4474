"""Executes one run on this machine: papermill on the kernel of a kernelspec, and the outcome.

The kernelspec need not be registered. ``batch.dask`` and ``batch.bisect`` import it; it imports papermill.
"""

import json
import logging
import os
import re
import signal
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import nbformat
import papermill
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.notebooknode import from_dict
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from tfkernels import recording
from tfkernels.client.kernelspecs import KernelSpec
from tfkernels.client.process import ending, signal_group
from tfprovisioner.batch import kernel_ref, outcomes
from tfprovisioner.batch.kernel_client import KernelManager
from tfprovisioner.batch.outcomes import FAILED, PASSED, Cancelled, Executed, Failure, Outcome, Progress
from tfprovisioner.batch.tasks import Task
from tfprovisioner.batch.workdir import WorkDir, private_folder
from tfprovisioner.notebook_metadata import pinned_kernel
from tfprovisioner.notebook_metadata.notebook_file import KEY

CANCEL_POLL_INTERVAL = 0.1
"""Seconds between two looks at whether a run was cancelled."""

_ENGINE = "tfkernels-batch"
"""The engine's name in papermill. It needs a ``_Launch``, so papermill's command line cannot use it."""

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
        inherited = {**(os.environ if variables is None else variables), recording.FOLDER: str(records)}
        cwd = work.folder if work else Path(str(task.folder))
        launch = _Launch(task, spec, private, cwd, inherited, log, tell, _read(task.notebook))
        error = launch.run(cancelled)
        failure = launch.failure(error)
        if cancelled.is_set():
            raise Cancelled(task.run.name)
        outcome = _outcome(task, spec, failure, started, time.monotonic() - clock)
        values = {
            file.name: file.read_bytes() for file in records.iterdir() if re.fullmatch(r"[0-9a-f]{64}", file.name)
        }
        if task.inline:
            _put_inside(launch.notebook, values)
            values = {}
        files = work.changes() if work else None
        return Executed(outcome, _to_text(launch.notebook, outcome, spec), values, files, launch.checked)


def not_started(task: Task, failure: Failure) -> Executed:
    """For a run whose notebook was never executed: the input notebook, with the reason in its metadata."""
    outcome = _outcome(task, None, failure, datetime.now(timezone.utc), 0.0)
    return Executed(outcome, _to_text(_read(task.notebook), outcome, None))


@dataclass
class _Launch:
    """One execution of a notebook: its settings, and its state while it runs."""

    task: Task
    spec: KernelSpec
    folder: Path
    """Private; the kernel's sockets are made in it."""
    cwd: Path
    variables: Mapping[str, str]
    log: IO[bytes]
    """Gets standard output and error of the kernel's process."""
    tell: Callable[[Progress], None]
    notebook: NotebookNode
    """The input; then papermill's, which has outputs, parameters and metadata."""
    reached: list[int] = field(default_factory=list)
    """Positions of the code cells that were begun."""
    failed: tuple[NotebookNode, CellExecutionError] | None = None
    """The cell that failed. papermill before 2.7 does not see errors without a message, such as a UsageError."""
    manager: Any = None
    process: Any = None
    """The kernel's ``subprocess.Popen``; ``None`` if it did not answer at its start, and was ended therefore."""
    checked: bool | None = None
    check_failed: Failure | None = None

    def run(self, cancelled: threading.Event) -> Exception | None:
        """Executes the notebook in another thread, while this one looks at ``cancelled``; returns the exception."""
        # In an empty context: there jupyter_core makes an event loop, and it is ours to close.
        with ThreadPoolExecutor(1, "tfkernels-run") as thread:
            future = thread.submit(Context().run, self._execute)
            try:
                while not wait([future], CANCEL_POLL_INTERVAL).done:
                    if cancelled.is_set():
                        self._kill()
            finally:
                self._kill()  # with what cells have left running: TensorBoard, workers
                while not wait([future], CANCEL_POLL_INTERVAL).done:  # this thread was interrupted
                    self._kill()
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        return error

    def _execute(self) -> None:
        with closing(ensure_event_loop()):
            # papermill's `cwd` is that of the process, which all its threads share: the kernel gets its own.
            papermill.execute_notebook(
                self.notebook, None, parameters=dict(self.task.run.parameters), kernel_name=self.spec.name,
                engine_name=_ENGINE, language="python", progress_bar=False, launch=self,
            )  # fmt: skip

    def _kill(self) -> None:
        """Kills the kernel with all that its cells started."""
        provisioner = getattr(self.manager, "provisioner", None)
        self.process = getattr(provisioner, "process", None) or self.process
        if self.process is not None:
            signal_group(self.process, signal.SIGKILL)  # jupyter_client makes it the leader of a group

    def begins(self, cell: NotebookNode, cell_index: int) -> None:
        """nbclient calls it before it executes a code cell."""
        self.reached.append(cell_index)
        count = sum(each.cell_type == "code" and bool(each.source.strip()) for each in self.notebook.cells)
        first_line = next((line.strip() for line in cell.source.splitlines() if line.strip()), "")
        self.tell(
            Progress(self.task.run.name, "running", len(self.reached), count, first_line[:200], socket.gethostname())
        )

    def failure(self, error: Exception | None) -> Failure | None:
        cell = self.reached[-1] if self.reached else None
        match error:
            case PapermillExecutionError() | None if self.failed is not None:
                failed, raised = self.failed
                tracebacks = [output.traceback for output in failed.outputs if output.output_type == "error"]
                # papermill has put two cells of its own into the notebook since.
                position = next((i for i, each in enumerate(self.notebook.cells) if each is failed), None)
                shown = outcomes.without_colours("\n".join(tracebacks[-1])) if tracebacks else ""
                return Failure(raised.ename, raised.evalue, position, shown)
            case None:
                return self.check_failed
            case PapermillExecutionError():  # a cell shows an error, such as one in the background
                position = next((i for i, each in enumerate(self.notebook.cells) if _shows_error(each)), None)
                return Failure(
                    error.ename, error.evalue, position, outcomes.without_colours("\n".join(error.traceback))
                )
            case CellTimeoutError():
                return Failure("CellTimeout", f"the cell took longer than {self.task.cell_timeout:g} s", cell)
            case DeadKernelError() | RuntimeError() if self.process is not None:
                status = self.process.poll()
                how = "the kernel does not answer" if status is None else f"the kernel's process {ending(status)}"
                return Failure("KernelDied", self._with_log(how), cell)
            case OSError() | RuntimeError() if not self.reached:
                message = f"kernel {self.spec.name} did not start: {error}. {self.spec.diagnose_hint}"
                return Failure("KernelNotStarted", self._with_log(message))
            case _:
                return Failure(type(error).__name__, str(error) or repr(error), cell)

    def _with_log(self, message: str) -> str:
        text = (self.folder / "log").read_text(encoding="utf-8", errors="replace")
        output = outcomes.without_colours(text).strip()[-_LOG_KEPT:]
        return f"{message}; its last output was:\n{output}" if output else message


class _Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    def __init__(self, nb_man: Any, launch: _Launch, kernel_name: str) -> None:
        # As nbclient does for kernels whose command it knows: nothing goes into the user's history.
        arguments = ["--HistoryManager.hist_file=:memory:"] if launch.spec.ours else []
        super().__init__(
            nb_man, kernel_name=kernel_name, extra_arguments=arguments, on_cell_execute=launch.begins,
            timeout=launch.task.cell_timeout, startup_timeout=launch.task.kernel_timeout,
        )  # fmt: skip
        self._launch = launch

    def create_kernel_manager(self) -> Any:
        """For the kernelspec's folder, with sockets in the file system: kernels race for TCP ports (papermill#511)."""
        folder = self._launch.spec.folder
        self.km = KernelManager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder.parent)], ensure_native_kernel=False),
            kernel_name=folder.name,
            connection_file=str(self._launch.folder / "kernel.json"),
            transport="ipc",
        )
        self._launch.manager = self.km
        return self.km

    def execute_cell(self, cell: NotebookNode, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_cell(cell, *args, **options)
        except CellExecutionError as error:
            if error.ename != "SystemExit" or error.evalue not in ("", "0"):  # papermill's own rule
                self._launch.failed = cell, error
            raise

    def papermill_execute_cells(self) -> None:
        self._launch.process = self._launch.manager.provisioner.process
        super().papermill_execute_cells()
        check = self._launch.task.check
        if check is not None and not self.nb.metadata.papermill.exception:
            request = self.kc.execute("", user_expressions={"check": f"bool({check})"}, store_history=False)
            result = self.wait_for_reply(request)["content"]["user_expressions"]["check"]
            if result["status"] == "ok":
                self._launch.checked = result["data"]["text/plain"] == "True"
            else:
                message = f"{result['evalue']}, when this was evaluated after the last cell: {check}"
                self._launch.check_failed = Failure(result["ename"], message)


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, launch: _Launch, **_: Any) -> Any:
        launch.notebook = nb_man.nb  # papermill raises, and returns nothing, if a cell failed
        client = _Client(nb_man, launch, kernel_name)
        return client.execute(cwd=str(launch.cwd), env=dict(launch.variables), stdout=launch.log, stderr=launch.log)


papermill_engines.register(_ENGINE, _Engine)

# papermill warns of parameters that a notebook lacks; ``tasks.unknown_parameters`` says it once for all runs. Without a
# handler, Python would print the warning from each worker into the table on the terminal.
logging.getLogger("papermill").addHandler(logging.NullHandler())


def _read(text: str) -> NotebookNode:
    # What nbformat converts from version 3 is of another class, which papermill does not take for a notebook.
    return from_dict(nbformat.reads(text, as_version=4))


def _outcome(task: Task, spec: KernelSpec | None, failure: Failure | None, started: datetime, took: float) -> Outcome:
    return Outcome(
        task.run,
        FAILED if failure else PASSED,
        task.fingerprint,
        **(kernel_ref.facts(spec) if spec else {}),
        started=started.isoformat(timespec="milliseconds"),
        seconds=round(took, 3),
        host=socket.gethostname(),
        attempts=task.attempt,
        failure=failure,
    )


def _to_text(notebook: NotebookNode, outcome: Outcome, spec: KernelSpec | None) -> str:
    """The notebook's JSON with the outcome and the kernel that it ran on.

    papermill leaves the name of another kernel in it (papermill#856).
    """
    if spec is not None:
        notebook.metadata["kernelspec"] = {
            "name": outcome.run.kernel,
            "display_name": spec.spec.get("display_name", outcome.run.kernel),
            "language": spec.spec.get("language", "python"),
        }
    if "papermill" in notebook.metadata:  # in place of an address it has the whole input
        notebook.metadata["papermill"].update(input_path=outcome.run.source, output_path=None)
    pinned = kernel_ref.pinned(spec) if spec is not None else None
    notebook.metadata[KEY] = pinned_kernel.entry(pinned, **{outcomes.OUTCOME: outcome.to_json()})
    return str(nbformat.writes(notebook))


def _shows_error(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", ()))


def _put_inside(notebook: NotebookNode, values: Mapping[str, bytes]) -> None:
    """Moves recorded values into the notebook's outputs."""
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        record = output.get("data", {}).get(recording.TYPE)
        if isinstance(record, str):
            record = json.loads(record)
        if record and record.get("value") is None and record.get("sha256") in values:
            value = b64encode(values[record["sha256"]]).decode("ascii")
            output["data"][recording.TYPE] = {**record, "value": value}
