"""``tfkernels stubs``: the names that magics bind, for editors and linters; and jupytext's round trip."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
import pytest

from tfprovisioner.errors import BadNotebook, ProvisionError
from tfprovisioner.notebook_metadata import editor_stubs

_CELLS = (
    "%load_ext tfkernels",
    "%%tf1 -i x -o y\ny = x + 1",
    "%%tf2.11 --timeout 3 -i a,b -o c,d -o 'y2=tf.reduce_sum(z, 1)'  # -o no\nz = 1",
    "%%each tf1 tf2 -o both",
    "w, v = %tf1 a, b",
    "one = %tf1 x.sum()",
    "print('%%tf1 -o no')\nremainder = 5 % 3\nprint(y, y2, c, d, both)",
    "%%bash\necho -o no",
)
_NAMES = ["both", "c", "d", "one", "v", "w", "y", "y2"]


def _notebook(path: Path) -> Path:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in _CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)
    return path


def test_names_of_notebooks_and_of_jupytexts_files(tmp_path: Path) -> None:
    notebook = _notebook(tmp_path / "train.ipynb")
    assert editor_stubs.names(notebook) == _NAMES
    read = jupytext.read(notebook)
    for form, suffix in (("py:percent", "py"), ("py:light", "py"), ("md", "md")):
        text = tmp_path / f"train.{suffix}"
        jupytext.write(read, text, fmt=form)
        assert editor_stubs.names(text) == _NAMES, form
        assert [cell.source for cell in jupytext.read(text).cells] == list(_CELLS), form


def test_file_is_replaced_if_it_is_ours(tmp_path: Path) -> None:
    editor_stubs.write(tmp_path, ["y", "z"])
    path = editor_stubs.write(tmp_path, ["y"])
    assert path.read_text().splitlines()[1:] == ["from typing import Any", "", "y: Any"]
    path.write_text("mine: int\n")
    with pytest.raises(ProvisionError, match="was not written by tfkernels"):
        editor_stubs.write(tmp_path, ["y"])
    assert path.read_text() == "mine: int\n"


def test_folders_are_searched_without_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / ".ipynb_checkpoints").mkdir()
    _notebook(tmp_path / ".ipynb_checkpoints" / "old.ipynb")
    inside = _notebook(tmp_path / "train.ipynb")
    assert editor_stubs.notebooks([tmp_path]) == [inside]
    with pytest.raises(BadNotebook, match="it is no notebook"):
        editor_stubs.notebooks([tmp_path / "data.csv"])
