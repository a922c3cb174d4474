"""What libraries ask to find out where they run has the answers of a plain ipykernel in the same environment."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from tests.support.kernels import register_plain
from tests.support.notebooks import run_cells
from tfkernels.client.kernel import Kernel
from tfprovisioner.kernelspecs.install import Installed

QUESTIONS = {
    "tqdm.auto": "'IPKernelApp' in get_ipython().config",
    "rich, pandas": "type(get_ipython()).__name__",
    "the application": "type(get_ipython().parent.parent).__name__",
    "Keras": "'ipykernel' in __import__('sys').modules",
    "plotly": "type(get_ipython().display_pub).__name__",
    "a prompt": "hasattr(__import__('sys'), 'ps1')",
    "a terminal": "__import__('sys').stdout.isatty()",
    "matplotlib": "__import__('os').environ.get('MPLBACKEND')",
    "colours": "[__import__('os').environ.get(name) for name in ('TERM', 'CLICOLOR', 'PAGER', 'FORCE_COLOR')]",
    "multiprocessing": "(__name__, hasattr(__import__('__main__'), '__file__'))",
}
ASKED = "{" + ", ".join(f"{name!r}: {question}" for name, question in QUESTIONS.items()) + "}"


def answers(kernel: str) -> dict[str, Any]:
    """In the notebook's own kernel."""
    ((output,),) = run_cells(kernel, f"print({ASKED})")
    found: dict[str, Any] = ast.literal_eval(output.text)
    return found


def test_the_answers_are_those_of_a_plain_ipykernel(
    remote: Kernel, installed: dict[str, Installed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register_plain(tmp_path, installed[remote.name].environment.python)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    expected = answers("plain")
    assert expected["tqdm.auto"] is True
    assert answers(remote.name) == expected
    assert remote[ASKED] == expected
