"""papermill's engine for the runs of a batch: its kernelspec need not be registered, and its progress is observed."""

import logging
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from tfkernels.client.kernelspecs import KernelSpec
from tfprovisioner.batch.tasks import Task

ENGINE = "tfkernels-batch"
"""The engine's name in papermill. It needs a ``Launch``, so papermill's command line cannot use it."""


@dataclass
class Launch:
    """One execution of a notebook: its settings, and its state while it runs."""

    task: Task
    spec: KernelSpec
    folder: Path
    """Private; the kernel's sockets are made in it."""
    cwd: Path
    variables: Mapping[str, str]
    log: IO[bytes]
    """Gets standard output and error of the kernel's process."""
    begins: Callable[[int, NotebookNode], None]
    """Called with the position of each code cell before it is executed."""
    notebook: NotebookNode | None = None
    manager: Any = None
    process: Any = None
    """The kernel's ``subprocess.Popen``, as soon as there is one."""
    checked: bool | None = None

    def kill(self) -> None:
        """Kills the kernel with all that its cells started."""
        provisioner = getattr(self.manager, "provisioner", None)
        self.process = getattr(provisioner, "process", None) or self.process
        if self.process is not None:
            with suppress(OSError):  # it has ended by itself
                os.killpg(self.process.pid, signal.SIGKILL)  # jupyter_client makes it the leader of a group


class _Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    def __init__(self, nb_man: Any, launch: Launch, **options: Any) -> None:
        super().__init__(nb_man, on_cell_execute=self._begins, **options)
        self._launch = launch

    def create_kernel_manager(self) -> Any:
        """For the kernelspec's folder, with sockets in the file system: kernels race for TCP ports (papermill#511)."""
        spec = self._launch.spec
        self.km = AsyncKernelManager(
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(spec.folder.parent)], ensure_native_kernel=False),
            kernel_name=spec.folder.name,
            connection_file=str(self._launch.folder / "kernel.json"),
            transport="ipc",
        )
        if spec.ours:  # as nbclient does for kernels whose command it knows: nothing goes into the user's history
            self.extra_arguments = ["--HistoryManager.hist_file=:memory:"]
        self._launch.manager = self.km
        return self.km

    def papermill_execute_cells(self) -> None:
        self._launch.process = self._launch.manager.provisioner.process
        super().papermill_execute_cells()
        failed = any(cell.get("metadata", {}).get("papermill", {}).get("exception") for cell in self.nb.cells)
        check = self._launch.task.check
        if check is not None and not failed:
            self._launch.checked = self._evaluate(check)

    def _begins(self, cell: NotebookNode, cell_index: int) -> None:
        self._launch.begins(cell_index, cell)

    def _evaluate(self, expression: str) -> bool:
        request = self.kc.execute("", user_expressions={"check": f"bool({expression})"}, store_history=False)
        result = self.wait_for_reply(request)["content"]["user_expressions"]["check"]
        if result["status"] != "ok":
            raise CheckFailed(result["ename"], result["evalue"])
        return bool(result["data"]["text/plain"] == "True")


class CheckFailed(Exception):
    """``Task.check`` raised: the exception's name and message."""


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, launch: Launch, **options: Any) -> Any:  # noqa: ARG003 (papermill's signature)
        launch.notebook = nb_man.nb  # papermill raises, and returns nothing, if a cell failed
        timeouts = {"timeout": launch.task.cell_timeout, "startup_timeout": launch.task.kernel_timeout}
        client = _Client(nb_man, launch, kernel_name=kernel_name, **timeouts)
        return client.execute(cwd=str(launch.cwd), env=dict(launch.variables), stdout=launch.log, stderr=launch.log)


papermill_engines.register(ENGINE, _Engine)

# papermill warns of parameters that a notebook lacks; ``tasks.unknown_parameters`` says it once for all runs. Without a
# handler, Python would print the warning from each worker into the table on the terminal.
logging.getLogger("papermill").addHandler(logging.NullHandler())
