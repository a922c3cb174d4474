"""Cells in the background, time limits, and what comes between cells: the Python API on real kernels."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfkernels
from tests.support.cells import SLEEP, begun, interrupt_when, stubborn
from tests.support.waiting import DEADLINE, eventually
from tfkernels.client import stop_button
from tfkernels.client.kernel import Kernel
from tfkernels.errors import (
    CellCancelled,
    CellsFailed,
    CellTimeout,
    ExchangeError,
    KernelDied,
    RemoteError,
    RemoteInterrupt,
)
from tfkernels.output import relay


def test_background_cells_queue_in_order(remote: Kernel, tmp_path: Path) -> None:
    array, gate = np.zeros(3), tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    first = remote.submit(f"{wait}order = ['first']", inputs={"a": array})
    array[:] = 1
    second = remote.submit("order.append('second')", outputs={"order": "order", "a": "a"})
    assert not first.done()
    assert remote.busy
    assert "waiting" in repr(second)
    with pytest.raises(TimeoutError, match="It runs on"):
        second.result(timeout=0.01)
    gate.touch()
    assert remote["order"] == ["first", "second"], "a cell in the foreground waits for its turn"
    assert first.done()
    outputs = second.result()
    assert outputs["order"] == ["first", "second"]
    assert outputs["a"].tolist() == [0, 0, 0], "values are those of the submission"
    assert second.result() is outputs
    assert second.exception() is None
    assert "done after" in repr(second)
    assert not second.cancel()


def test_a_background_cell_that_fails(remote: Kernel, capsys: pytest.CaptureFixture[str]) -> None:
    failed = remote.submit("print('before')\n1/0")
    with pytest.raises(RemoteError, match="ZeroDivisionError"):
        failed.result()
    assert isinstance(failed.exception(), RemoteError)
    assert "failed after" in repr(failed)
    with pytest.raises(ExchangeError, match="no 'nowhere'"):
        remote.submit("", outputs={"x": "nowhere"}).result()
    with pytest.raises(RemoteError, match="does not support input requests"):
        remote.submit("input()").result()
    out, err = capsys.readouterr()
    assert out == "before\n"
    assert err.count("ZeroDivisionError\x1b[0m: ") + err.count("ZeroDivisionError\x1b[39m: ") == 1


def test_cancel(remote: Kernel) -> None:
    remote.run("state = 5")
    first, second, third = (remote.submit(code) for code in (SLEEP, "state = 6", "state += 1"))
    assert second.cancel()
    assert "cancelled" in repr(second)
    with pytest.raises(CellCancelled, match="was not run"):
        second.result(timeout=0)
    eventually(lambda: first.running)
    assert first.cancel()
    with pytest.raises(CellCancelled, match="was interrupted"):
        first.result(timeout=DEADLINE)
    assert third.result() == {}
    assert remote["state"] == 6


def test_interrupts_around_a_cells_start_are_kept(remote: Kernel) -> None:
    """Not in ipykernel, before the cell, and not when it comes right before the cell's first system call."""
    for delay in [0, 0.0005, 0.001, 0.002] * 10:
        call = remote.submit(SLEEP)
        threading.Event().wait(delay)
        call.interrupt()
        with pytest.raises(CellCancelled):
            call.result(timeout=DEADLINE)


def test_interrupting_a_waiting_cell_spares_the_running_one(remote: Kernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    first = remote.submit(f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\nstate = 7")
    eventually(lambda: first.running)
    interrupt_when(lambda: remote.waiting)
    with pytest.raises(KeyboardInterrupt, match="was not run"):
        remote.run("state = 8")
    assert not first.done()
    gate.touch()
    first.result()
    assert remote["state"] == 7


@pytest.mark.parametrize("delay", [0.01, 0.1])
def test_an_interrupt_while_values_are_sent(remote: Kernel, delay: float) -> None:
    array = np.ones(10**7)

    def send() -> None:
        # At any moment; on a busy machine before the timer's start has returned.
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
        remote.run(SLEEP, inputs={"x": array})

    with pytest.raises(KeyboardInterrupt):
        send()
    assert remote.run("", inputs={"x": array}, outputs={"s": "x.sum()"})["s"] == 10**7


def test_values_of_another_kernel_for_a_background_cell(installed: object) -> None:
    tf1, tf2 = tfkernels.kernel("tf1"), tfkernels.kernel("tf2")
    tf1.submit("import time; time.sleep(0.3); w = 1")
    call = tf2.submit("v = w + x", inputs={"w": tf1.reference("w"), "x": 2}, outputs={"v": "v"})
    assert not call.done()
    assert call.result() == {"v": 3}
    missing = tf2.submit("v = 0", inputs={"w": tf1.reference("nowhere")})
    with pytest.raises(ExchangeError, match="no 'nowhere' in kernel tf1"):
        missing.result()
    assert tf2["v"] == 3


def test_a_time_limit_interrupts_and_says_so(remote: Kernel) -> None:
    remote.run("state = 5")
    with pytest.raises(CellTimeout, match=r"longer than 0\.5 s and was interrupted") as caught:
        remote.run(SLEEP, timeout=0.5)
    assert "KeyboardInterrupt" in "".join(caught.value._render_traceback_())
    with pytest.raises(CellTimeout):
        remote.submit(SLEEP, timeout=0.2).result()
    assert remote.run("", outputs={"s": "state"}, timeout=DEADLINE) == {"s": 5}


def test_a_time_limit_that_the_cell_ignores(
    remote: Kernel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(stop_button, "INTERRUPT_GRACE", 0.5)
    with pytest.raises(CellTimeout, match=r"ignores the interrupt(.|\n)*%tfkernels restart tf"):
        remote.run("print('begun')\n" + stubborn(tmp_path / "begun"), timeout=3, inputs={"x": np.ones(10**6)})
    assert "begun" in capsys.readouterr().out
    assert remote.busy
    remote.restart()
    assert remote["1 + 1"] == 2


def test_output_of_a_cells_threads_after_its_end(remote: Kernel) -> None:
    seen: list[dict[str, Any]] = []
    code = "import os, threading\ndef later():\n    print('late'); os.write(2, b'raw')\n"
    remote.run(code + "threading.Timer(0.3, later).start()", show=seen.append)
    eventually(lambda: {"late", "late\n", "raw"} & {output["text"] for output in seen})
    eventually(lambda: "raw" in "".join(output["text"] for output in seen if output["name"] == "stderr"))


def test_output_goes_to_a_function(remote: Kernel) -> None:
    seen: list[dict[str, Any]] = []
    remote.run(
        "from IPython.display import HTML\ndisplay(HTML('<b>x</b>'), display_id='a')\nprint(1)\n2", show=seen.append
    )
    assert [output["output_type"] for output in seen] == ["display_data", "stream", "execute_result"]
    assert seen[0]["transient"] == {"display_id": "a"}
    assert seen[2]["data"] == {"text/plain": "2"}


def test_requests_between_cells(remote: Kernel) -> None:
    remote.run("bridge = 1")
    assert "bridge" in remote.request("complete_request", {"code": "bri", "cursor_pos": 3}, 30)["matches"]
    busy = remote.submit(SLEEP)
    eventually(lambda: busy.running)
    with pytest.raises(TimeoutError, match="No reply to complete_request"):
        remote.request("complete_request", {"code": "bri", "cursor_pos": 3}, 0.1)
    busy.cancel()


def test_death_in_the_background(remote: Kernel) -> None:
    remote.run("import os")
    first, second = remote.submit("os._exit(3)"), remote.submit("print('never')")
    with pytest.raises(KernelDied, match="exit code 3"):
        first.result()
    with pytest.raises(KernelDied, match="this cell, which was not run"):
        second.result()
    seen: list[dict[str, Any]] = []
    remote.run("print('fresh')", show=seen.append)
    assert [output["text"] for output in seen if "is a fresh one" in output.get("text", "")], "its state is new"
    assert seen[-1]["text"] == "fresh\n"
    seen.clear()
    remote.run("print('fresh')", show=seen.append)
    assert [output["text"] for output in seen] == ["fresh\n"], "once"


def test_restart_and_shutdown_end_all_cells(installed: object) -> None:
    kernel = Kernel("tf1")
    for end, how in ((kernel.restart, "restarted"), (kernel.shutdown, "shut down")):
        runs, waits = kernel.submit(SLEEP, outputs={"x": "1"}), kernel.submit("", outputs={"x": "1"})
        eventually(lambda: begun(kernel))
        end()
        for _ in range(2):  # it stays like that
            with pytest.raises(KernelDied, match=f"Kernel tf1 was {how} while the cell ran, and the cell ended with"):
                runs.result(timeout=0)
            with pytest.raises(KernelDied, match=f"Kernel tf1 was {how} before the cell, which was not run"):
                waits.result(timeout=0)
        assert not waits.cancel()
        assert kernel["1 + 1"] == 2, "a fresh one, and nobody is told again"
    kernel.begin()
    kernel.shutdown()
    assert not [thread for thread in threading.enumerate() if thread is getattr(kernel, "_thread", None)]


def test_a_kernel_that_is_ended_did_not_die(installed: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread may look whether it is alive before it sees that it is to end."""
    kernel = Kernel("tf1")
    runs = kernel.submit(SLEEP)
    eventually(lambda: runs.running)
    process = kernel.begin().process
    send = process.send_signal

    def and_wait(number: int) -> None:
        send(number)
        eventually(lambda: not process.alive())

    monkeypatch.setattr(process, "send_signal", and_wait)
    kernel.shutdown()
    with pytest.raises(KernelDied, match="Kernel tf1 was shut down while the cell ran"):
        runs.result(timeout=DEADLINE)


def test_the_same_cell_in_several_kernels(installed: object, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = tfkernels.each(
        ["tf1", "tf2"],
        "import os, sys\nprint('in', 'tf1' if sys.version_info < (3, 8) else 'tf2')\ny = x.sum()",
        inputs={"x": np.ones(1000)},
        outputs={"y": "y", "pid": "os.getpid()"},
    )
    assert outputs["y"] == {"tf1": 1000, "tf2": 1000}
    assert outputs["pid"] == {name: tfkernels.kernel(name).pid for name in ("tf1", "tf2")}
    shown = capsys.readouterr().out.splitlines()
    assert sorted(shown) == ["tf1 │ in tf1", "tf2 │ in tf2"]


MEETING = """
import os, time
open(os.path.join(folder, str(os.getpid())), "w").close()
while len(os.listdir(folder)) < 2:  # both run at the same time, or neither ends
    time.sleep(0.01)
"""


def test_they_run_at_the_same_time(installed: object, tmp_path: Any) -> None:
    tfkernels.each(["tf1", "tf2"], MEETING, inputs={"folder": str(tmp_path)}, timeout=DEADLINE)


def test_each_fails_after_all_kernels_ended(installed: object, capsys: pytest.CaptureFixture[str]) -> None:
    code = "import sys, time\nif sys.version_info < (3, 8):\n    1/0\ntime.sleep(0.5)\nprint('end')"
    with pytest.raises(CellsFailed, match=r"failed in tf1: ZeroDivisionError.*ended well in tf2") as caught:
        tfkernels.each(["tf1", "tf2"], code, outputs={"x": "1"})
    assert isinstance(caught.value.errors["tf1"], RemoteError)
    out, err = capsys.readouterr()
    assert out == "tf2 │ end\n"
    assert "tf1 │ " in err


def test_an_interrupt_reaches_all_of_them(installed: object) -> None:
    for name in ("tf1", "tf2"):
        tfkernels.kernel(name).run("state = 5")
    interrupt_when(lambda: begun(*map(tfkernels.kernel, ("tf1", "tf2"))))
    with pytest.raises(RemoteInterrupt):
        tfkernels.each(["tf1", "tf2"], SLEEP)
    assert tfkernels.each(["tf1", "tf2"], "", outputs={"state": "state"}) == {"state": {"tf1": 5, "tf2": 5}}


class Asked(relay.Relay):
    can_ask = True

    def __init__(self, answer: Callable[[], str]) -> None:
        self.prompts: list[str] = []
        self._answer = answer

    def ask(self, prompt: str, password: bool) -> str:
        self.prompts.append(prompt)
        return self._answer()


def test_several_kernels_ask_one_after_another(installed: object) -> None:
    kernels = [tfkernels.kernel(name) for name in ("tf1", "tf2")]
    show = Asked(lambda: f"answer {len(show.prompts)}")
    answers = tfkernels.each(kernels, "x = input('which? ')", outputs={"x": "x"}, show=show)["x"]
    assert sorted(show.prompts) == ["tf1 │ which? ", "tf2 │ which? "]
    assert answers == {prompt[:3]: f"answer {number}" for number, prompt in enumerate(show.prompts, 1)}

    def stop() -> str:
        eventually(lambda: sum("input_request" in line for line in lines) == 2)  # both have asked
        raise KeyboardInterrupt

    show = Asked(stop)
    with messages_logged() as lines, pytest.raises(RemoteInterrupt):
        tfkernels.each(kernels, "x = input('which? ')", show=show)
    assert len(show.prompts) == 1, "the stop button is for both"


@contextmanager
def messages_logged() -> Iterator[list[str]]:
    """What the log says of each message meanwhile."""
    lines: list[str] = []
    logger, handler = logging.getLogger("tfkernels"), logging.Handler()
    level = logger.level
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_threads_and_descriptors_end_with_the_kernel(installed: object) -> None:
    def count() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/proc/self/fd"))

    with Kernel("tf1") as kernel:
        kernel.run("x = 1")
    before = count()
    for _ in range(2):
        with kernel:
            kernel.submit("x = 1")
            pid = kernel.pid
            kernel.run("x = 1")
    assert pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)
    threads, descriptors = count()
    assert threads <= before[0]
    assert descriptors <= before[1]
