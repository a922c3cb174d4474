"""``tfkernels stubs`` in a project: what it writes and prints ends ruff's warnings."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest


def test_ruff_knows_names_that_cells_of_other_kernels_bind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., tuple[int, str, str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = [nbformat.v4.new_code_cell(cell) for cell in ("%%tf1 -o y,z=a\ny = a = 1", "print(y, z)")]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})
    nbformat.write(notebook, "train.ipynb")
    checks = [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "F821", "."]
    before = subprocess.run(checks, capture_output=True, text=True, check=False)
    assert [name in before.stdout for name in ("`y`", "`z`")] == [True, True]
    code, said, _ = command("stubs")
    assert code == 0
    assert Path("__builtins__.pyi").read_text().endswith("y: Any\nz: Any\n")
    Path("ruff.toml").write_text(said.rpartition("ruff.toml: ")[2])
    subprocess.run(checks, check=True)
