"""papermill's engine for the runs of a batch: on a kernelspec that need not be registered, and observed."""

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

ENGINE = "tfkernels-batch"
"""Under this name papermill finds it; it cannot be chosen on papermill's command line, for it needs a ``Launch``."""


@dataclass
class Launch:
    """How one notebook is to be executed, and what is known of it while it is."""

    spec: KernelSpec
    connection_file: Path
    """In a private folder; beside it the kernel's sockets are made."""
    cwd: Path
    variables: Mapping[str, str]
    log: IO[bytes]
    """Gets what the kernel's process writes to its standard output and error."""
    cell_timeout: float | None
    kernel_timeout: float
    check: str | None
    begins: Callable[[int, NotebookNode], None]
    """Called with the position of each code cell before it is executed."""
    notebook: NotebookNode | None = None
    manager: Any = None
    process: Any = None
    """The kernel's ``subprocess.Popen``, as soon as there is one."""
    checked: bool | None = None

    def kill(self) -> bool:
        """Ends the kernel at once, with all that its cells have started; says whether there was one."""
        provisioner = getattr(self.manager, "provisioner", None)
        process = getattr(provisioner, "process", None) or self.process
        if process is None:
            return False
        self.process = process
        with suppress(OSError):  # it has ended by itself
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)  # jupyter_client makes it the leader of a group
            else:
                process.kill()
        return True


class _Client(PapermillNotebookClient):  # type: ignore[misc]  # papermill has no types
    def __init__(self, nb_man: Any, launch: Launch, **options: Any) -> None:
        super().__init__(nb_man, on_cell_execute=self._begins, **options)
        self._launch = launch

    def create_kernel_manager(self) -> Any:
        """Of the kernelspec's folder, over sockets in the file system: kernels race for TCP ports (papermill#511)."""
        spec = self._launch.spec
        specs = KernelSpecManager(kernel_dirs=[str(spec.folder.parent)], ensure_native_kernel=False)
        self.km = AsyncKernelManager(
            kernel_spec_manager=specs,
            kernel_name=spec.folder.name,
            connection_file=str(self._launch.connection_file),
            transport="tcp" if os.name == "nt" else "ipc",
        )
        if spec.ours:  # what nbclient does for kernels whose command it knows: no history of the user's is written
            self.extra_arguments = ["--HistoryManager.hist_file=:memory:"]
        self._launch.manager = self.km
        return self.km

    def papermill_execute_cells(self) -> None:
        self._launch.process = self._launch.manager.provisioner.process
        super().papermill_execute_cells()
        if self._launch.check is not None and not any(_failed(cell) for cell in self.nb.cells):
            self._launch.checked = self._evaluated(self._launch.check)

    def _begins(self, cell: NotebookNode, cell_index: int) -> None:
        self._launch.begins(cell_index, cell)

    def _evaluated(self, expression: str) -> bool:
        request = self.kc.execute("", user_expressions={"check": f"bool({expression})"}, store_history=False)
        result = self.wait_for_reply(request)["content"]["user_expressions"]["check"]
        if result["status"] != "ok":
            raise CheckFailed(result["ename"], result["evalue"])
        return bool(result["data"]["text/plain"] == "True")


class CheckFailed(Exception):
    """The expression that was to be evaluated after the last cell raised: the exception's name and message."""


class _Engine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, *, launch: Launch, **options: Any) -> Any:  # noqa: ARG003
        launch.notebook = nb_man.nb  # papermill raises, and returns nothing, if a cell failed
        client = _Client(
            nb_man, launch, kernel_name=kernel_name, timeout=launch.cell_timeout, startup_timeout=launch.kernel_timeout
        )
        return client.execute(cwd=str(launch.cwd), env=dict(launch.variables), stdout=launch.log, stderr=launch.log)


papermill_engines.register(ENGINE, _Engine)

# What it warns of, a parameter that the notebook does not have, is told once for all runs (``loading``). Without any
# handler Python would print it from each worker, into the table on the terminal.
logging.getLogger("papermill").addHandler(logging.NullHandler())


def _failed(cell: NotebookNode) -> bool:
    return bool(cell.get("metadata", {}).get("papermill", {}).get("exception"))
