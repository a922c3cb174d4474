"""A cell with ``pass`` in another kernel, beside a bare execute request to it."""

from __future__ import annotations

from functools import partial

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient

import tfkernels
from tests.benchmarks.rows import Row, measure
from tfkernels.remote import RemoteKernel


def bare_client(kernel: RemoteKernel) -> BlockingKernelClient:
    assert kernel._process is not None
    client = BlockingKernelClient()
    client.load_connection_file(str(kernel._process.folder / "connection.json"))
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


def bare(client: BlockingKernelClient) -> None:
    """A request, and waiting for both its reply and the kernel's idle message."""
    request = client.execute("pass")
    while True:
        message = client.get_iopub_msg(timeout=30)
        mine = message["parent_header"].get("msg_id") == request
        if mine and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    while client.get_shell_msg(timeout=30)["parent_header"].get("msg_id") != request:
        pass


def run() -> list[Row]:
    rows = []
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "tfkernels")
    for name in ("tf1", "tf2"):
        kernel = tfkernels.kernel(name)
        kernel.start()
        client = bare_client(kernel)
        jobs = {
            "bare execute": partial(bare, client),
            f"%%{name} pass": partial(shell.run_cell_magic, name, "", "pass"),
        }
        rows += measure(f"a cell in {name}", jobs, 200)
        client.stop_channels()
    return rows
