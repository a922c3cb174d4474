"""What the README shows works when it is pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebooks import run_cells, text

_README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```python\n(.*?)```", _README, re.DOTALL)


@pytest.mark.parametrize("host", ["python3", "tf1", "tf2"])
def test_the_cells(installed: object, host: str) -> None:
    # How a softmax rounds depends on the processor, so the rows' sums are 1 only about.
    check = "type(y).__name__, y.shape, bool(np.allclose(y.sum(axis=1), 1))"
    *_, last = run_cells(host, *[block for block in _BLOCKS if "tfkernels.kernel" not in block][1:], check)
    assert text(last) == "('ndarray', (3, 4), True)"


def test_the_first_picture_in_words(installed: object) -> None:
    *_, last = run_cells("tf2", "import numpy as np; images = np.array([-1.0, 2.0])", _BLOCKS[0], "features")
    assert text(last) == "array([0., 2.])"


def test_the_script(installed: object) -> None:
    (script,) = [block for block in _BLOCKS if "tfkernels.kernel" in block]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "6.0"
