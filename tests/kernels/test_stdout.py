"""A kernel's streams are flushed if something was written, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

from tests.support.waiting import DEADLINE
from tfkernels.client.kernel import Kernel
from tfkernels.kernel_side import stdout
from tfprovisioner.kernelspecs.install import Installed

_COUNT = """
import sys
flushes = []
def counted(stream, flushes=flushes):
    real = stream._flush
    def _flush():
        flushes.append(stream.name)
        real()
    stream._flush = _flush
for each in sys.stdout, sys.stderr:
    counted(each)
"""


@pytest.fixture
def counting(remote: Kernel) -> Iterator[Kernel]:
    """A kernel that notes in ``flushes`` what ipykernel's thread does for its streams."""
    remote.run(_COUNT)
    yield remote
    remote.run("del sys.stdout._flush, sys.stderr._flush, flushes, counted, each")


def test_what_was_not_written_to_is_not_flushed(counting: Kernel) -> None:
    counting.run("flushes.clear()")
    counting.run("sys.stdout.flush(); sys.stderr.flush()")
    assert counting["flushes"] == []
    counting.run("print('x', file=sys.stderr)")
    assert set(counting["flushes"]) == {"stderr"}


@pytest.mark.parametrize(
    "code",
    [
        "print('x')",
        "print('x', end='', flush=True)",
        "import threading\nthread = threading.Thread(target=print, args=('x',))\nthread.start()\nthread.join()",
        "import os\nif not os.fork():\n    print('x', flush=True)\n    os._exit(0)\nos.wait()",
        "!echo x",
        "import os\nos.write(1, b'x')",
        "import os\nos.system('echo x')",
        "import subprocess, sys\nsubprocess.run(['echo', 'x'], stdout=sys.stdout)",
    ],
)
def test_it_is_here_once_before_the_cell_ends(remote: Kernel, code: str) -> None:
    for _ in range(5):
        remote.run("pass")  # nothing is to be flushed any more
        seen: list[dict[str, Any]] = []
        remote.run(code, show=seen.append)
        texts = [(output["name"], output["text"]) for output in seen if output["output_type"] == "stream"]
        assert "".join(text for name, text in texts if name == "stdout").strip() == "x"
        # Python 3.12 and newer warn of forks where there are threads
        assert [text for name, text in texts if name == "stderr" and "DeprecationWarning" not in text] == []


def test_an_interrupted_flush_is_none(counting: Kernel) -> None:
    counting.run(
        "class Pressed:\n    def schedule(self, f): raise KeyboardInterrupt\n    thread = sys.stdout.pub_thread.thread"
    )
    counting.run("print('x')", show=lambda _: None)
    counting.run(
        "sys.stdout._written, kept = True, sys.stdout.pub_thread\n"
        "sys.stdout.pub_thread = Pressed()\n"
        "try: sys.stdout.flush()\n"
        "except KeyboardInterrupt: pass\n"
        "finally: sys.stdout.pub_thread = kept\n"
        "flushes.clear(); sys.stdout.flush(); found = list(flushes)"
    )
    assert counting["found"] == ["stdout"]
    counting.run("del Pressed, kept, found")


def test_a_letter_of_two_bytes_in_two_writes(remote: Kernel) -> None:
    seen: list[dict[str, Any]] = []
    remote.run(
        "import os, time\nfor byte in 'ä\\n'.encode(): os.write(1, bytes([byte])); time.sleep(0.1)", show=seen.append
    )
    assert "".join(output["text"] for output in seen) == "ä\n"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_each_pipe_is_empty_at_the_cells_end(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"x")
    monkeypatch.setattr(sys, stream, SimpleNamespace(_fid=reading, _is_master_process=lambda: True))
    monkeypatch.setattr("time.sleep", lambda _: os.read(reading, 1))  # the thread reads while this one waits
    stdout.drain()
    assert stdout._unread(reading) == 0
    os.close(reading)
    os.close(writing)


def test_output_also_reaches_the_servers_terminal(
    installed: dict[str, Installed], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # with which ipykernel leaves the descriptors alone
    with tempfile.TemporaryFile() as terminal:
        manager, client = start_new_kernel(
            startup_timeout=DEADLINE, kernel_name="tf1", stdout=terminal, stderr=subprocess.STDOUT
        )
        try:
            seen: list[dict[str, Any]] = []
            client.execute_interactive(
                "import os; os.system('echo x'); None", output_hook=seen.append, timeout=DEADLINE
            )
            texts = [message["content"]["text"] for message in seen if message["msg_type"] == "stream"]
            assert "".join(texts) == "x\n"
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
        terminal.seek(0)
        assert b"x\n" in terminal.read()


def test_output_survives_a_closed_terminal(installed: dict[str, Installed], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # see above
    reading, writing = os.pipe()
    manager, client = start_new_kernel(startup_timeout=DEADLINE, kernel_name="tf2", stdout=writing, stderr=writing)
    try:
        os.close(writing)
        os.close(reading)
        seen: list[dict[str, Any]] = []
        for _ in range(3):
            client.execute_interactive(
                "import os; os.system('echo x'); None", output_hook=seen.append, timeout=DEADLINE
            )
        texts = [message["content"]["text"] for message in seen if message["msg_type"] == "stream"]
        assert "".join(texts) == "x\n" * 3
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_cut_letter_stays_with_its_cell(remote: Kernel) -> None:
    first: list[dict[str, Any]] = []
    second: list[dict[str, Any]] = []
    remote.run("import os; os.write(1, 'ä'.encode()[:1]); None", show=first.append)
    remote.run("os.write(1, b'x'); None", show=second.append)
    assert [output["text"] for output in first] == ["\ufffd"]
    assert [output["text"] for output in second] == ["x"]


def test_output_stopped_by_an_interrupt_is_sent_later(remote: Kernel) -> None:
    seen: list[dict[str, Any]] = []
    remote.run(
        "import sys\n"
        "class Pressed:\n"
        "    def __init__(self, real): self.thread = real.thread\n"
        "    def schedule(self, f): raise KeyboardInterrupt\n"
        "kept = sys.stdout.pub_thread\n"
        "sys.stdout.flush()\n"
        "sys.stdout.pub_thread = Pressed(kept)\n"
        "try: sys.stdout.write('x')\n"
        "except KeyboardInterrupt: pass\n"
        "finally: sys.stdout.pub_thread = kept\n",
        show=seen.append,
    )
    assert [output["text"] for output in seen] == ["x"]
    remote.run("del Pressed, kept")
