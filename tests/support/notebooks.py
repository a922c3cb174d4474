"""Cells executed on a real kernel, as nbclient, papermill and nbconvert do it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from tests.support.waiting import DEADLINE
from tfprovisioner.batch.kernel_client import KernelManager


def client(notebook: NotebookNode, kernel: str, **settings: Any) -> NotebookClient:
    """nbclient as a batch uses it: its own misses replies on a busy machine (see ``batch.kernel_client``)."""
    return NotebookClient(
        notebook, timeout=DEADLINE, startup_timeout=DEADLINE, iopub_timeout=DEADLINE, kernel_name=kernel,
        kernel_manager_class=KernelManager, **settings,
    )  # fmt: skip


class Notebook:
    """One that stays open: its kernel keeps what cells did."""

    def __init__(self, kernel: str) -> None:
        self.client = client(new_notebook(), kernel)

    def run(self, *sources: str, allow_errors: bool = False) -> list[list[Any]]:
        """The outputs of each cell."""
        self.client.allow_errors = allow_errors
        added = []
        for source in sources:
            added.append(new_code_cell(source))
            self.client.nb.cells.append(added[-1])
            self.client.execute_cell(added[-1], len(self.client.nb.cells) - 1)
        nbformat.validate(self.client.nb)
        return [cell.outputs for cell in added]


@contextmanager
def opened(kernel: str) -> Iterator[Notebook]:
    notebook = Notebook(kernel)
    with notebook.client.setup_kernel():
        yield notebook


def run_cells(kernel: str, *sources: str, allow_errors: bool = False) -> list[list[Any]]:
    """The outputs of each cell of a notebook that is opened for them."""
    with opened(kernel) as notebook:
        return notebook.run(*sources, allow_errors=allow_errors)


def text(outputs: list[Any]) -> str:
    """What a cell printed and showed, as plain text, without the C++ runtime's log on standard error."""
    parts = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif output.output_type in ("display_data", "execute_result"):
            parts.append(output.data["text/plain"])
    return "".join(parts)


def plain(shown: str) -> str:
    """Without the colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)
