"""What the README and docs/compare.md, which goes on where it ends, show works when it is pasted."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.notebooks import run_cells, text

_ROOT = Path(__file__).parents[2]
_PAGES = [(_ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/compare.md")]
_BLOCKS = [block for page in _PAGES for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)]
_LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")


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


@pytest.mark.parametrize(
    "page", ["README.md", *(str(path.relative_to(_ROOT)) for path in sorted(_ROOT.glob("docs/*.md")))]
)
def test_links_lead_somewhere(page: str) -> None:
    path = _ROOT / page
    for file, anchor in _LINK.findall(path.read_text(encoding="utf-8")):
        target = path.parent / file if file else path
        assert target.exists(), file
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor[1:] in [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
