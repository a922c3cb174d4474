"""Widgets of another kernel: their messages between that kernel and the notebook's browser, here without a browser."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.kernels.test_magics import load
from tests.support.notebooks import client
from tests.support.waiting import DEADLINE

HOSTS = [("python3", "tf1"), ("tf1", "tf2")]

WIDGETS = """
import ipykernel
if ipykernel.version_info >= (6, 18):
    from comm import create_comm
else:  # which does not know the package comm, though ipywidgets brings it
    from ipykernel.comm import Comm as create_comm
import time

manager = get_ipython().kernel.comm_manager
got = []


def hear(message):
    data = message["content"]["data"]
    got.append((data, [bytes(buffer) for buffer in message["buffers"]]))
    if "sleep" in data:
        print("sleeping")
        time.sleep(data["sleep"])
    if "fail" in data:
        try:
            1 / 0
        except ZeroDivisionError:
            get_ipython().showtraceback()
    slider.send({"method": "echo_update"}, {"version": "2.1.0"}, [b"\\1\\xff"])


def offered(comm, message):
    got.append(message["content"]["data"])
    comm.send("welcome")
    comm.on_close(lambda message: got.append("closed"))


manager.register_target("there", offered)
slider = create_comm("jupyter.widget", {"state": {"disabled": False}}, {"version": "2.1.0"}, [b"\\0\\xff"])
slider.on_msg(hear)
other = create_comm("other", {})
"""


class Browser:
    """What a notebook's page hears of its kernel."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self._client = client
        self._heard: list[dict[str, Any]] = []

    def run(self, code: str) -> list[dict[str, Any]]:
        """What comes because of a cell."""
        return self.hear(self._client.execute(code))

    def send(self, kind: str, comm_id: str, data: Any, buffers: list[bytes] | None = None, target: str = "") -> str:
        content = {"comm_id": comm_id, "data": data, **({"target_name": target} if target else {})}
        message = self._client.session.msg(kind, content)
        message["buffers"] = buffers or []
        self._client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def hear(self, identity: str) -> list[dict[str, Any]]:
        """All that has this message as its parent, until the message that it was handled."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            mine = [message for message in self._heard if message["parent_header"].get("msg_id") == identity]
            if mine and mine[-1]["content"].get("execution_state") == "idle":
                self._heard = [message for message in self._heard if message not in mine]
                return [message for message in mine if message["msg_type"] not in ("status", "execute_input")]
            self._heard.append(self._client.get_iopub_msg(timeout=DEADLINE))
        raise AssertionError(f"not handled in {DEADLINE} s: {self._heard}")

    def until(self, kind: str, text: str = "") -> dict[str, Any]:
        """The next message of this kind, and with this text if it is printed, whatever its parent."""
        while True:
            for message in self._heard:
                if message["msg_type"] == kind and text in message["content"].get("text", ""):
                    self._heard.remove(message)
                    return message
            self._heard.append(self._client.get_iopub_msg(timeout=DEADLINE))

    def comms(self) -> dict[str, Any]:
        """Those that the kernel says it has."""
        identity = self._client.comm_info()
        while True:
            reply = self._client.get_shell_msg(timeout=DEADLINE)
            if reply["parent_header"]["msg_id"] == identity:
                return dict(reply["content"]["comms"])


@pytest.fixture(scope="module", params=HOSTS, ids=[f"{there}-from-{here}" for here, there in HOSTS])
def notebook(request: pytest.FixtureRequest, installed: object) -> Iterator[tuple[Browser, str]]:
    """A page whose notebook's kernel can run cells in another one, and that one's name."""
    here, there = request.param
    manager = KernelManager(kernel_name=here)
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=DEADLINE)
        browser = Browser(manager, client)
        for cell in load(here):
            browser.run(cell)
        yield browser, there
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["msg_type"] for message in messages]


def opened(browser: Browser, there: str) -> tuple[str, str]:
    """The comms of a widget and of something else."""
    messages = [message for message in browser.run(f"%%{there}\n{WIDGETS}") if message["msg_type"] == "comm_open"]
    slider, other = messages
    assert slider["content"]["target_name"] == "jupyter.widget"
    assert slider["content"]["data"] == {"state": {"disabled": False}}
    assert slider["metadata"] == {"version": "2.1.0"}
    assert [bytes(buffer) for buffer in slider["buffers"]] == [b"\0\xff"]
    return slider["content"]["comm_id"], other["content"]["comm_id"]


def value(browser: Browser, expression: str) -> str:
    return str(browser.run(expression)[-1]["content"]["data"]["text/plain"])


def test_comms_that_the_browser_opens(notebook: tuple[Browser, str]) -> None:
    browser, there = notebook
    browser.run("get_ipython().kernel.comm_manager.register_target('here', lambda comm, message: comm.send('mine'))")
    opened(browser, there)
    (welcome,) = browser.hear(browser.send("comm_open", "1", {"a": 1}, target="there"))
    assert welcome["content"]["data"] == "welcome"
    browser.hear(browser.send("comm_close", "1", {}))
    assert value(browser, f"%{there} got") == "[{'a': 1}, 'closed']"
    (mine,) = browser.hear(browser.send("comm_open", "2", {}, target="here"))
    assert mine["content"]["data"] == "mine"
    browser.hear(browser.send("comm_close", "2", {}))
    # Nobody knows this one. A page that asks for all widgets at once is told to ask each one.
    for target in ("nowhere", "jupyter.widget.control"):
        refused = browser.hear(browser.send("comm_open", target, {}, target=target))
        assert refused[-1]["msg_type"] == "comm_close"
    assert "nowhere" not in browser.comms()
    browser.run(f"%tfkernels stop {there}")
    assert browser.until("comm_msg")["content"]["data"]["state"] == {"disabled": True}
    assert browser.until("comm_close")["content"]["data"] == {}
    assert browser.comms() == {}


def test_a_widget_lives_as_long_as_its_kernel(notebook: tuple[Browser, str]) -> None:
    browser, there = notebook
    slider, other = opened(browser, there)
    assert browser.comms() == {slider: {"target_name": "jupyter.widget"}, other: {"target_name": "other"}}

    # Between cells
    (echo,) = browser.hear(browser.send("comm_msg", slider, {"a": 1}, [b"\2\xfe"]))
    assert (echo["msg_type"], echo["content"]["comm_id"]) == ("comm_msg", slider)
    assert (echo["content"]["data"], echo["metadata"]) == ({"method": "echo_update"}, {"version": "2.1.0"})
    assert [bytes(buffer) for buffer in echo["buffers"]] == [b"\1\xff"]
    assert value(browser, f"%{there} got") == "[({'a': 1}, [b'\\x02\\xfe'])]"

    # What its callback shows belongs to the message
    messages = browser.hear(browser.send("comm_msg", slider, {"sleep": 0, "fail": 1}))
    assert kinds(messages) == ["stream", "error", "comm_msg"]
    assert messages[1]["content"]["ename"] == "ZeroDivisionError"

    # From a cell, in the cell
    (sent,) = browser.run(f"%%{there}\nother.send('hello')")
    assert sent["content"] == {"comm_id": other, "data": "hello"}

    # While its kernel is busy, and this one is not
    browser.run(f"%%{there} --background\nimport time; time.sleep(1); print('slept')")
    waits = browser.send("comm_msg", slider, {"b": 1})
    assert value(browser, "1 + 1") == "2"
    assert kinds(browser.hear(waits)) == ["comm_msg"]
    browser.until("stream", "slept")

    # The stop button ends what it does, and nothing else
    sleeps = browser.send("comm_msg", slider, {"sleep": 60})
    browser.until("stream", "sleeping")
    browser.manager.interrupt_kernel()
    browser.hear(sleeps)
    assert value(browser, f"%{there} len(got)") == "4"

    # Closed on either side
    browser.run(f"%%{there}\nother.close()")
    assert browser.comms() == {slider: {"target_name": "jupyter.widget"}}
    extra = browser.run(f"%%{there}\nextra = create_comm('extra', {{}})")[0]["content"]["comm_id"]
    browser.hear(browser.send("comm_close", extra, {}))
    assert browser.comms() == {slider: {"target_name": "jupyter.widget"}}

    # The end: a widget stays, and is off
    other = browser.run(f"%%{there}\nother = create_comm('other', {{}})")[0]["content"]["comm_id"]
    last = browser.send("comm_msg", slider, {"sleep": 60})
    browser.until("stream", "sleeping")
    browser.run(f"import os, signal, tfkernels; os.kill(tfkernels.kernel({there!r}).pid, signal.SIGKILL)")
    off = browser.until("comm_msg")["content"]
    assert (off["comm_id"], off["data"]["state"]) == (slider, {"disabled": True})
    assert browser.until("comm_close")["content"]["comm_id"] == other
    assert browser.hear(last) == [], "nobody waits for an answer"
    assert browser.comms() == {}


OUTPUT = """
import ipykernel
if ipykernel.version_info >= (6, 18):
    from comm import create_comm
else:  # which does not know the package comm, though ipywidgets brings it
    from ipykernel.comm import Comm as create_comm
state = {"_model_name": "OutputModel", "_model_module": "@jupyter-widgets/output", "msg_id": "", "outputs": []}
output = create_comm("jupyter.widget", {"state": state, "buffer_paths": []}, {"version": "2.1.0"})


def catch(what):
    output.send({"method": "update", "state": {"msg_id": what}, "buffer_paths": []})


print("before", flush=True)
catch(get_ipython().kernel.get_parent("shell")["header"]["msg_id"])
print("caught", flush=True)
get_ipython().run_cell("1 / 0")
catch("")
print("after")
"""


def test_what_a_cell_shows_besides(installed: object) -> None:
    """As nbclient and papermill see it. An ``Output`` widget names the cell's message there, they know the one here."""
    sources = [f"%%tf1\n{OUTPUT}", "%%tf1\nget_ipython().run_cell('1 / 0'); print('after')\n[] + 1"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client(notebook, "tf2", allow_errors=True).execute()
    caught, failed = ([out for out in cell.outputs if out.get("name") != "stderr"] for cell in notebook.cells)

    assert "".join(output.text for output in caught) == "before\nafter\n"
    (widget,) = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    printed, raised = widget["state"]["outputs"]
    assert printed["text"] == "caught\n"
    assert raised["ename"] == "ZeroDivisionError"

    assert [output.output_type for output in failed] == ["error", "stream", "error"]
    assert failed[0].ename == "ZeroDivisionError", "a traceback that did not end the cell"
    assert failed[2].ename == "TypeError"
