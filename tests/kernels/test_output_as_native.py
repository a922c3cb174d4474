"""What a cell shows when it runs elsewhere, beside what it shows natively, output by output."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.notebooks import run_cells

BUNDLE = {
    "text/plain": "x",
    "text/html": "<b>x</b>",
    "text/latex": "$x$",
    "text/markdown": "*x*",
    "image/svg+xml": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "application/json": {"x": [1, None]},
    "application/vnd.plotly.v1+json": {"data": [{"y": [1, 2]}], "layout": {}},
}

CELLS = {
    "a progress bar of carriage returns": "import sys, time\nfor i in range(30):\n"
    "    print(f'\\rstep {i}', end='', flush=True)",
    "a progress bar of backspaces, as old Keras draws": "for i in range(30):\n"
    "    print('\\b' * 9 + f'{i}/30', end='', flush=True)",
    "standard output and error in turn": "import sys\nfor i in range(5):\n"
    "    print(i, flush=True)\n    print('e', i, file=sys.stderr, flush=True); time.sleep(0.02)",
    "many lines": "for i in range(100_000): print('line', i)",
    "an output that is replaced": "from IPython.display import clear_output, display, HTML, Image, JSON\n"
    "for i in range(5):\n    clear_output(wait=True); print(i, flush=True)\ndisplay(i)",
    "every kind of display": f"display({BUNDLE!r}, raw=True)",
    "pictures": "import base64\n"
    "display(Image(base64.b64decode('/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//2Q=='), format='jpeg'))\n"
    "display(Image(base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==')))",
    "a display": "shown = display('old', display_id='one')\nprint('after')",
    "that a later cell updates": "shown.update(HTML('<i>new</i>'))",
    "a result with an HTML side": "HTML('<b>x</b>')",
    "a result that is not shown": "6 * 7;",
    "several results": "from IPython import get_ipython\nget_ipython().ast_node_interactivity = 'all'",
    "that a cell shows": "1 + 1\n2 + 2",
    "as before": "get_ipython().ast_node_interactivity = 'last_expr'",
    "a value before what a callback shows, such as a figure": "def once():\n"
    "    get_ipython().events.unregister('post_execute', once); print('figure')\n"
    "get_ipython().events.register('post_execute', once)\n'value'",
    "shell": "name = 'x'\n!echo {name}; printf 'a\\rb\\n'\nlines = !printf '1\\n2'\nlines",
    "await": "import asyncio\nawait asyncio.sleep(0, 5)",
    "time": "%%time\n'first'",
    "timeit": "%timeit -n1 -r1 pass",
    "a warning": "import warnings\n\nwarnings.warn('careful')",
    "an error": "def f(x):\n    return 1 / x\n\nprint('before')\nf(0)",
    "an error on standard error": "import traceback\ntry:\n    f(0)\n"
    "except ZeroDivisionError:\n    traceback.print_exc()",
    "a mistake in the syntax": "x = = 1",
    "after that": "'still there'",
    "colours": "print('\\x1b[31mred\\x1b[0m')",
    "letters": "print('äöü €', '漢', chr(0x1F600))",
}  # fmt: skip


def merged(outputs: list[Any]) -> list[Any]:
    """Neighbours of one stream as one output: how much comes in one message depends on the moment."""
    found: list[Any] = []
    for output in outputs:
        if found and output.output_type == "stream" and found[-1].get("name") == output.name:
            found[-1] = {**found[-1], "text": found[-1]["text"] + output.text}
        else:
            found.append(output)
    return found


def settled(outputs: list[Any]) -> list[Any]:
    """Without what differs between two runs of one kernel: process and cell numbers, and times."""
    shown: list[str] = []
    for output in merged(outputs):
        kept = {key: value for key, value in output.items() if key not in ("execution_count", "metadata")}
        if output["output_type"] == "error":  # the name of the notebook's own error is RemoteError
            kept = {"error": "\n".join(output["traceback"])}
        text = re.sub(r"ipykernel_\d+/\d+|\d+\.?\d*(e[+-]\d+)? (ns|[mµμu]s|s)\b|total: .*", "…", repr(kept))
        shown.append(re.sub(r"(In ?\[|<ipython-input-)\d+(-\w+)?", "In[", text))
    return shown


@pytest.mark.parametrize(("here", "there"), [("python3", "tf1"), ("tf1", "tf2")])
def test_a_cell_shows_what_it_shows_natively(installed: object, here: str, there: str) -> None:
    cells = list(CELLS.values())
    native = run_cells(there, *cells, allow_errors=True)
    first = [] if here != "python3" else ["%load_ext tfkernels"]
    remote = run_cells(here, *first, *[f"%%{there}\n{cell}" for cell in cells], allow_errors=True)[len(first) :]
    for what, one, other in zip(CELLS, native, remote, strict=True):
        assert settled(other) == settled(one), what
    assert len("".join(output.text for output in remote[list(CELLS).index("many lines")])) == 1_088_890
