"""A cell with ``pass`` in another kernel, beside a bare execute request to it; cells that print much; and how soon what
happens there is heard of here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

import tfkernels
from tests.benchmarks import reactions
from tests.benchmarks.rows import Row, measure
from tfkernels.client.kernel import Kernel


def bare_client(kernel: Kernel) -> BlockingKernelClient:
    client = BlockingKernelClient()
    client.load_connection_file(str(kernel.begin().process.folder / "connection.json"))
    client.start_channels()
    client.wait_for_ready(timeout=60)
    return client


def bare(client: BlockingKernelClient, code: str = "pass") -> None:
    """A request, and waiting for both its reply and the kernel's idle message."""
    request = client.execute(code)
    while True:
        message = client.get_iopub_msg(timeout=60)
        mine = message["parent_header"].get("msg_id") == request
        if mine and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            break
    while client.get_shell_msg(timeout=60)["parent_header"].get("msg_id") != request:
        pass


LINES = {
    "100,000 printed lines": "for i in range(100_000): print('line', i)",
    "2,000 lines, each flushed": "for i in range(2_000): print('line', i, flush=True)",
}


def lines(name: str) -> Iterator[list[Row]]:
    """A client of a notebook whose cell runs elsewhere, beside a client of that kernel itself."""
    manager, notebook = start_new_kernel(kernel_name="python3")
    natively, native = start_new_kernel(kernel_name=name)
    try:
        bare(notebook, "%load_ext tfkernels")
        for work, code in LINES.items():
            jobs = {
                f"natively in {name}": partial(bare, native, code),
                f"%%{name}": partial(bare, notebook, f"%%{name}\n{code}"),
            }
            yield measure(f"{work}, {name}", jobs, 5)
    finally:
        for client, owner in ((notebook, manager), (native, natively)):
            client.stop_channels()
            owner.shutdown_kernel(now=True)


def run() -> Iterator[list[Row]]:
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
        yield measure(f"a cell in {name}", jobs, 200)
        client.stop_channels()
        yield from lines(name)
    yield from reactions.run()
