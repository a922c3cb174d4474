"""What a cell shows when it runs elsewhere, beside what it shows natively, output by output."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.notebooks import plain, run_cells

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
    "an interrupt of its own": "raise KeyboardInterrupt('enough')",
    "an error that no handler of errors expects": "class Base(BaseException): pass\nraise Base('b')",
    "an error inside a cell that goes on": "get_ipython().run_cell('1 / 0')\nprint('on')\nf(0)",
    "a value that cannot be shown": "class Shy:\n    def __repr__(self):\n        return 1 / 0\n\nShy()",
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
        text = re.sub(r"ipykernel_\d+/\d+|\d+\.py|\d+\.?\d*(e[+-]\d+)? (ns|[mµμu]s|s)\b|total: .*", "…", repr(kept))
        shown.append(re.sub(r"(In ?\[|<ipython-input-)\d+(-\w+)?", "In[", text))
    return shown


def errors(outputs: list[Any]) -> list[tuple[str, str, str]]:
    return [
        (output.ename, output.evalue, plain("\n".join(output.traceback)))
        for output in outputs
        if output.output_type == "error"
    ]


@pytest.mark.parametrize(("here", "there"), [("python3", "tf1"), ("tf1", "tf2")])
def test_a_cell_shows_what_it_shows_natively(installed: object, here: str, there: str) -> None:
    cells = list(CELLS.values())
    native = run_cells(there, *cells, allow_errors=True)
    first = [] if here != "python3" else ["%load_ext tfkernels"]
    remote = run_cells(here, *first, *[f"%%{there}\n{cell}" for cell in cells], allow_errors=True)[len(first) :]
    for what, one, other in zip(CELLS, native, remote, strict=True):
        assert settled(other) == settled(one), what
    assert len("".join(output.text for output in remote[list(CELLS).index("many lines")])) == 1_088_890


def test_an_exit_is_shown_once_and_as_natively(installed: object) -> None:
    exits = ["import sys\nsys.exit()", "sys.exit()", "sys.exit(0)", "sys.exit('too late')"]
    native = run_cells("tf1", *exits, allow_errors=True)
    remote = run_cells("tf2", *[f"%%tf1\n{code}" for code in exits], allow_errors=True)
    *_, value, everywhere = run_cells(
        "tf2", "%%tf1\nimport sys", "y = %tf1 sys.exit()", "%%each tf1\nsys.exit()", allow_errors=True
    )
    assert [errors(outputs) for outputs in remote] == [errors(outputs) for outputs in native]
    assert [error[:2] for error in errors(native[0])] == [("SystemExit", "")]
    assert {error[:2] for error in [*errors(value), *errors(everywhere)]} == {("SystemExit", "")}


def test_an_error_that_ipython_prints_is_shown_once(installed: object) -> None:
    (outputs,) = run_cells("tf1", "%%tf2\n%nowhere", allow_errors=True)
    message = "Line magic function `%nowhere` not found."
    assert [output.output_type for output in outputs] == ["error"]
    assert errors(outputs) == [("UsageError", message, f"UsageError: {message}")]


GROUP = """
import asyncio
async def fail():
    raise ValueError("in a task")
async with asyncio.TaskGroup() as tasks:
    tasks.create_task(fail())
"""


@pytest.mark.parametrize(("here", "magic"), [("tf2", ""), ("tf1", "%%tf2"), ("tf1", "%%in python3")])
def test_a_group_is_shown_as_first_error(installed: object, here: str, magic: str) -> None:
    (outputs,) = run_cells(here, f"{magic}\n{GROUP}", allow_errors=True)
    ((name, message, shown),) = errors(outputs)
    assert (name, message) == ("ExceptionGroup", "unhandled errors in a TaskGroup (1 sub-exception)")
    assert "ValueError: in a task" in shown
    assert "IPython" not in shown
