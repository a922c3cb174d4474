"""Cells executed on a real kernel, as nbclient, papermill and nbconvert do it."""

from __future__ import annotations

import re
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook


def run_cells(kernel: str, *sources: str, allow_errors: bool = False) -> list[list[Any]]:
    """The outputs of each cell."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    NotebookClient(notebook, timeout=120, kernel_name=kernel, allow_errors=allow_errors).execute()
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells]


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
