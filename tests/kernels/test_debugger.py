"""The debugger of a notebook, and the cells that it runs in other kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.support.debugger import Debugger
from tests.support.waiting import DEADLINE

CELL = "import os, sys\nkernel, debugged = os.environ['TFKERNELS_KERNEL'], sys.gettrace() is not None"


@pytest.fixture
def client(installed: object) -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="python3")
    try:
        client.execute_interactive("%load_ext tfkernels", timeout=DEADLINE)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def values(client: BlockingKernelClient, code: str, *names: str) -> list[str]:
    """Of variables, after a cell that has to succeed."""
    reply = client.execute_interactive(code, user_expressions={name: name for name in names}, timeout=DEADLINE)[
        "content"
    ]
    assert reply["status"] == "ok", reply
    return [reply["user_expressions"][name]["data"]["text/plain"] for name in names]


def test_other_kernels_start_while_the_debugger_is_on(client: BlockingKernelClient) -> None:
    Debugger(client)
    for kernel in ("tf1", "tf2"):
        found = values(client, f"%%{kernel} -o kernel,debugged\n{CELL}", "kernel", "debugged")
        assert found == [repr(kernel), "False"]


@pytest.mark.parametrize("here", ["python3", "tf1"])
def test_a_debugged_notebook_runs_the_command(installed: object, here: str) -> None:
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name=here)
    try:
        values(client, "%load_ext tfkernels")
        Debugger(client)
        values(client, "%tfkernels install tf2")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_breakpoint_does_not_stop_other_kernels(client: BlockingKernelClient) -> None:
    values(client, "%%tf1\nx = 5")
    debugger = Debugger(client)
    frame = debugger.stop_in("import tfkernels\ntf1 = tfkernels.kernel('tf1')\nend = 1", line=3)
    assert debugger.request("evaluate", expression="tf1['x + 1']", frameId=frame, context="repl")["result"] == "6"
