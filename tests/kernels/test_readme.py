"""Cells and scripts of README and docs work when they are pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.notebooks import run_cells, text

_ROOT = Path(__file__).parents[2]


def _blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (_ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


*_CELLS, _SCRIPT = _blocks("README.md")
_COMPARE, _TRACE = _blocks("docs/how-to/compare-results.md"), _blocks("docs/how-to/find-the-first-layer.md")


@pytest.mark.parametrize("host", ["python3", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tf1", "tf2"))])
def test_cells_of_readme_and_the_pages_after_it(installed: object, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with it, ipykernel does not read descriptor 2
    # How a softmax rounds depends on the processor, so the rows' sums are 1 only about.
    check = "type(y).__name__, y.shape, bool(np.allclose(y.sum(axis=1), 1))"
    *shown, last = run_cells(host, *_CELLS, *_COMPARE, *_TRACE, check)
    first = shown[: len(_CELLS)]
    streams = "".join(output.text for outputs in first for output in outputs if output.output_type == "stream")
    assert not re.search("warn|deprecated|oneDNN|CPU", streams, re.IGNORECASE), "the first cells are quiet"
    assert text(last) == "('ndarray', (3, 4), True)"


def test_cells_of_the_tutorial(installed: object) -> None:
    shown = [text(outputs) for outputs in run_cells("tf2", *_blocks("docs/tutorials/port-a-model.md"))]
    assert "'hidden'" in shown, "the first mistake"
    assert [each for each in shown if "momentum of norm/moving_mean is 0.9 in tf1 and 0.99 in port" in each]
    assert shown[-1].startswith("8 of 8 weights have a source")


@pytest.mark.parametrize(("page", "last"), [("pass-values", "[0."), ("run-in-the-background", "{'tf1': ('1.15.5', 1)")])
def test_cells_of_how_to_guides(installed: object, page: str, last: str) -> None:
    assert [shown for shown in run_cells("python3", *_blocks(f"docs/how-to/{page}.md")) if last in text(shown)]


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/use-from-a-script.md"])
def test_scripts(installed: object, page: str) -> None:
    (script,) = [block for block in _blocks(page) if "tfkernels.kernel" in block]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "6.0"
