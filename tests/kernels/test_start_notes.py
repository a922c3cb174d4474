"""A kernel starts without notes, however it is started; one setting brings them back, and warnings stay."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tfkernels import env_vars
from tfkernels.client.kernel import Kernel
from tfkernels.start_notes import VERBOSE

IMPORT = "import os, tensorflow as tf\nos.write(2, b'W0000 00:00:1.5 1 real.cc:1] a warning\\n')"
ONEDNN = "oneDNN custom operations are on"
NOTE = "I0000 00:00:1.5 1 real.cc:1] a note"


@pytest.mark.parametrize("verbose", ["", pytest.param("1", marks=pytest.mark.slow)])
def test_papermills_first_cell_is_quiet_unless_asked(
    verbose: str, installed: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VERBOSE, verbose)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel does not read descriptor 2
    monkeypatch.chdir(tmp_path)
    nbformat.write(new_notebook(cells=[new_code_cell(IMPORT)]), "in.ipynb")
    command = [sys.executable, "-m", "papermill", "--start-timeout", "240", "-k", "tf2", "in.ipynb", "out.ipynb"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (cell,) = nbformat.read("out.ipynb", as_version=4).cells
    shown = "".join(output.text for output in cell.outputs if output.output_type == "stream")
    seen = ["without encryption" in done.stderr, ONEDNN in done.stderr, ONEDNN in shown]
    assert seen == [bool(verbose)] * 3
    assert "a warning" in shown


@pytest.mark.parametrize("verbose", ["", "1"])
def test_the_first_remote_cell_is_quiet_unless_asked(
    verbose: str, installed: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env_vars, "AT_START", {**env_vars.AT_START, VERBOSE: verbose})
    shown = ""

    def show(output: dict[str, str]) -> None:
        nonlocal shown
        shown += output.get("text", "")

    with Kernel("tf2") as kernel:
        kernel.run(IMPORT, show=show)
    assert (ONEDNN in shown) is bool(verbose)
    assert "a warning" in shown


@pytest.mark.usefixtures("installed")
def test_a_cell_can_bring_notes_back() -> None:
    shown: list[str] = []

    def written(code: str) -> list[str]:
        shown.clear()
        write = f"os.write(2, b'{NOTE}\\nmine\\n')"
        kernel.run(f"import os; {code}; {write}", show=lambda output: shown.append(output.get("text", "")))
        return "".join(shown).splitlines()

    with Kernel("tf1") as kernel:
        assert written("pass") == ["mine"]
        for code in ("os.environ['TF_CPP_MIN_LOG_LEVEL'] = '0'", "pass"):
            assert sorted(written(code)) == [NOTE, "mine"]
        written("os.environ['TF_CPP_MIN_LOG_LEVEL'] = '1'")
        assert written("pass") == ["mine"]
