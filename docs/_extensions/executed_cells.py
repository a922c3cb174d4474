"""Pages that name a kernel in their front matter are notebooks: their blocks of Python are executed.

The blocks are written as in other pages, so that they look the same in the repository::

    ---
    file_format: mystnb
    kernelspec: {name: tf2}
    ---

    ```python
    %%tf1 -o y
    y = 1
    ```

MyST-NB executes them, and keeps the outputs by the content of the page's cells.
"""

from __future__ import annotations

import re
from typing import Any

from myst_nb.core.read import is_myst_markdown_notebook
from sphinx.application import Sphinx

_BLOCK = re.compile(r"^```python$", re.MULTILINE)
_LANGUAGE = "ipython3"
_MARK = "file_format: mystnb\n"


def as_notebook(text: str) -> str:
    """The page with cells in place of its blocks of Python. In other pages the blocks may contain magics, too."""
    if not is_myst_markdown_notebook(text):
        return _BLOCK.sub(f"```{_LANGUAGE}", text)
    language = f"{_MARK}language_info: {{name: python, pygments_lexer: {_LANGUAGE}}}\n"
    return _BLOCK.sub(f"```{{code-cell}} {_LANGUAGE}", text.replace(_MARK, language, 1))


def _mark_cells(_app: Sphinx, _docname: str, source: list[str]) -> None:
    source[0] = as_notebook(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", _mark_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
