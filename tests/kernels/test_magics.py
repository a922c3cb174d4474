"""``%%NAME`` and ``%NAME`` from all kinds of host kernels: an ordinary one, TensorFlow 2's, Python 3.7's."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.support.notebooks import Notebook, opened, plain, run_cells, text
from tests.support.processes import alive
from tests.support.waiting import DEADLINE, eventually

HOSTS = [
    ("python3", "tf1"),
    pytest.param(("python3", "tf2"), marks=pytest.mark.slow),  # both are in other pairs
    ("tf1", "tf2"),
    ("tf2", "tf1"),
    ("tf1", "tf1"),
]


@pytest.fixture(scope="module", params=HOSTS, ids=lambda pair: f"{pair[1]}-from-{pair[0]}")
def pair(request: pytest.FixtureRequest, installed: object) -> Iterator[tuple[Notebook, str]]:
    """An open notebook, one for all tests, and the name of the other kernel."""
    here, there = request.param
    with opened(here) as notebook:
        notebook.run(*load(here))
        yield notebook, there


def load(host: str) -> list[str]:
    """In a TensorFlow kernel the magics are there already."""
    return ["%load_ext tfkernels"] if host == "python3" else []


def test_the_main_job(pair: tuple[Notebook, str]) -> None:
    here, there = pair
    *_, ran, value, line, named = here.run(
        "import numpy as np\nimages = np.arange(6, dtype='f4').reshape(2, 3)",
        f"%%{there} -i images,w=images[:, 0] * 2 -o total,first=y[0] -o s\n"
        "import tensorflow as tf\nprint(tf.__version__[:2])\ny = images + w[:, None]\n"
        "total = float(y.sum())\ns = 'ä'\ny.shape",
        "print(total, first, first.dtype, s)",
        f"z = %{there} y * 2\nz.tolist(), type(z).__module__",
        f"%{there} {{'a': [1, None], (1, 2): {{3}}}}",
    )
    assert text(ran) == f"{there[2]}.\n(2, 3)"
    assert ran[-1].output_type == "execute_result"
    assert text(value) == "33.0 [0. 1. 2.] float32 ä\n"
    assert text(line) == "([[0.0, 2.0, 4.0], [18.0, 20.0, 22.0]], 'numpy')"
    assert text(named) == "{'a': [1, None], (1, 2): {3}}"


def test_a_value_goes_from_one_kernel_to_another(pair: tuple[Notebook, str]) -> None:
    here, there = pair
    other = "tf1" if there == "tf2" else "tf2"
    *_, value, failed, refused = here.run(
        "n = 2",
        f"%%{other}\nimport numpy as np\nweights = {{'a:b': np.arange(3.0)}}; bias = 1",
        f"%%{there} -i w={other}:weights['a:b'][1:],n -i {other}:bias -o s\ns = w.tolist(), n, bias",
        "s",
        f"%%{there} -i w={other}:nowhere\npass",
        f"%%{there} -i w=tf9:weights\npass",
        allow_errors=True,
    )
    assert text(value) == "([1.0, 2.0], 2, 1)"
    assert f"no 'nowhere' in kernel {other}" in failed[0].evalue
    assert "no kernel 'tf9'" in refused[0].evalue


OUTPUTS = r"""
from IPython.display import HTML, clear_output, display
print('gone'); clear_output()
handle = display(HTML('<b>old</b>'), display_id='one')
handle.update(HTML('<b>new</b>'))
!echo shell
%time pass
import asyncio; await asyncio.sleep(0)
%matplotlib inline
import matplotlib.pyplot as plt; plt.plot([1, 2]);
""".strip()


def kinds(outputs: list[Any]) -> list[tuple[str, list[str]]]:
    return [(each.output_type, sorted(each.get("data", ()))) for each in outputs if each.output_type != "stream"]


@pytest.fixture(scope="module")
def native(installed: object) -> dict[str, list[Any]]:
    """What the cell gives in a notebook of the other kernel's own."""
    return {name: run_cells(name, OUTPUTS)[-1] for name in ("tf1", "tf2")}


def test_output_is_that_of_a_native_cell(pair: tuple[Notebook, str], native: dict[str, list[Any]]) -> None:
    here, there = pair
    remote, captured = here.run(f"%%{there}\n{OUTPUTS}", f"%%capture got\n%%{there}\nprint('caught')")
    assert "gone" not in text(remote)
    assert "shell" in text(remote)
    assert "Wall time" in text(remote)
    assert kinds(remote) == kinds(native[there])
    assert any(output.get("data", {}).get("text/html") == "<b>new</b>" for output in remote)
    assert captured == []


def test_errors_show_the_remote_traceback_once(pair: tuple[Notebook, str]) -> None:
    here, there = pair
    *_, failed, after = here.run(f"%%{there}\ndef f():\n    return 1 / 0\n\nf()", f"%{there} 1 + 1", allow_errors=True)
    assert [output.output_type for output in failed] == ["error"]
    shown = plain("\n".join(failed[0].traceback))
    assert shown.count("ZeroDivisionError: division by zero") == 1
    assert "----> 2     return 1 / 0" in shown, "with the lines of the cell, and no stack of ours"
    assert "tfkernels" not in shown
    assert (failed[0].ename, failed[0].evalue) == ("ZeroDivisionError", "division by zero")
    assert text(after) == "2"


BAD = [
    ("%%{there} -i nowhere\npass", "'nowhere' is not defined"),
    ("%%{there} -o nowhere\npass", "no 'nowhere' in kernel"),
    ("%%{there} -i x=print\npass", "x: objects of type"),
    ("%%{there} -o x=[print]\npass", r"x[0]: objects of type"),
    ("%%{there} -i x y\npass", "Write -i x,y"),
    ("%%{there} --nonsense\npass", "--nonsense. Show all options with: %%{there}?"),
    ("%%{there} --timeout x\npass", "Write, for example, --timeout 30"),
    ("%{there}", "needs an expression"),
    ("%%tf3\npass", "Did you mean"),
    ("y = %tf1.99 1", "Did you mean"),
    ("%%tf2.11\npass", "with: tfkernels install 2.11, or in this notebook with: %tfkernels install 2.11"),
    ("%%each tf1 lab\npass", "tfkernels install RELEASE, or in this notebook with: %tfkernels install RELEASE"),
    ("%%{there}\nimport os; os._exit(7)", "exit code 7"),
]


def test_bad_input_is_answered_in_one_paragraph(pair: tuple[Notebook, str]) -> None:
    here, there = pair
    here.run(f"%tfkernels stop {there}")  # what TensorFlow has logged would be among its last words
    cells = [cell.format(there=there) for cell, _ in BAD]
    results = here.run(*cells, f"%{there} 1 + 1", allow_errors=True)
    assert text(results.pop()) == "2", "and everything goes on"
    for (cell, expected), outputs in zip(BAD, results[-len(BAD) :], strict=True):
        shown = "".join(
            plain("\n".join(o.traceback)) if o.output_type == "error" else o.get("text", "") for o in outputs
        )
        assert expected.format(there=there) in shown, f"{cell}: {shown}"
        assert "Traceback" not in shown, cell
        assert len(shown.splitlines()) < 8, shown


def test_a_failing_input_shows_no_stack_of_ours(pair: tuple[Notebook, str]) -> None:
    here, there = pair
    *_, failed = here.run("def f():\n    return 1 / 0", f"%%{there} -i x=f()\npass", allow_errors=True)
    shown = plain("\n".join(failed[0].traceback))
    assert "ZeroDivisionError: division by zero" in shown
    assert "return 1 / 0" in shown
    assert "magics.py" not in shown


def test_a_failed_output_binds_nothing(pair: tuple[Notebook, str]) -> None:
    here, there = pair
    *_, after = here.run("a = b = 0", f"%%{there} -o a,b\na = 1; b = object()", "print(a, b)", allow_errors=True)
    assert text(after) == "0 0\n"


def test_kernels_in_the_middle_of_a_notebook(installed: object) -> None:
    """Both other kernels from one ordinary notebook, and looked after."""
    *_, listed, stopped, again, unloaded = run_cells(
        "python3",
        "%load_ext tfkernels",
        "%%tf1 -o a\na = 1",
        "%%tf2 -i a -o b\nb = a + 1",
        "%tfkernels",
        "%tfkernels stop tf1\n%tfkernels restart tf2",
        "print(a, b)",
        "%unload_ext tfkernels\n%lsmagic",
    )
    assert [line.split()[:3] for line in text(listed).splitlines()[1:-1]] == [
        ["tf1", "1.15.5", "idle"],
        ["tf2", "2.21.0", "idle"],
    ]
    assert "MB" in text(listed)
    assert re.search(r"tf1 +1\.15\.5 +not running\n", text(stopped))
    assert re.search(r"tf2 +2\.21\.0 +idle +\d+ ", text(stopped))
    assert text(again) == "1 2\n"
    assert "%tf1" not in text(unloaded)


def test_unloading_gives_the_kernel_its_handlers_back(installed: object) -> None:
    look = "kernel = get_ipython().kernel\nkernel.shell_handlers['comm_open'].__name__, kernel.saved_sigint_handler"
    before, *_, during, _, after = run_cells(
        "python3", look, "%load_ext tfkernels", "%%tf1\n1", look, "%unload_ext tfkernels", look
    )
    assert text(during) != text(before)
    assert text(after) == text(before)


def test_the_list_has_the_kernel_that_the_notebook_runs_in(installed: object) -> None:
    listing = "import os; print(os.getpid())\n%tfkernels"
    own, _, both, stopped = run_cells("tf1", listing, "%%tf1\npass\n", "%tfkernels", "%tfkernels stop tf1")
    pid, _, *rows, last = text(own).splitlines()
    assert last.startswith("This kernel does not know its notebook.")
    assert re.fullmatch(rf"tf1 +1\.15\.5 +runs this cell +{pid} +\d+ MB", rows[0])
    assert re.fullmatch(r"tf2 +2\.21\.0 +not running", rows[1])
    assert [line.split()[2] for line in text(both).splitlines()[1:-1]] == ["runs", "idle", "not"]
    assert [line.split()[2] for line in text(stopped).splitlines()[1:]] == ["runs", "not"]


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_questions_are_asked_in_the_notebook(installed: object, here: str) -> None:
    there = "tf2" if here == "tf1" else "tf1"
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name=here)
    asked: list[tuple[str, bool]] = []

    def answer(message: dict[str, Any]) -> None:
        asked.append((message["content"]["prompt"], message["content"]["password"]))
        client.input("me")

    try:
        for code in [*load(here), f"%%{there} -o a\nimport getpass\na = input('a? '), getpass.getpass('b? ')"]:
            client.execute_interactive(code, timeout=DEADLINE, allow_stdin=True, stdin_hook=answer)
        client.execute_interactive(f"b = %{there} input('c? ')", timeout=DEADLINE, allow_stdin=True, stdin_hook=answer)
        assert asked == [("a? ", False), ("b? ", True), ("c? ", False)]
        reply = client.execute_interactive("", user_expressions={"all": "(a, b)"}, timeout=DEADLINE)
        assert reply["content"]["user_expressions"]["all"]["data"]["text/plain"] == "(('me', 'me'), 'me')"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_the_stop_button_reaches_the_other_kernel(installed: object, here: str) -> None:
    there = "tf2" if here == "tf1" else "tf1"
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name=here)
    try:
        for code in [*load(here), f"%%{there}\nstate = 5"]:
            client.execute_interactive(code, timeout=DEADLINE)
        request = client.execute(f"%%{there}\nimport time\nprint('begun', flush=True)\ntime.sleep(1000)")
        while True:
            message = client.get_iopub_msg(timeout=DEADLINE)
            if message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
                break
        manager.interrupt_kernel()
        while True:
            reply = client.get_shell_msg(timeout=DEADLINE)
            if reply["parent_header"].get("msg_id") == request:
                break
        assert reply["content"]["status"] == "error"
        assert "KeyboardInterrupt" in "".join(reply["content"]["traceback"])
        expressions = {"state": f"get_ipython().run_line_magic('{there}', 'state')"}
        while reply["content"]["status"] != "ok":  # after an error, a kernel sends back what is already waiting
            reply = client.execute_interactive("", user_expressions=expressions, timeout=DEADLINE)
        assert reply["content"]["user_expressions"]["state"]["data"]["text/plain"] == "5", "both are usable"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_other_kernels_end_with_a_killed_notebook(installed: object) -> None:
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="tf2")
    try:
        expressions = {"pid": "__import__('tfkernels').kernel('tf1')['__import__(\"os\").getpid()']"}
        reply = client.execute("", user_expressions=expressions, reply=True, timeout=DEADLINE)
        pid = int(reply["content"]["user_expressions"]["pid"]["data"]["text/plain"])
        os.kill(pid, 0)
        assert manager.provisioner is not None
        os.kill(manager.provisioner.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        eventually(lambda: not alive(pid))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


_LOAD = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.extension_manager.load_extension("tfkernels")
shell.run_cell("pass")
print(*{"numpy", "tfkernels.client.kernel"} & set(sys.modules))
"""


def test_loading_the_magics_imports_what_they_need_later() -> None:
    """Every kernel of tfkernels loads them at its start."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _LOAD], check=True, timeout=DEADLINE, capture_output=True
    )
    assert done.stdout == b"\n"
