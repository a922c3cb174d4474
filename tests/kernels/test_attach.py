"""Kernels of other notebooks, used with a magic while their own notebook uses them."""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jupyter_client.manager import KernelManager

import tfkernels
from tests.support.notebooks import run_cells, text
from tests.support.processes import started
from tests.support.specimens import assert_same
from tests.support.waiting import DEADLINE, eventually
from tfkernels.client import discovery
from tfkernels.client.attach import AttachedKernel
from tfkernels.client.kernels_by_name import known
from tfkernels.errors import CellCancelled, ExchangeError, KernelDied, UnknownKernel, UsageError


class Other:
    """Another notebook's kernel, started by another program: by Jupyter."""

    def __init__(self, name: str, folder: Path) -> None:
        self.id = str(uuid.uuid4())
        self.file = folder / f"kernel-{self.id}.json"
        self.manager = KernelManager(kernel_name=name, connection_file=str(self.file))
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=DEADLINE)
        self._gate = folder / "gate"

    def value(self, expression: str) -> str:
        reply: Any = self.client.execute("", user_expressions={"it": expression}, reply=True, timeout=DEADLINE)
        return str(reply["content"]["user_expressions"]["it"]["data"]["text/plain"])

    def begin(self, then: str = "pass") -> str:
        """Runs a cell until ``go_on``."""
        self._gate.unlink(missing_ok=True)
        code = f"import os, time\nwhile not os.path.exists({str(self._gate)!r}): time.sleep(0.02)\n{then}"
        request: str = self.client.execute(code)
        begun = (request, "execute_input")
        while True:  # cells of other clients are published to all
            message = self.client.get_iopub_msg(timeout=DEADLINE)
            if (message["parent_header"].get("msg_id"), message["msg_type"]) == begun:
                return request

    def go_on(self, request: str) -> str:
        """How the cell ended."""
        self._gate.touch()
        while True:
            reply = self.client.get_shell_msg(timeout=DEADLINE)
            if reply["parent_header"]["msg_id"] == request:
                return str(reply["content"]["status"])

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module", autouse=True)
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Jupyter writes what runs."""
    folder = tmp_path_factory.mktemp("runtime")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module", params=["python3", "tf1"])
def other(request: pytest.FixtureRequest, installed: object, runtime: Path) -> Iterator[Other]:
    opened = Other(request.param, runtime)
    yield opened
    opened.close()


@pytest.fixture
def attached(other: Other) -> Iterator[AttachedKernel]:
    kernel = tfkernels.attach(other.file, "other")
    yield kernel
    kernel.shutdown()


def test_code_and_values(other: Other, attached: AttachedKernel, capsys: pytest.CaptureFixture[str]) -> None:
    other.client.execute_interactive("theirs = 5", timeout=DEADLINE)
    code = "import os\nprint('here')\nours = [x + theirs]"
    outputs = attached.run(code, inputs={"x": np.ones(10**5)}, outputs={"ours": "ours", "pid": "os.getpid()"})
    assert_same(outputs["ours"], [np.ones(10**5) + 5])
    assert outputs["pid"] == attached.pid
    assert "here" in capsys.readouterr().out
    assert other.value("len(ours)") == "1"
    assert "tfkernels" not in other.value("list(globals())")


def test_it_is_left_and_never_ended(other: Other, attached: AttachedKernel) -> None:
    attached.run("kept = 1")
    with pytest.raises(UsageError, match="Restart it in its own notebook"):
        attached.restart()
    cell = attached.submit("import time\ntime.sleep(1000)")
    eventually(lambda: cell.running)
    attached.shutdown()
    assert cell.done()
    assert other.value("kept") == "1", "it runs, and the cell that was ours does no more"
    assert attached["kept"] == 1, "and it can be used again"


def test_our_cells_queue_and_can_be_cancelled(other: Other, attached: AttachedKernel) -> None:
    attached.run("order = []")
    request = other.begin("order.append('theirs')")
    eventually(lambda: attached.busy)
    first = attached.submit("order.append('first')")
    second = attached.submit("order.append('second')")
    eventually(lambda: attached.current is first)
    assert first.cancel()
    assert isinstance(first.exception(0), CellCancelled), "at once"
    eventually(lambda: attached.current is second)
    assert other.go_on(request) == "ok", "an interrupt of ours is not theirs"
    second.result(DEADLINE)
    assert attached["order"] == ["theirs", "second"]


def test_an_error_of_theirs_does_not_drop_ours(other: Other, attached: AttachedKernel) -> None:
    request = other.begin("1 / 0")
    cell = attached.submit("survived = 1")
    eventually(lambda: attached.current is cell)
    assert other.go_on(request) == "error"
    cell.result(DEADLINE)
    assert attached["survived"] == 1

    attached.shutdown()
    request = other.begin("1 / 0")
    assert "its own notebook runs a cell" in tfkernels.attach(other.file, "other").remark
    cell = attached.submit("survived = 2")
    assert other.go_on(request) == "error"
    cell.result(DEADLINE)
    assert attached["survived"] == 2


def test_an_interrupt_reaches_our_cell(other: Other, attached: AttachedKernel) -> None:
    cell = attached.submit("import time\ntime.sleep(1000)", outputs={"x": "1"})
    eventually(lambda: cell.running)
    assert cell.cancel()
    assert isinstance(cell.exception(DEADLINE), CellCancelled)
    assert attached["1 + 1"] == 2


def test_an_unresponsive_cell_is_left_alone(other: Other, attached: AttachedKernel, tmp_path: Path) -> None:
    stubborn = (
        f"done = False\nfor i in range(2):\n    try:\n        open({str(tmp_path / 'begun')!r}, 'w').close()\n"
        "        time.sleep(3)\n    except KeyboardInterrupt:\n        pass"
    )
    cell = attached.submit(f"import time\n{stubborn}\ndone = True", outputs={"x": "1"})
    eventually((tmp_path / "begun").exists)
    cell.cancel()
    cell.connection.kill()
    assert isinstance(cell.exception(0), CellCancelled)
    assert attached["done"] is True, "the next one waits for it"


_LEAVER = """
import sys, time, tfkernels
kernel = tfkernels.attach(sys.argv[1])
print("attached", flush=True)
while not kernel.busy: time.sleep(0.01)
call = kernel.submit("left_behind = True")
while kernel.current is not call: time.sleep(0.01)
time.sleep(0.5)
print("waits", flush=True)
time.sleep(1000)
"""


def test_cells_of_killed_clients_are_not_run(other: Other) -> None:
    with started([sys.executable, "-c", _LEAVER, str(other.file)], 1) as (process, _):
        request = other.begin()
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
    assert other.go_on(request) == "ok"
    assert other.value("'left_behind' in globals()") == "False"


def test_its_end_is_noticed(installed: object, runtime: Path) -> None:
    other = Other("python3", runtime)
    try:
        kernel = tfkernels.attach(other.id[:13], "mortal")
        kernel.run("x = 1")
        other.manager.restart_kernel(now=True)
        assert other.value("'x' in globals()") == "False"
        eventually(lambda: "ended" in kernel.state)
        with pytest.raises(KernelDied, match="restarted"):
            kernel.run("pass")
        with pytest.raises(ExchangeError, match="no 'x' in kernel mortal"):
            kernel["x"]
        cell = kernel.submit("import time\ntime.sleep(1000)")
        eventually(lambda: cell.running)
        os.kill(int(kernel.pid or 0), signal.SIGKILL)
        assert isinstance(cell.exception(60), KernelDied)
        other.file.unlink()
        with pytest.raises(UnknownKernel, match="runs no more"):
            kernel.run("pass")
    finally:
        other.close()


def test_in_a_notebook(other: Other) -> None:
    other.client.execute_interactive("theirs = 5", timeout=DEADLINE)
    *_, listed, attached, ran, got, restarted, managed, taken, bash = run_cells(
        "python3",
        "%load_ext tfkernels",
        "%tfkernels attach",
        f"%tfkernels attach {other.id[:8]} --as lab",
        "%%lab -o theirs\nprint('there')",
        "y = %lab theirs + 1\nprint(theirs, y)",
        "%tfkernels restart lab",
        "%tfkernels stop lab",
        f"%tfkernels attach {other.id[:8]} --as tf2",
        f"%tfkernels attach {other.id[:8]} --as bash",
        allow_errors=True,
    )
    assert [line.split()[0] for line in text(listed).splitlines()] == [other.id], "not itself"
    assert "used with %%lab" in text(attached)
    assert text(ran) == "there\n"
    assert text(got) == "5 6\n"
    assert any(words[0] == "lab" and "not" in words for words in map(str.split, text(managed).splitlines()))
    assert "in its own notebook" in restarted[0].evalue
    assert "another name" in taken[0].evalue
    assert "another name" in bash[0].evalue
    assert other.value("theirs") == "5"


def test_what_cannot_be_attached(other: Other, runtime: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownKernel, match=rf"neither a connection file nor(.|\n)*{other.id}"):
        tfkernels.attach("nonsense")
    wrong = tmp_path / "kernel-wrong.json"
    wrong.write_text("[]")
    with pytest.raises(UnknownKernel, match="not a kernel's connection file"):
        tfkernels.attach(wrong)
    with pytest.raises(UsageError, match="cannot be a magic's name"):
        tfkernels.attach(other.id, "two words")
    gone = {**json.loads(other.file.read_text()), "hb_port": 1}
    (runtime / "kernel-gone.json").write_text(json.dumps(gone))
    try:
        with pytest.raises(UnknownKernel, match="does not answer any more"):
            tfkernels.attach("gone")
        assert [kernel.id for kernel in discovery.candidates()] == [other.id]
    finally:
        (runtime / "kernel-gone.json").unlink()
    assert not {"nonsense", "two words"} & known.keys()
