"""``--background``, ``%%each``, ``--timeout`` from all kinds of host kernels: whose output appears under which cell."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

from tests.support.notebooks import plain, run_cells, text
from tests.support.waiting import DEADLINE, POLL_INTERVAL


class Notebook:
    """A client that knows which output belongs to which cell, at any time."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client
        self._outputs: dict[str, list[dict[str, Any]]] = {}
        self._idle: set[str] = set()

    def run(self, code: str) -> str:
        """Runs a cell to its end, and returns its id."""
        cell: str = self._client.execute(code)
        self.until(lambda: cell in self._idle)
        return cell

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, self._outputs
            try:
                message = self._client.get_iopub_msg(timeout=0.05)
            except Empty:
                continue
            parent, content = message["parent_header"].get("msg_id"), message["content"]
            if message["msg_type"] == "status":
                if content["execution_state"] == "idle":
                    self._idle.add(parent)
            elif message["msg_type"] != "execute_input":
                self._outputs.setdefault(parent, []).append({"type": message["msg_type"], **content})

    def printed(self, cell: str) -> str:
        return "".join(
            output["text"] for output in self.outputs(cell) if output["type"] == "stream" and output["name"] == "stdout"
        )

    def outputs(self, cell: str) -> list[dict[str, Any]]:
        return self._outputs.get(cell, [])


@pytest.fixture(params=["python3", "tf1"])
def host(request: pytest.FixtureRequest, installed: object) -> Iterator[tuple[Notebook, str]]:
    """A notebook, and the name of another kernel."""
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name=request.param)
    try:
        notebook = Notebook(client)
        if request.param == "python3":
            notebook.run("%load_ext tfkernels")
        yield notebook, "tf2" if request.param == "tf1" else "tf1"
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


STEPS = """
import time
from IPython.display import HTML, display
for i in range(4):
    print("step", i, flush=True)
    time.sleep(0.2)
shown = display(HTML("<b>old</b>"), display_id="one")
shown.update(HTML("<b>new</b>"))
y = 6 * 7
y
"""


def test_output_appears_under_the_cell_that_started_it(host: tuple[Notebook, str]) -> None:
    notebook, there = host
    started = notebook.run(f"%%{there} --background job -o y\n{STEPS}")
    other = notebook.run("import time\nfor i in range(5):\n    print('here', i); time.sleep(0.1)\n'y' in globals()")
    failed = notebook.run(f"%%{there} --background\nprint('again')\n1 / 0")
    foreground = notebook.run(f"%%{there}\nprint('in front')")
    result = notebook.run("print(job.result(), y, job.done(), job)")
    threads = notebook.run(
        f"%%{there}\nimport threading\nthreading.Timer(0.3, lambda: print('late', flush=True)).start()"
    )
    notebook.until(lambda: "late" in notebook.printed(threads))

    assert notebook.printed(started) == "".join(f"step {i}\n" for i in range(4))
    kinds = [output["type"] for output in notebook.outputs(started) if output["type"] != "stream"]
    assert kinds == ["execute_result", "display_data", "update_display_data", "display_data"], "the handle comes first"
    assert [output["data"].get("text/html") for output in notebook.outputs(started)[-3:-1]] == [
        "<b>old</b>",
        "<b>new</b>",
    ]
    assert notebook.outputs(started)[-1]["data"]["text/plain"] == "42"
    assert notebook.printed(other) == "".join(f"here {i}\n" for i in range(5))
    assert notebook.outputs(other)[-1]["data"]["text/plain"] == "False", "bound when it is asked for"
    assert notebook.printed(failed) == "again\n"
    assert [output["ename"] for output in notebook.outputs(failed) if output["type"] == "error"] == [
        "ZeroDivisionError"
    ]
    assert notebook.printed(foreground) == "in front\n"
    assert notebook.printed(result).startswith("{'y': 42} 42 True <cell in kernel")
    assert notebook.printed(threads) in ("late\n", "late")


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_the_same_cell_in_several_kernels(installed: object, here: str) -> None:
    *_, ran, value, failed, late, wrong, queued = run_cells(
        here,
        *(["%load_ext tfkernels"] if here == "python3" else []),
        "x = 4",
        "%%each tf1 tf2 -i x -o y\ny = x + 1\nprint('x is', x)\nx * 2",
        "y",
        "%%each tf1 tf2\nimport sys\nif sys.version_info < (3, 8):\n    1 / 0",
        "%%tf2 --timeout 0.3\nimport time; time.sleep(1000)",
        "%%tf2 --timeout soon\npass",
        "%tfkernels interrupt\n%tf2 x",
        allow_errors=True,
    )
    assert sorted(text(ran).splitlines()) == ["tf1 │ 8", "tf1 │ x is 4", "tf2 │ 8", "tf2 │ x is 4"]
    assert text(value) == "{'tf1': 5, 'tf2': 5}"
    error = failed[-1]
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero"), "for Jupyter, as natively"
    assert "failed in tf1: ZeroDivisionError in kernel tf1" in error.traceback[0]
    shown = plain("".join(output.text for output in failed if output.output_type == "stream"))
    assert "tf1 │ ----> 3     1 / 0\n" in shown
    assert late[-1].ename == "CellTimeout"
    assert "--timeout" in wrong[-1].evalue
    assert text(queued).endswith("4")


IN_TURN = """%%each tf1 tf2 -o x
from IPython.display import HTML, clear_output, display
for step in range(3):
    clear_output(wait=True)
    display(HTML(f"<b>{step}</b>"))
handle = display(HTML("old"), display_id="one")
handle.update(HTML("new"))
x = input("which? ")"""


def test_several_kernels_display_clear_and_ask(installed: object) -> None:
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="python3")
    asked: list[str] = []
    page: dict[str, str] = {}

    def answer(message: dict[str, Any]) -> None:
        asked.append(message["content"]["prompt"])
        client.input(f"the answer to {asked[-1]}")

    def show(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] in ("display_data", "update_display_data"):
            page[content["transient"]["display_id"]] = content["data"].get("text/html", "")

    try:
        client.execute_interactive("%load_ext tfkernels", timeout=DEADLINE)
        client.execute_interactive(IN_TURN, timeout=DEADLINE, allow_stdin=True, stdin_hook=answer, output_hook=show)
        assert sorted(asked) == ["tf1 │ which? ", "tf2 │ which? "]
        assert sorted(shown for shown in page.values() if shown) == ["<b>2</b>", "<b>2</b>", "new", "new"]
        reply = client.execute_interactive("", user_expressions={"x": "x"}, timeout=DEADLINE)
        answers = {name: f"the answer to {name} │ which? " for name in ("tf1", "tf2")}
        assert reply["content"]["user_expressions"]["x"]["data"]["text/plain"] == str(answers)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_kernels_that_start_early(installed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFKERNELS_START", "tf1, tf9")
    loaded, listed, children = run_cells(
        "python3",
        "%load_ext tfkernels",
        "%tfkernels",
        "%tf1 len(__import__('psutil').Process().children())",
    )
    assert "no kernel 'tf9'" in "".join(output.text for output in loaded)
    assert re.search(r"tf1 +1\.15\.5 +(starting|idle)(.|\n)*tf2 +2\.21\.0 +not running", text(listed))
    assert text(children) == "0", "a kernel that was started by another one starts none"


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_a_slow_start_is_shown_and_taken_back(installed: object, here: str) -> None:
    _, first, *others = run_cells(
        here,
        "%load_ext tfkernels\nimport tfkernels\nfrom tfkernels.client import stop_button\n"
        "stop_button.START_NOTICE_AFTER, stop_button.POLL_INTERVAL = 0, 0.01",  # on any machine
        "%%tf2\nprint('first')",
        "%tfkernels stop\nprint('second')\n%tf2 1 + 1",
        "%tfkernels stop\nprint('second')\nget_ipython().run_cell_magic('tf2', '', '1 + 1')",
        "%tfkernels stop\nprint('second')\ntfkernels.each(['tf2'], 'y = 1', outputs={'y': 'y'})['y']['tf2'] + 1",
    )
    assert [output.get("text") for output in first] == ["first\n"]
    for _, notice, value in others:
        assert (notice.output_type, notice.data) == ("display_data", {"text/plain": ""}), "it was shown, and is gone"
        assert value.data["text/plain"] == "2"


JOB = """
%%tf1 --background job
import os, time
while not os.path.exists(FILE):
    time.sleep(0.1)
"""


def test_a_silent_job_keeps_the_notebook_active(installed: object, tmp_path: Path) -> None:
    """A server can end kernels without activity."""
    asyncio.run(_watch_a_job(tmp_path / "end"))


async def _watch_a_job(end: Path) -> None:
    manager: Any = AsyncMappingKernelManager
    server = manager(connection_dir=str(end.parent))
    kernel = server.get_kernel(await server.start_kernel(kernel_name="python3"))
    client = kernel.client()
    client.start_channels()

    async def run(code: str) -> None:
        reply = await client.execute_interactive(code, timeout=DEADLINE, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok", reply

    async def watch() -> None:
        seen: set[datetime] = set()
        while len(seen) < 4:
            seen.add(kernel.last_activity)
            await asyncio.sleep(POLL_INTERVAL)

    try:
        await client.wait_for_ready(DEADLINE)
        await run("%load_ext tfkernels\nfrom tfkernels.client import output_router")
        await run("output_router.ACTIVITY_INTERVAL = 0.1")
        await run(JOB.replace("FILE", repr(str(end))).strip())
        await asyncio.wait_for(watch(), 60)
        assert kernel.execution_state == "idle"
        end.touch()
        await run("job.result()")
    finally:
        client.stop_channels()
        await server.shutdown_all(now=True)
